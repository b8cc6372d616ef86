import math
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from torch import nn

from omnisyn.comparison.cost import (
    SLICE_SIZE,
    _largest_size,
    counted,
    measure_cost,
    operations_of_step,
)
from omnisyn.models.backbone import backbone_names
from omnisyn.models.generator import build_generator
from omnisyn.training.recipe import Recipe, load_recipe
from tests.models.narrow import narrow_settings


def recipe(backbone: str = "small", **finetune: object) -> Recipe:
    whole = load_recipe("narrow")
    last = whole.finetune.model_copy(update={"batch_size": 2, "crop": 64, **finetune})
    return whole.model_copy(update={"model": narrow_settings(backbone), "finetune": last})


def test_operations_are_those_of_the_multiplications_and_additions() -> None:
    image = torch.zeros(1, 3, 10, 10)
    assert counted(lambda: nn.Conv2d(3, 5, 3, padding=1)(image)) == 2 * 9 * 3 * 5 * 100
    assert counted(lambda: torch.zeros(4, 6) @ torch.zeros(6, 7)) == 2 * 4 * 6 * 7
    query = torch.zeros(1, 2, 8, 4)
    attention = counted(lambda: nn.functional.scaled_dot_product_attention(query, query, query))
    assert attention == 2 * (2 * 2 * 8 * 8 * 4)


def test_a_cost_is_that_of_the_arm() -> None:
    chosen = recipe()
    cost = measure_cost(chosen, "cpu")
    generator = build_generator(chosen.model)
    assert cost.parameters == sum(weight.numel() for weight in generator.parameters())
    assert cost.training_operations == operations_of_step(chosen, "finetune")
    assert cost.slice_operations > 0
    assert cost.slice_size == SLICE_SIZE
    assert 0 < cost.slice_seconds < 60
    assert math.isfinite(cost.training_memory_mib)
    assert cost.training_memory_mib >= 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="read from /proc")
def test_memory_is_not_that_of_the_process_that_started_this_one() -> None:
    large = np.ones(int(600 * 2**20 / 8))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        largest = alone.submit(_largest_size, torch.device("cpu")).result()
    assert largest < _largest_size(torch.device("cpu")) - large.nbytes / 2


@pytest.mark.parametrize("backbone", backbone_names())
def test_every_backbone_can_be_counted_and_more_slices_take_more(backbone: str) -> None:
    one, two = (
        operations_of_step(recipe(backbone, batch_size=size), "finetune") for size in (1, 2)
    )
    assert 0 < one < two


def test_a_frozen_encoder_an_adversary_and_the_text_change_what_a_step_takes() -> None:
    plain = operations_of_step(recipe(), "finetune")
    assert operations_of_step(recipe(encoder="frozen"), "finetune") < plain
    against = recipe(adversarial_weight=0.1, adversarial_width=4)
    assert operations_of_step(against, "finetune") > plain


@pytest.mark.parametrize("stage", ["pretrain", "align"])
def test_the_stages_before_are_counted_too(stage: str) -> None:
    assert operations_of_step(load_recipe("narrow"), stage) > 0  # type: ignore[arg-type]
