"""The page that weights have on the hub (README.md), written from their card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from omnisyn.models.card import WeightCard
from omnisyn.models.hub.address import HubAddress

LIBRARY = "omnisyn"


def hub_page(card: WeightCard, address: HubAddress) -> str:
    """Markdown below a header in YAML that the hub reads; `address` is where the page will be."""
    from huggingface_hub import ModelCardData

    header = ModelCardData(
        license=card.licence.lower(),
        library_name=LIBRARY,
        pipeline_tag="image-to-image",
        tags=[
            "medical-imaging",
            "mri",
            "image-synthesis",
            "research-only",
            *(["simulated-data"] if card.simulated else []),
        ],
    )
    share = (
        "The training data were SIMULATED, wholly or in part."
        if card.simulated
        else "No simulated data."
    )
    pinned = replace(address, sha256=card.sha256)
    lines = [
        "---",
        str(header.to_yaml()),
        "---",
        "",
        f"# {card.name}",
        "",
        f"**{card.intended_use}**",
        "",
        "Any subset of MRI contrasts in, any contrast out. A synthetic image is not a measurement.",
        f"Limits: {card.limits}",
        "",
        "## Use",
        "",
        "```sh",
        f"omnisyn synthesize --src T1.nii.gz --target T2 --weights {pinned}",
        "```",
        "",
        "## What it is",
        "",
        f"- Contrasts: {', '.join(card.contrasts)}",
        f"- Trained on: {card.trained_on}",
        f"- Simulated share: {share}",
        f"- Recipe: {card.recipe}",
        f"- Parameters: {card.parameters} ({card.precision})",
        f"- File: `{card.file}`, {card.size} bytes",
        f"- SHA-256: `{card.sha256}`",
        *_told_of_tower(card),
        f"- Licence: {card.licence}",
        *([f"- Created: {card.created}"] if card.created else []),
        *(f"- Credit: {credit}" for credit in card.credits),
        "",
        "## Figures",
        "",
        *(_bullets(card.figures) if card.figures else ["None were written on the card."]),
        "",
    ]
    return "\n".join(lines)


def _told_of_tower(card: WeightCard) -> Iterator[str]:
    """What the weights understand besides the names of contrasts."""
    if card.text is not None:
        tower = card.tower_files[-1]
        yield "- Targets may be asked for in words and by TE, TR, TI and field, too"
        yield f"- Text tower: `{tower}`, {card.text.size} bytes, SHA-256 `{card.text.sha256}`"


def _bullets(values: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    """A nested list, in which whatever holds plain values only is one line."""
    for name, value in values.items():
        nested = isinstance(value, Mapping)
        if nested and any(isinstance(each, Mapping) for each in value.values()):
            yield f"{'  ' * depth}- {name}"
            yield from _bullets(value, depth + 1)
        elif nested:
            plain = ", ".join(f"{key} {_plain(each)}" for key, each in value.items())
            yield f"{'  ' * depth}- {name}: {plain}"
        else:
            yield f"{'  ' * depth}- {name}: {_plain(value)}"


def _plain(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
