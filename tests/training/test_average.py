import pytest
import torch
from torch import nn

from omnisyn.training.average import AveragedWeights


def network() -> nn.Linear:
    module = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(module.weight)
    return module


def test_average_follows_slowly() -> None:
    module = network()
    average = AveragedWeights(module, decay=0.5)
    nn.init.ones_(module.weight)
    average.update(step=100)
    assert average.tensors()["weight"].tolist() == [[0.5, 0.5]]


def test_random_start_is_forgotten_quickly() -> None:
    module = network()
    average = AveragedWeights(module, decay=0.999)
    nn.init.ones_(module.weight)
    average.update(step=1)
    assert float(average.tensors()["weight"][0, 0]) == pytest.approx(1 - 2 / 11)


def test_averaged_weights_are_in_place_only_inside_the_block() -> None:
    module = network()
    average = AveragedWeights(module, decay=0.5)
    nn.init.ones_(module.weight)
    average.update(step=100)
    with average.in_place():
        assert module.weight.tolist() == [[0.5, 0.5]]
    assert module.weight.tolist() == [[1.0, 1.0]]
    assert average.tensors()["weight"].tolist() == [[0.5, 0.5]]


def test_training_weights_return_after_an_error() -> None:
    module = network()
    average = AveragedWeights(module, decay=0.5)
    nn.init.ones_(module.weight)
    with pytest.raises(RuntimeError), average.in_place():
        raise RuntimeError
    assert module.weight.tolist() == [[1.0, 1.0]]


def test_frozen_weights_are_not_followed() -> None:
    module = nn.Sequential(network(), network())
    module[0].requires_grad_(False)
    average = AveragedWeights(module, decay=0.5)
    assert list(average.tensors()) == ["1.weight"]


def test_average_is_restored() -> None:
    average = AveragedWeights(network(), decay=0.5)
    average.restore({"weight": torch.tensor([[3.0, 4.0]])})
    assert average.tensors()["weight"].tolist() == [[3.0, 4.0]]
