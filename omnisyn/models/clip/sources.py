"""Where the first weights of a text-image model lie: a published tag, the hub, a folder, a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from omnisyn.errors import ModelError, UsageError, reason_of
from omnisyn.models.clip.families.open_clip import (
    is_published_tag,
    published_tag,
    published_tags,
)
from omnisyn.models.hub.address import HubAddress, is_hub_address, parse_hub_address
from omnisyn.models.hub.fetch import fetch_from_hub
from omnisyn.paths import name_of, read_json

_VOCABULARY = "vocab.txt"
_DESCRIPTIONS = ("*.json", _VOCABULARY)
# In the order of preference; only the first that is there is fetched.
_WEIGHTS = (
    "open_clip*.safetensors",
    "model*.safetensors",
    "*.safetensors",
    "open_clip*.bin",
    "*.bin",
    "*.pth",
    "*.pt",
)


class ClipSource(NamedTuple):
    """A file of weights and what is known about it.

    Attributes:
        file: the weights.
        folder: where its descriptions lie; None for a bare file, beside which nothing is read.
        published: open_clip's entry, of a published tag.
        sha256: what an address on the hub pins.
    """

    file: Path
    folder: Path | None = None
    published: Mapping[str, Any] | None = None
    sha256: str | None = None


def find_source(architecture: str, weights: str) -> ClipSource:
    """What `weights` means, fetched if it is on the hub.

    Raises:
        UsageError: the architecture has no published weights of that tag; a malformed address.
        ModelError: there is nothing there, or several sets of weights.
        ResourceError: no network.
    """
    published = published_tag(architecture, weights)
    if published is not None:
        return _from_tag(published)
    if is_hub_address(weights):
        address = parse_hub_address(weights)
        folder = _fetch(address, _WEIGHTS)
        return ClipSource(_weights_in(folder, str(address)), folder, sha256=address.sha256)
    path = Path(weights)
    if path.is_dir():
        return ClipSource(_weights_in(path, name_of(path)), path)
    if path.is_file():
        return ClipSource(path)
    if is_published_tag(weights):
        known = published_tags(architecture)
        raise UsageError(
            f"{architecture} has no published weights {weights!r}",
            why=f"it has {', '.join(known) or 'none'}",
            remedy="choose one of its tags, or another architecture",
        )
    raise ModelError(
        "there are no such CLIP weights",
        where=path.name,
        remedy="give a tag of open_clip such as openai, hf-hub:org/name@revision, a file or a "
        "folder",
    )


def read_vocabulary(given: str | None, folder: Path | None) -> tuple[tuple[str, ...], bool]:
    """The words of a vocab.txt, one a line, and whether texts are lower-cased before.

    `given` is a file, a folder or an address on the hub; None means beside the weights. Texts are
    lower-cased unless tokenizer_config.json beside it says otherwise, as by transformers' default.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    if given is not None and is_hub_address(given):
        folder = fetch_from_hub(parse_hub_address(given), (_VOCABULARY, "tokenizer_config.json"))
    elif given is not None:
        folder = Path(given)
    if folder is None or not (folder.is_file() or (folder / _VOCABULARY).is_file()):
        raise ModelError(
            "the text-image model has no vocabulary",
            where=None if folder is None else name_of(folder),
            why=f"there is no {_VOCABULARY}",
            remedy="put the text tower's vocab.txt beside the weights, or name it by "
            "clip.vocabulary: for MedCLIP hf-hub:emilyalsentzer/Bio_ClinicalBERT",
        )
    file = folder if folder.is_file() else folder / _VOCABULARY
    settings = file.parent / "tokenizer_config.json"
    try:
        words = tuple(file.read_text("utf-8").splitlines())
        lower_case = read_json(settings).get("do_lower_case", True) if settings.is_file() else True
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(
            "the vocabulary cannot be read",
            where=file.name,
            why=reason_of(error),
            remedy="copy or fetch it again",
        ) from error
    return words, bool(lower_case)


def _from_tag(published: Mapping[str, Any]) -> ClipSource:
    # ORG/NAME/FILE, the file's name often empty.
    organisation, name, file = published["hf_hub"].split("/", 2)
    folder = _fetch(HubAddress(f"{organisation}/{name}"), [file] if file else _WEIGHTS)
    found = folder / file if file else _weights_in(folder, name)
    return ClipSource(found, published=published)


def _fetch(address: HubAddress, patterns: tuple[str, ...] | list[str]) -> Path:
    for pattern in patterns:
        folder = fetch_from_hub(address, [*_DESCRIPTIONS, pattern])
        if any(folder.glob(pattern)):
            break
    return folder


def _weights_in(folder: Path, where: str) -> Path:
    for pattern in _WEIGHTS:
        files = sorted(folder.glob(pattern))
        if len(files) > 1:
            raise ModelError(
                "there are several sets of CLIP weights",
                where=where,
                why=", ".join(file.name for file in files),
                remedy="give the path of one",
            )
        if files:
            return files[0]
    raise ModelError(
        "there are no CLIP weights",
        where=where,
        remedy="give a folder or a hub model with a safetensors file, or a .bin, .pth or .pt",
    )
