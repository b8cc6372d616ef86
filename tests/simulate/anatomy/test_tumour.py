from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy import ndimage

from omnisyn.simulate.anatomy import STRUCTURES, build_anatomy, structure_index
from omnisyn.simulate.anatomy.staging import t_category
from omnisyn.simulate.anatomy.tumour import TumourSettings, draw_tumour

LINING = ("nasopharyngeal mucosa", "fossa of Rosenmueller", "adenoid", "torus tubarius",
          "nasopharyngeal airway")  # fmt: skip


def overlap(anatomy, healthy, grid) -> dict[str, float]:
    under = healthy.structures[anatomy.tumour].int().bincount(minlength=256).tolist()
    return {s.name: under[i] * grid.voxel_ml for i, s in enumerate(STRUCTURES)}


def test_stage_is_that_of_the_structures_under_the_tumour(
    patients, same_head_without_disease, grid
) -> None:
    for head, healthy in zip(patients, same_head_without_disease, strict=True):
        under = overlap(head.anatomy, healthy, grid)
        # Benign nodes may lie in the tumour's way; they decide no stage.
        assert t_category(under) == head.anatomy.stage.T


@pytest.mark.parametrize(
    ("opened", "volume", "category"),
    [
        ((), 4.0, "T1"),
        (("levator veli palatini", "parapharyngeal fat"), 9.0, "T2"),
        (("prevertebral muscle",), 9.0, "T2"),
        (("clivus", "clivus cortex"), 10.0, "T3"),
        (("clivus", "clivus cortex", "dura", "subarachnoid CSF", "brainstem"), 25.0, "T4"),
    ],
)
def test_stage_follows_the_pathways_that_are_open(
    patients, grid, opened: tuple[str, ...], volume: float, category: str
) -> None:
    parameters = patients[0].parameters
    slowness = torch.full((256,), 60.0)
    for name in LINING:
        slowness[structure_index(name)] = 1.0
    for name in opened:
        slowness[structure_index(name)] = 0.6
    tumour = replace(parameters.tumour, slowness=slowness, volume_ml=volume, necrosis=0.0)
    anatomy = build_anatomy(replace(parameters, tumour=tumour, nodes=()), grid)
    assert category == anatomy.stage.T


def test_tumour_volume_is_near_the_one_drawn_and_plausible(patients, grid) -> None:
    for head in patients:
        volume = float(head.anatomy.tumour.sum()) * grid.voxel_ml
        assert 1.0 < volume < 120.0
        assert volume == pytest.approx(head.parameters.tumour.volume_ml, rel=0.45)


def test_tumour_holds_together_and_is_no_ball(patients) -> None:
    for head in patients:
        mask = head.anatomy.tumour.numpy()
        parts, _ = ndimage.label(mask, structure=torch.ones(3, 3, 3).numpy())
        largest = torch.as_tensor(parts).flatten().bincount()[1:].max()
        assert float(largest) / mask.sum() > 0.85
        places = head.anatomy.tumour.nonzero().double() * torch.tensor([2.5, 2.0, 2.0])
        farthest = (places - places.mean(0)).norm(dim=1).max()
        ball = (3.0 * mask.sum() * 10.0 / (4.0 * torch.pi)) ** (1.0 / 3.0)
        assert float(farthest) > 1.25 * float(ball)


def test_larger_settings_weights_draw_wider_tumours() -> None:
    def mean_volume(weights: tuple[float, float, float, float]) -> float:
        generator = torch.Generator().manual_seed(0)
        settings = TumourSettings(extent_weights=weights)
        return sum(draw_tumour(generator, settings).volume_ml for _ in range(12)) / 12

    assert mean_volume((1.0, 0.0, 0.0, 0.0)) < 0.4 * mean_volume((0.0, 0.0, 0.0, 1.0))


def test_healthy_head_has_no_tumour_and_no_stage(healthy_heads) -> None:
    for head in healthy_heads:
        assert not head.anatomy.tumour.any()
        assert not head.anatomy.nodes.any()
        assert (head.anatomy.stage.T, head.anatomy.stage.clinical) == ("T0", "none")
