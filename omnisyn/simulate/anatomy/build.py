"""From a patient's parameters to labelled voxels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from omnisyn.simulate.anatomy import (
    brain,
    hindbrain,
    jaw,
    muscles,
    neck,
    nodes,
    nose,
    orbit,
    pharynx,
    skull,
    tumour,
    vessels,
)
from omnisyn.simulate.anatomy.canvas import Canvas
from omnisyn.simulate.anatomy.grid import Grid
from omnisyn.simulate.anatomy.head import LabelledHead
from omnisyn.simulate.anatomy.parameters import HeadParameters
from omnisyn.simulate.anatomy.staging import Stage, clinical_group, n_category, t_category
from omnisyn.simulate.anatomy.structures import STRUCTURES, structure_index
from omnisyn.simulate.tissues import tissue_index


@dataclass(frozen=True)
class Anatomy(LabelledHead):
    """A procedural head: `stage` is known, and `structures` name what is finer than tissues.

    Attributes:
        structures: uint8, index into `STRUCTURES`.
    """

    stage: Stage
    structures: Tensor


def build_anatomy(
    parameters: HeadParameters, grid: Grid, device: torch.device | str = "cpu"
) -> Anatomy:
    """Apply a patient's parameters to a grid: outside in, bone, cavities, brain, disease."""
    canvas = Canvas(grid, parameters.deformation, parameters.jitter, torch.device(device))
    fields = skull.head_fields(canvas, parameters.skull)
    skull.paint_soft_cover(canvas, parameters.skull, fields)
    muscles.paint_neck_muscles(canvas)
    muscles.paint_masticators(canvas)
    jaw.paint_pterygoid_process(canvas)
    neck.paint_glands_and_larynx(canvas)
    pharynx.paint_parapharyngeal_space(canvas)
    skull.paint_skull(canvas, parameters.skull, fields)
    nose.paint_facial_bone(canvas)
    jaw.paint_mandible(canvas)
    jaw.paint_mouth(canvas)
    skull.paint_skull_base(canvas)
    skull.paint_mastoid_cells(canvas, parameters.nose.cells, parameters.nose.pneumatization)
    neck.paint_ears(canvas)
    orbit.paint_orbits(canvas)
    pharynx.paint_pharynx(canvas, parameters.pharynx)
    nose.paint_nasal_cavity(canvas, parameters.nose, fields)
    nose.paint_sinuses(canvas, parameters.nose)
    neck.paint_spine(canvas)
    neck.paint_dural_sac(canvas)
    skull.paint_meninges(canvas, fields)
    neck.paint_spinal_cord(canvas)
    brain.paint_cerebrum(canvas, parameters.brain, fields)
    hindbrain.paint_cerebellum(canvas, parameters.brain, fields)
    hindbrain.paint_falx(canvas)
    brain.paint_deep_brain(canvas, parameters.brain)
    hindbrain.paint_brainstem(canvas)
    hindbrain.paint_sella(canvas)
    vessels.paint_neck_vessels(canvas)
    vessels.paint_brain_vessels(canvas)
    invaded: dict[str, float] = {}
    nodes.paint_nodes(canvas, parameters.nodes)
    if parameters.tumour is not None:
        invaded = tumour.grow_tumour(canvas, parameters.tumour)
    return _finish(canvas, parameters, invaded)


def _finish(canvas: Canvas, parameters: HeadParameters, invaded: dict[str, float]) -> Anatomy:
    whole = canvas.whole()
    findings = [node.finding() for node in parameters.nodes if node.level != "benign"]
    t, n = t_category(invaded), n_category(findings)
    m = "M1" if parameters.metastasis else "M0"
    metastatic = [s.name for s in STRUCTURES if s.name.startswith("N level")]
    return Anatomy(
        labels=_tissue_table(canvas.device, parameters.skull.marrow_red)[canvas.structures.int()],
        tumour=whole.among(("NPC", "NPC necrosis")),
        nodes=whole.among((*metastatic, "node necrosis")),
        stage=Stage(t, n, m, clinical_group(t, n, m)),
        structures=canvas.structures,
        grid=canvas.grid,
    )


def _tissue_table(device: torch.device, marrow_red: bool) -> Tensor:
    table = torch.zeros(256, dtype=torch.uint8)
    for index, structure in enumerate(STRUCTURES):
        table[index] = tissue_index(structure.tissue)
    if not marrow_red:
        for name in ("clivus", "skull base marrow"):
            table[structure_index(name)] = tissue_index("marrow_fatty")
    return table.to(device)
