"""T, N and clinical group of the AJCC/UICC 8th edition, from what disease overlaps.

Rules: AJCC Cancer Staging Manual, 8th edition (2017), nasopharynx, as summarised in the project's
reference (section F of tissues.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

INVASION_ML = 0.08
LARGE_NODE_MM = 60.0

_T4 = frozenset(
    {
        "dura", "subarachnoid CSF", "sulcal CSF", "cortex", "white matter", "insula",
        "brainstem", "cerebellar cortex", "cerebellar white matter", "hippocampus",
        "cavernous sinus", "pituitary", "posterior pituitary", "optic chiasm",
        "vitreous", "lens", "sclera", "optic nerve", "extra-ocular muscle", "orbital fat",
        "parotid", "hypopharyngeal airway", "hypopharyngeal mucosa",
        "masseter", "temporalis", "mandible", "mandible cortex", "buccal fat", "spinal CSF",
        "spinal cord",
    }
)  # fmt: skip
_T3 = frozenset(
    {
        "skull base cortex", "skull base marrow", "clivus", "clivus cortex", "petrous bone",
        "pterygoid process", "pterygoid marrow", "cervical vertebra", "vertebral cortex",
        "maxillary sinus", "sphenoid sinus", "ethmoid sinus", "frontal sinus", "sinus mucosa",
        "sinus mucus", "inspissated sinus mucus", "pterygopalatine fossa", "mastoid air cells",
    }
)  # fmt: skip
_T2 = frozenset(
    {
        "parapharyngeal fat", "tensor veli palatini", "medial pterygoid", "lateral pterygoid",
        "prevertebral muscle",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """Stage of a patient: "T1".."T4" ("T0" without tumour), "N0".."N3", "M0"/"M1", group."""

    T: str
    N: str
    M: str
    clinical: str


@dataclass(frozen=True)
class NodeFinding:
    """A metastatic node as staging sees it.

    Attributes:
        level: "RP", "IB", "II", "III", "IV", "V", "SCF" or "parotid".
        side: "left" or "right".
        size_mm: greatest dimension.
        below_cricoid: it reaches below the caudal border of the cricoid cartilage.
    """

    level: str
    side: str
    size_mm: float
    below_cricoid: bool


def t_category(invaded_ml: Mapping[str, float]) -> str:
    """T from the volume (ml) of each structure that the tumour occupies.

    Less than `INVASION_ML` of a structure does not count as invasion.
    """
    invaded = {name for name, volume in invaded_ml.items() if volume >= INVASION_ML}
    for category, structures in (("T4", _T4), ("T3", _T3), ("T2", _T2)):
        if invaded & structures:
            return category
    return "T1" if any(volume > 0 for volume in invaded_ml.values()) else "T0"


def n_category(nodes: Iterable[NodeFinding]) -> str:
    """N from the levels, sides and sizes of all metastatic nodes."""
    found = tuple(nodes)
    if not found:
        return "N0"
    if any(node.size_mm > LARGE_NODE_MM or node.below_cricoid for node in found):
        return "N3"
    cervical_sides = {node.side for node in found if node.level != "RP"}
    return "N2" if len(cervical_sides) == 2 else "N1"


def clinical_group(t: str, n: str, m: str) -> str:
    """Prognostic group I, II, III, IVA or IVB; "none" without any disease."""
    if m == "M1":
        return "IVB"
    if t == "T4" or n == "N3":
        return "IVA"
    if t == "T3" or n == "N2":
        return "III"
    if t == "T2" or n == "N1":
        return "II"
    return "I" if t == "T1" else "none"
