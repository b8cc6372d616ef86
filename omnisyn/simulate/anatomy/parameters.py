"""Every random number of one patient's anatomy, drawn apart from applying it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from omnisyn.simulate.anatomy.brain import BrainParameters
from omnisyn.simulate.anatomy.canvas import Deformation
from omnisyn.simulate.anatomy.nodes import NodeParameters, draw_nodes
from omnisyn.simulate.anatomy.noise import NoiseField, draw_noise
from omnisyn.simulate.anatomy.nose import NoseParameters
from omnisyn.simulate.anatomy.pharynx import PharynxParameters
from omnisyn.simulate.anatomy.skull import SkullParameters
from omnisyn.simulate.anatomy.structures import STRUCTURES
from omnisyn.simulate.anatomy.tumour import TumourParameters, TumourSettings, draw_tumour

_USUAL_TUMOURS = TumourSettings()


@dataclass(frozen=True)
class HeadParameters:
    """One patient.

    Attributes:
        deformation: size, pose and warp against the template.
        jitter: standard normal numbers [structures, 3 (right, middle, left), 10] that move and
            reshape each structure.
        skull, brain, nose, pharynx: parameters of the parts.
        tumour: the primary tumour, None in a healthy head.
        nodes: benign and metastatic nodes.
        metastasis: distant metastases (M1).
    """

    deformation: Deformation
    jitter: Tensor
    skull: SkullParameters
    brain: BrainParameters
    nose: NoseParameters
    pharynx: PharynxParameters
    tumour: TumourParameters | None
    nodes: tuple[NodeParameters, ...]
    metastasis: bool


def draw_anatomy(
    generator: torch.Generator, *, tumour: TumourSettings | None = _USUAL_TUMOURS
) -> HeadParameters:
    """Draw a patient; with `tumour=None` a healthy one (benign nodes only).

    The same generator state gives the same patient on every device.
    """

    def uniform(low: float, high: float) -> float:
        drawn = float(torch.rand((), generator=generator, device=generator.device))
        return low + (high - low) * drawn

    def normal(mean: float, deviation: float) -> float:
        drawn = float(torch.randn((), generator=generator, device=generator.device))
        return mean + deviation * max(-2.5, min(2.5, drawn))

    def brain_noise(wavelength_mm: float, bandwidth: float, channels: int = 1) -> NoiseField:
        return draw_noise(
            generator,
            wavelength_mm,
            channels=channels,
            bandwidth=bandwidth,
            low_mm=(-80.0, -80.0, -80.0),
            high_mm=(80.0, 110.0, 90.0),
        )

    def fluid_level() -> float:
        level = uniform(0.1, 0.9)
        return level if uniform(0.0, 1.0) < 0.15 else 0.0

    build = normal(1.02, 0.03)
    age = uniform(0.0, 1.0)
    deformation = Deformation(
        size=(build * normal(1.0, 0.025), build * normal(1.0, 0.025), build * normal(1.0, 0.025)),
        pose_degrees=(normal(-2.0, 4.0), normal(0.0, 2.0), normal(0.0, 2.5)),
        shift_mm=(normal(0.0, 2.5), normal(0.0, 3.0), normal(0.0, 4.0)),
        warps=(
            (draw_noise(generator, 110.0, channels=3, bandwidth=0.5), normal(1.9, 0.3)),
            (draw_noise(generator, 45.0, channels=3, bandwidth=0.4), normal(0.7, 0.1)),
            (draw_noise(generator, 20.0, channels=3, bandwidth=0.4), normal(0.45, 0.06)),
        ),
    )
    skull = SkullParameters(
        vault_mm=normal(6.8, 0.9),
        table_mm=normal(1.7, 0.2),
        scalp_mm=normal(3.6, 0.7),
        fat_mm=normal(5.2, 1.6),
        skin_mm=normal(1.9, 0.2),
        neck_radii_mm=(normal(57.0, 3.5), normal(56.0, 3.0)),
        relief=draw_noise(generator, 60.0, bandwidth=0.5),
        marrow_red=age < 0.25,
    )
    brain = BrainParameters(
        primary_folds=brain_noise(33.0, 0.25, 2),
        secondary_folds=brain_noise(24.0, 0.25, 2),
        depth_noise=brain_noise(35.0, 0.4),
        cortex_mm=normal(2.7 - 0.3 * age, 0.12),
        sulcus_mm=normal(0.6 + 0.42 * age, 0.1),
        subarachnoid_mm=normal(1.0 + 1.3 * age, 0.25),
        ventricle=normal(0.85 + 0.45 * age, 0.1),
        folia=brain_noise(22.0, 0.4),
    )
    nose = NoseParameters(
        cells=draw_noise(
            generator, 8.0, bandwidth=0.3, low_mm=(-75.0, -75.0, -75.0), high_mm=(75.0, 45.0, 15.0)
        ),
        pneumatization=uniform(0.2, 1.0),
        septum_bend_mm=normal(0.0, 2.0),
        swelling=(uniform(0.8, 1.5), uniform(0.8, 1.5)),
        mucus=(fluid_level(), fluid_level()),
        inspissated=uniform(0.0, 1.0) < 0.25,
        lining_mm=uniform(0.5, 1.2) if uniform(0, 1) < 0.7 else uniform(1.2, 4.0),
    )
    pharynx = PharynxParameters(
        width=normal(1.0, 0.08),
        adenoid=normal(1.25 - 0.5 * age, 0.1),
        fossa=uniform(0.5, 1.2),
    )
    jitter = torch.randn(
        (len(STRUCTURES), 3, 10), generator=generator, device=generator.device
    ).cpu()
    drawn = None if tumour is None else draw_tumour(generator, tumour)
    side = 1 if drawn is None else drawn.side
    nodes = draw_nodes(generator, side, 0.0 if tumour is None else tumour.node_positive)
    metastasis = tumour is not None and uniform(0.0, 1.0) < tumour.metastasis
    return HeadParameters(
        deformation, jitter, skull, brain, nose, pharynx, drawn, nodes, metastasis
    )
