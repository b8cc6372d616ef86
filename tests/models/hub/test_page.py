import re
from pathlib import Path
from typing import Any

import yaml

from omnisyn.models.card import card_path, read_card
from omnisyn.models.hub.address import HubAddress
from omnisyn.models.hub.page import hub_page


def page_of(tiny: Path, **changed: Any) -> tuple[dict[str, Any], str]:
    """Header and text of the page of the small weights."""
    card = read_card(card_path(tiny)).model_copy(update=changed)
    match = re.fullmatch(
        r"---\n(.*?)\n---\n(.*)", hub_page(card, HubAddress("org/tiny")), re.DOTALL
    )
    assert match
    return yaml.safe_load(match[1]), match[2]


def test_header_is_what_the_hub_reads(tiny: Path) -> None:
    header, _ = page_of(tiny)
    assert header["license"] == "apache-2.0"
    assert header["library_name"] == "omnisyn"
    assert {"mri", "research-only", "simulated-data"} <= set(header["tags"])
    assert "simulated-data" not in page_of(tiny, simulated=False)[0]["tags"]


def test_page_says_what_the_card_says(tiny: Path) -> None:
    card = read_card(card_path(tiny))
    _, text = page_of(tiny)
    for said in (
        f"**{card.intended_use}**",
        card.limits,
        f"- SHA-256: `{card.sha256}`",
        "- Trained on: nothing at all",
        "SIMULATED, wholly or in part",
        "- Credit: nobody",
        f"--weights hf-hub:org/tiny#sha256={card.sha256}",
        "- sim-site\n  - T1→T2\n    - model: ssim 0.5123\n- steps: 3",
    ):
        assert said in text
    assert "No simulated data." in page_of(tiny, simulated=False)[1]
    assert "None were written on the card." in page_of(tiny, figures={})[1]
