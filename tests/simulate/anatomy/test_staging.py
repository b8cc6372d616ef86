from __future__ import annotations

import pytest

from omnisyn.simulate.anatomy import STRUCTURES, staging
from omnisyn.simulate.anatomy.staging import (
    INVASION_ML,
    NodeFinding,
    clinical_group,
    n_category,
    t_category,
)


def node(
    level: str = "II", side: str = "left", size: float = 20.0, below: bool = False
) -> NodeFinding:
    return NodeFinding(level, side, size, below)


@pytest.mark.parametrize(
    ("structures", "category"),
    [
        (("nasopharyngeal mucosa",), "T1"),
        (("nasopharyngeal mucosa", "nasal airway", "oropharyngeal mucosa"), "T1"),
        (("parapharyngeal fat",), "T2"),
        (("medial pterygoid",), "T2"),
        (("lateral pterygoid",), "T2"),
        (("prevertebral muscle",), "T2"),
        (("clivus",), "T3"),
        (("parapharyngeal fat", "pterygoid process"), "T3"),
        (("cervical vertebra",), "T3"),
        (("sphenoid sinus",), "T3"),
        (("maxillary sinus",), "T3"),
        (("cavernous sinus",), "T4"),
        (("clivus", "dura"), "T4"),
        (("orbital fat",), "T4"),
        (("parotid",), "T4"),
        (("hypopharyngeal mucosa",), "T4"),
        (("masseter",), "T4"),
        ((), "T0"),
    ],
)
def test_t_category_is_the_worst_structure_invaded(
    structures: tuple[str, ...], category: str
) -> None:
    assert t_category(dict.fromkeys(structures, 1.0)) == category


def test_a_touch_smaller_than_the_threshold_is_no_invasion() -> None:
    mostly = {"nasopharyngeal mucosa": 5.0}
    assert t_category({**mostly, "clivus": 0.9 * INVASION_ML}) == "T1"
    assert t_category({**mostly, "clivus": INVASION_ML}) == "T3"


@pytest.mark.parametrize("table", [staging._T2, staging._T3, staging._T4])
def test_every_structure_of_the_staging_tables_exists(table: frozenset[str]) -> None:
    assert table <= {structure.name for structure in STRUCTURES}


@pytest.mark.parametrize(
    ("nodes", "category"),
    [
        ((), "N0"),
        ((node(),), "N1"),
        ((node("RP", "left"), node("RP", "right")), "N1"),
        ((node("II", "left"), node("RP", "right")), "N1"),
        ((node("II", "left"), node("III", "right")), "N2"),
        ((node(size=60.0),), "N1"),
        ((node(size=60.1),), "N3"),
        ((node("IV", below=True),), "N3"),
    ],
)
def test_n_category_follows_sides_sizes_and_height(
    nodes: tuple[NodeFinding, ...], category: str
) -> None:
    assert n_category(nodes) == category


@pytest.mark.parametrize(
    ("t", "n", "m", "group"),
    [
        ("T1", "N0", "M0", "I"),
        ("T1", "N1", "M0", "II"),
        ("T2", "N0", "M0", "II"),
        ("T2", "N1", "M0", "II"),
        ("T1", "N2", "M0", "III"),
        ("T3", "N0", "M0", "III"),
        ("T4", "N0", "M0", "IVA"),
        ("T1", "N3", "M0", "IVA"),
        ("T1", "N0", "M1", "IVB"),
        ("T0", "N0", "M0", "none"),
    ],
)
def test_clinical_group_is_that_of_the_eighth_edition(t: str, n: str, m: str, group: str) -> None:
    assert clinical_group(t, n, m) == group
