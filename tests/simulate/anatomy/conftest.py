"""Heads on a coarse grid, built once for all tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from omnisyn.simulate.anatomy import Anatomy, Grid, HeadParameters, build_anatomy, draw_anatomy

GRID = Grid(shape=(96, 120, 120), spacing_mm=(2.5, 2.0, 2.0), centre_mm=(0.0, 8.0, -40.0))


@dataclass(frozen=True)
class Head:
    parameters: HeadParameters
    anatomy: Anatomy


@pytest.fixture(scope="session")
def grid() -> Grid:
    return GRID


@pytest.fixture(scope="session")
def healthy_heads() -> tuple[Head, ...]:
    heads = []
    for seed in (0, 2, 5):
        parameters = draw_anatomy(torch.Generator().manual_seed(seed), tumour=None)
        heads.append(Head(parameters, build_anatomy(parameters, GRID)))
    return tuple(heads)


@pytest.fixture(scope="session")
def patients() -> tuple[Head, ...]:
    heads = []
    for seed in (11, 12, 13, 14, 15):
        parameters = draw_anatomy(torch.Generator().manual_seed(seed))
        heads.append(Head(parameters, build_anatomy(parameters, GRID)))
    return tuple(heads)


@pytest.fixture(scope="session")
def same_head_without_disease(patients: tuple[Head, ...]) -> tuple[Anatomy, ...]:
    return tuple(
        build_anatomy(replace(head.parameters, tumour=None, nodes=()), GRID) for head in patients
    )
