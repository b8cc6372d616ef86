from __future__ import annotations

from collections import Counter

import pytest

from omnisyn.simulate.anatomy.structures import STRUCTURE_NAMES, STRUCTURES, structure_index
from omnisyn.simulate.tissues import TISSUES


def test_background_comes_first_and_all_values_fit_a_byte() -> None:
    assert STRUCTURES[0].tissue == "air"
    assert len(STRUCTURES) <= 255


def test_every_name_is_unique() -> None:
    assert max(Counter(STRUCTURE_NAMES).values()) == 1


def test_every_structure_is_of_a_known_tissue() -> None:
    assert {structure.tissue for structure in STRUCTURES} <= set(TISSUES)


def test_unknown_structure_is_refused() -> None:
    assert STRUCTURES[structure_index("clivus")].name == "clivus"
    with pytest.raises(KeyError):
        structure_index("spleen")
