from __future__ import annotations

import torch

from omnisyn.simulate.anatomy import TumourSettings, draw_anatomy


def test_same_seed_draws_the_same_numbers() -> None:
    first = draw_anatomy(torch.Generator().manual_seed(3))
    second = draw_anatomy(torch.Generator().manual_seed(3))
    assert torch.equal(first.jitter, second.jitter)
    assert first.nodes == second.nodes
    assert first.skull.vault_mm == second.skull.vault_mm


def test_seeds_draw_different_heads() -> None:
    drawn = [draw_anatomy(torch.Generator().manual_seed(seed)) for seed in range(4)]
    assert len({head.deformation.size for head in drawn}) == 4
    assert len({head.nose.septum_bend_mm for head in drawn}) == 4


def test_a_healthy_head_has_neither_tumour_nor_metastatic_nodes() -> None:
    head = draw_anatomy(torch.Generator().manual_seed(1), tumour=None)
    assert head.tumour is None
    assert not head.metastasis
    assert all(node.level == "benign" for node in head.nodes)


def test_certain_metastasis_is_drawn() -> None:
    settings = TumourSettings(metastasis=1.0)
    assert draw_anatomy(torch.Generator().manual_seed(1), tumour=settings).metastasis
