"""Tissue parameters: proton density, T1, T2, T2*, fat and gadolinium, drawn for one patient.

The priors are the rows of ``tissues.csv`` (mean and range at 1.5 and 3 T, with the basis of each
figure: read in the literature, recalled, or an estimate). Between and near the two tabulated
fields a value follows ``v(B0) = v(1.5 T) * (B0 / 1.5 T)**b``, the form in which the dispersion of
T1 is published (white matter b = 0.38, muscle 0.42, fat 0.17; Bottomley 1984, Rooney 2007), with
the exponent that passes through both rows.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources

import torch
from torch import Tensor

AIR = "air"

# Fat is the one tissue whose T2 depends on the pulse sequence: trains of refocusing pulses undo
# the dephasing by J-coupling (Henkelman 1992), 130-165 ms in fast against 60-80 ms in spin echo.
SPIN_ECHO_FAT_T2_RATIO = 0.47

# Log-standard deviation of the smooth variation *inside* one tissue of one patient. Estimates,
# ordered after what was read: NPC is more homogeneous than hyperplasia (T1rho SD 12.6 against
# 17.7 ms), marrow and secretions vary most.
_DEFAULT_VARIATION = 0.05
_VARIATION: Mapping[str, float] = {
    AIR: 0.0,
    "cortical_bone": 0.0,
    "CSF": 0.02,
    "vitreous": 0.01,
    "white_matter": 0.03,
    "grey_matter": 0.03,
    "fat_subcutaneous": 0.06,
    "muscle": 0.06,
    "tongue": 0.10,
    "parotid": 0.09,
    "marrow_fatty": 0.10,
    "marrow_red_or_young_clivus": 0.13,
    "NPC": 0.08,
    "NPC_necrosis": 0.16,
    "lymph_node_metastatic": 0.08,
    "lymph_node_necrosis": 0.16,
    "adenoid_tonsil": 0.11,
    "nasal_turbinate_mucosa": 0.12,
    "nasopharyngeal_mucosa": 0.10,
    "mucus_watery_or_effusion": 0.15,
    "mucus_inspissated": 0.20,
}

# Magnetization transfer ratio to a 2 kHz pulse. Yousem 1994 (muscle, tongue, parotid,
# submandibular gland, fat, CSF); the brain and the default for cellular tissue are estimates.
_DEFAULT_TRANSFER = 0.30
_TRANSFER: Mapping[str, float] = {
    AIR: 0.0,
    "CSF": 0.05,
    "vitreous": 0.03,
    "mucus_watery_or_effusion": 0.05,
    "NPC_necrosis": 0.08,
    "lymph_node_necrosis": 0.08,
    "glioma_necrosis": 0.08,
    "blood_arterial": 0.15,
    "blood_venous": 0.15,
    "muscle": 0.54,
    "tongue": 0.54,
    "extraocular_muscle": 0.54,
    "parotid": 0.39,
    "submandibular": 0.41,
    "white_matter": 0.42,
    "cerebellar_WM": 0.42,
    "spinal_cord": 0.40,
    "fat_subcutaneous": 0.07,
    "orbital_fat": 0.07,
    "parapharyngeal_fat": 0.07,
    "marrow_fatty": 0.07,
    "marrow_red_or_young_clivus": 0.18,
}


@dataclass(frozen=True)
class TissueRow:
    """One row of ``tissues.csv``: times in ms, gadolinium in mmol/l 5 min after 0.1 mmol/kg."""

    t1_ms: float
    t1_low_ms: float
    t1_high_ms: float
    t2_ms: float
    t2_low_ms: float
    t2_high_ms: float
    t2star_ms: float
    proton_density: float
    fat_fraction: float
    gadolinium_mmol: float


@dataclass(frozen=True)
class Tissue:
    """A tissue's priors at the two tabulated fields, and where the figures come from."""

    name: str
    rows: Mapping[float, TissueRow]
    basis: str

    def at(self, field_tesla: float) -> TissueRow:
        """The priors at ``field_tesla``, each by its own power law through 1.5 and 3 T."""
        low, high = self.rows[1.5], self.rows[3.0]
        exponent = math.log2(field_tesla / 1.5)
        values = {}
        for entry in fields(TissueRow):
            at_low, at_high = getattr(low, entry.name), getattr(high, entry.name)
            ratio = at_high / at_low if at_low > 0 else 1.0
            values[entry.name] = at_low * ratio**exponent
        return TissueRow(**values)


@cache
def tissue_table() -> Mapping[str, Tissue]:
    """All tissues by name: air first, then in the order of ``tissues.csv``."""
    rows: dict[str, dict[float, TissueRow]] = {}
    basis: dict[str, str] = {}
    columns = (
        "T1_ms",
        "T1_lo",
        "T1_hi",
        "T2_ms",
        "T2_lo",
        "T2_hi",
        "T2star_ms",
        "PD",
        "fat_fraction",
        "Gd_mM_5min",
    )
    with resources.files(__package__).joinpath("tissues.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            values = TissueRow(*(float(row[column]) for column in columns))
            rows.setdefault(row["tissue"], {})[float(row["field_T"])] = values
            basis.setdefault(row["tissue"], row["basis"])
    names = [AIR, *(name for name in rows if name != AIR)]
    return {name: Tissue(name, rows[name], basis[name]) for name in names}


TISSUES: tuple[str, ...] = tuple(tissue_table())
"""Tissue names; the position is the value in label maps. Index 0 is air."""

_INDEX = {name: index for index, name in enumerate(TISSUES)}


def tissue_index(name: str) -> int:
    """The label value of a tissue. Raises KeyError for a name that is not in the table."""
    return _INDEX[name]


@dataclass(frozen=True)
class TissueValues:
    """One patient's tissues at one field: tensors ``[tissues]`` in the order of TISSUES.

    Times in ms, rates in 1/ms, gadolinium in mmol/l; ``variation`` is the log-standard deviation of
    the smooth variation inside the tissue, ``transfer`` the magnetization transfer ratio.
    """

    field_tesla: float
    t1_ms: Tensor
    t2_ms: Tensor
    t2_spin_echo_ms: Tensor
    reversible_rate: Tensor
    proton_density: Tensor
    fat_fraction: Tensor
    gadolinium_mmol: Tensor
    variation: Tensor
    transfer: Tensor

    def to(self, device: torch.device | str) -> TissueValues:
        """The same values on another device."""
        moved = {
            entry.name: getattr(self, entry.name).to(device)
            for entry in fields(self)
            if entry.name != "field_tesla"
        }
        return TissueValues(field_tesla=self.field_tesla, **moved)


def draw_tissues(
    generator: torch.Generator, field_tesla: float, blood_agent: tuple[float, float] = (1.0, 1.0)
) -> TissueValues:
    """Draw one patient's tissues (on the CPU; the generator must be a CPU generator).

    T1 and T2 are log-normal about the tabulated mean, two standard deviations reaching the ends
    of the range (each side by its own end), correlated within a tissue (both follow the water
    content) and within a patient. Gadolinium is log-normal with a coefficient of variation of
    30 % per tissue and 25 % per patient (dose and delay of 2 to 10 min); that of blood is further
    multiplied by a number drawn evenly from ``blood_agent``.
    """
    count = len(TISSUES)
    rows = [tissue.at(field_tesla) for tissue in tissue_table().values()]

    def column(name: str) -> Tensor:
        return torch.tensor([getattr(row, name) for row in rows], dtype=torch.float32)

    def normal(size: int) -> Tensor:
        return torch.randn(size, generator=generator).clamp_(-2.0, 2.0)

    shared = normal(2)
    water, own = normal(count), normal(count)
    t1_score = 0.4 * shared[0] + 0.916 * water
    t2_score = 0.4 * shared[1] + 0.5 * water + 0.768 * own

    def spread(mean: Tensor, low: Tensor, high: Tensor, score: Tensor) -> Tensor:
        score = score.clamp(-2.0, 2.0)
        return torch.where(
            score < 0, mean * (low / mean) ** (-score / 2), mean * (high / mean) ** (score / 2)
        )

    fat_fraction = column("fat_fraction")
    t2_mean = column("t2_ms")
    # The low end tabulated for fat is the spin-echo value: that is the other column here. Trains
    # of wider echo spacing lie between (an estimate).
    fatty = fat_fraction >= 0.8
    t2_low = torch.where(fatty, 0.65 * t2_mean, column("t2_low_ms"))
    t1 = spread(column("t1_ms"), column("t1_low_ms"), column("t1_high_ms"), t1_score)
    t2 = spread(t2_mean, t2_low, column("t2_high_ms"), t2_score)
    t2 = torch.minimum(t2, t1)
    spin_echo = t2 * (1 - (1 - SPIN_ECHO_FAT_T2_RATIO) * fat_fraction)
    fat_fraction = (fat_fraction * (1 + 0.15 * normal(count))).clamp(0.0, 0.97)
    proton_density = (column("proton_density") * (1 + 0.03 * normal(count))).clamp(max=1.05)
    reversible = (1 / column("t2star_ms") - 1 / t2_mean).clamp(min=0.0)
    patient_dose = torch.exp(0.25 * normal(1))
    gadolinium = column("gadolinium_mmol") * patient_dose * torch.exp(0.30 * normal(count))
    reversible = reversible * torch.exp(0.2 * normal(count))
    # Drawn last: where it is one, patients stay as they are.
    least, most = blood_agent
    vessels = [tissue_index(name) for name in ("blood_arterial", "blood_venous")]
    gadolinium[vessels] *= least + (most - least) * float(torch.rand((), generator=generator))
    return TissueValues(
        field_tesla=field_tesla,
        t1_ms=t1,
        t2_ms=t2,
        t2_spin_echo_ms=spin_echo,
        reversible_rate=reversible,
        proton_density=proton_density,
        fat_fraction=fat_fraction,
        gadolinium_mmol=gadolinium,
        variation=torch.tensor([_VARIATION.get(name, _DEFAULT_VARIATION) for name in TISSUES]),
        transfer=torch.tensor([_TRANSFER.get(name, _DEFAULT_TRANSFER) for name in TISSUES]),
    )
