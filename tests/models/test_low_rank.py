import copy

import pytest
import torch
from torch import nn

from omnisyn.models.low_rank import add_low_rank_changes, merged_state


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 1, 1))


IMAGES = torch.rand(3, 2, 8, 8, generator=torch.Generator().manual_seed(1))


def trained(network, steps=5):
    parameters = [each for each in network.parameters() if each.requires_grad]
    optimizer = torch.optim.SGD(parameters, 0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        (network(IMAGES) - 1).square().mean().backward()
        optimizer.step()
    return network


def test_it_sets_out_from_the_network_as_it_is(network):
    before = network(IMAGES)
    add_low_rank_changes(network, 2, seed=0)
    assert torch.equal(network(IMAGES), before)


def test_only_the_changes_are_trained_and_they_have_the_rank(network):
    kernel, bias = network[0].weight.detach().clone(), network[0].bias.detach().clone()
    add_low_rank_changes(network, 2, seed=0)
    trained(network)
    change = (network[0].weight - kernel).detach().flatten(1)
    assert float(change.abs().max()) > 0
    assert int(torch.linalg.matrix_rank(change)) <= 2
    assert torch.equal(network[0].bias, bias)
    assert torch.equal(network[0].parametrizations.weight.original, kernel)


def test_merged_it_is_the_state_of_a_plain_network_that_gives_the_same(network):
    plain = copy.deepcopy(network)
    add_low_rank_changes(network, 2, seed=0)
    trained(network)
    assert not torch.allclose(plain(IMAGES), network(IMAGES), atol=1e-3)
    plain.load_state_dict(merged_state(network))
    assert torch.allclose(plain(IMAGES), network(IMAGES), atol=1e-6)


def test_without_changes_the_state_is_the_networks_own(network):
    state = merged_state(network)
    assert set(state) == set(network.state_dict())
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())


def test_the_same_seed_starts_alike(network):
    other = copy.deepcopy(network)
    add_low_rank_changes(network, 2, seed=3)
    add_low_rank_changes(other, 2, seed=3)
    assert torch.equal(trained(network)(IMAGES), trained(other)(IMAGES))
