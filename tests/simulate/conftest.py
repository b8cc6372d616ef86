"""A head of ellipsoids: quick to build, with every tissue that the physics treats apart."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from omnisyn.simulate.anatomy import Anatomy, Stage
from omnisyn.simulate.anatomy.grid import Grid
from omnisyn.simulate.cohort import Cohort, CohortSettings, PlannedSite, load_cohort
from omnisyn.simulate.protocols import SiteProfile
from omnisyn.simulate.tissues import tissue_index

# (tissue, centre (z, y, x) mm, half axes mm): later entries lie over earlier ones.
_PARTS = (
    ("fat_subcutaneous", (-40.0, 8.0, 0.0), (150.0, 98.0, 80.0)),
    ("muscle", (-40.0, 8.0, 0.0), (145.0, 90.0, 72.0)),
    ("cortical_bone", (20.0, 10.0, 0.0), (72.0, 84.0, 68.0)),
    ("CSF", (20.0, 10.0, 0.0), (68.0, 80.0, 64.0)),
    ("grey_matter", (20.0, 10.0, 0.0), (64.0, 76.0, 60.0)),
    ("white_matter", (20.0, 10.0, 0.0), (54.0, 66.0, 50.0)),
    ("CSF", (15.0, 10.0, 0.0), (18.0, 25.0, 10.0)),
    ("air", (-50.0, -30.0, 0.0), (40.0, 25.0, 12.0)),
    ("nasal_turbinate_mucosa", (-45.0, -35.0, 8.0), (12.0, 14.0, 5.0)),
    ("parotid", (-60.0, 10.0, 55.0), (25.0, 15.0, 10.0)),
    ("marrow_red_or_young_clivus", (-25.0, 20.0, 0.0), (14.0, 10.0, 14.0)),
    ("blood_arterial", (-60.0, 15.0, 30.0), (60.0, 4.0, 4.0)),
    ("blood_venous", (-60.0, 22.0, -34.0), (60.0, 6.0, 6.0)),
    ("spinal_cord", (-90.0, 45.0, 0.0), (60.0, 6.0, 7.0)),
    ("NPC", (-50.0, 0.0, 10.0), (18.0, 12.0, 16.0)),
    ("lymph_node_metastatic", (-80.0, 20.0, -45.0), (14.0, 9.0, 9.0)),
)


@dataclass(frozen=True)
class EllipsoidAnatomy:
    """Stands in for the procedural anatomy; ``draw`` gives a size and a shift of the tumour."""

    name = "ellipsoids"
    credits = ()

    def draw(self, generator: torch.Generator) -> tuple[float, float]:
        size, shift = torch.rand(2, generator=generator).tolist()
        return 0.9 + 0.15 * size, 10.0 * (shift - 0.5)

    def build(self, parameters: tuple[float, float], grid: Grid, device: torch.device) -> Anatomy:
        size, shift = parameters
        z, y, x = torch.meshgrid(*grid.axes(grid.shape, device), indexing="ij")
        x, y, z = (axis + middle for axis, middle in zip((x, y, z), grid.centre_mm, strict=True))
        labels = torch.zeros(grid.shape, dtype=torch.uint8, device=device)
        for name, (z0, y0, x0), half in _PARTS:
            moved = shift if name == "NPC" else 0.0
            inside = (
                ((z - z0) / half[0]).square()
                + ((y - y0) / half[1]).square()
                + ((x - x0 - moved) / half[2]).square()
            ) < size**2
            labels = torch.where(inside, tissue_index(name), labels).to(torch.uint8)
        return _anatomy(labels, grid)


def _anatomy(labels: Tensor, grid: Grid) -> Anatomy:
    return Anatomy(
        labels=labels,
        tumour=labels == tissue_index("NPC"),
        nodes=labels == tissue_index("lymph_node_metastatic"),
        stage=Stage(T="T2", N="N1", M="M0", clinical="II"),
        structures=labels,
        grid=grid,
    )


@pytest.fixture
def small_profile() -> SiteProfile:
    """All six contrasts, on images small enough for a test."""
    profile = load_cohort("hospitals").profiles["hospital08"]
    return profile.model_copy(
        update={
            "matrix": 72,
            "field_of_view_mm": (230.0, 230.0),
            "slices": (16, 16),
            "slice_thickness_mm": (9.0, 9.0),
            "gap_mm": (0.5, 0.5),
            "centre_mm": (-40.0, -40.0),
            "tilt_degrees": 0.0,
        }
    )


@pytest.fixture
def small_cohort(small_profile: SiteProfile) -> Cohort:
    """Two training hospitals and one external site of few and small patients."""
    settings = CohortSettings(
        name="small",
        description="SIMULATED: for tests",
        seed=1,
        sites=tuple(
            PlannedSite(name=name, role=role, profile="small", patients=2, hospital=name)
            for name, role in (
                ("sim-hospital01", "train"),
                ("sim-hospital02", "train"),
                ("sim-external1", "external"),
            )
        ),
    )
    return Cohort(settings, {"small": small_profile})


@pytest.fixture
def small_demo(small_profile: SiteProfile) -> Cohort:
    """The demo's sites, with small patients."""
    demo = load_cohort("demo")
    return Cohort(demo.settings, dict.fromkeys(demo.profiles, small_profile))


@pytest.fixture
def ellipsoids() -> EllipsoidAnatomy:
    """The quick head."""
    return EllipsoidAnatomy()
