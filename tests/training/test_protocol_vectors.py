import math

import pytest
import torch

from omnisyn.studies.seeding import generator_at
from omnisyn.training.protocol_vectors import ProtocolVectors

T2 = 2


@pytest.fixture
def vectors() -> ProtocolVectors:
    drawn = torch.randn(12, 8, generator=generator_at(0))
    return ProtocolVectors(torch.nn.functional.normalize(drawn, dim=1), seed=0)


@pytest.fixture
def taught(vectors: ProtocolVectors) -> ProtocolVectors:
    with torch.no_grad():
        for weight in vectors.change.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=generator_at(1))
    return vectors


def facts(*rows: tuple[float, float, float, float]) -> torch.Tensor:
    return torch.tensor(rows)


def test_it_begins_at_the_prompts(vectors: ProtocolVectors) -> None:
    prompts = torch.arange(12)
    given = vectors(prompts, facts((4200.0, 87.0, 150.0, 3.0)).expand(12, -1))
    torch.testing.assert_close(given, vectors.prompts)


def test_where_no_number_is_known_it_stays_at_the_prompts(taught: ProtocolVectors) -> None:
    given = taught(torch.arange(12), torch.full((12, 4), math.nan))
    torch.testing.assert_close(given, taught.prompts)


@pytest.mark.parametrize("fact", range(4))
def test_every_number_moves_the_vector_and_it_stays_a_unit_vector(
    taught: ProtocolVectors, fact: int
) -> None:
    low, high = facts((4200.0, 87.0, 150.0, 1.5)), facts((4200.0, 87.0, 150.0, 1.5))
    high[0, fact] *= 1.5
    unknown = low.clone()
    unknown[0, fact] = math.nan
    given = taught(torch.full((3,), T2), torch.cat([low, high, unknown]))
    torch.testing.assert_close(given.norm(dim=1), torch.ones(3))
    assert torch.pdist(given).min() > 1e-3


def test_a_time_between_two_gives_a_vector_between_theirs() -> None:
    """Over the widest band that training never draws, 125 to 140 ms of T2."""
    vectors = ProtocolVectors(torch.eye(12), seed=0)
    drawn = torch.randn(vectors.change[-1].weight.shape, generator=generator_at(0))
    with torch.no_grad():
        vectors.change[-1].weight += 0.3 * drawn
    echoes = [(4000.0, echo, math.nan, 3.0) for echo in (125.0, 132.5, 140.0)]
    below, between, above = vectors(torch.full((3,), T2), facts(*echoes))
    assert (between - (below + above) / 2).norm() < 0.2 * (above - below).norm()


def test_the_map_begins_as_its_seed_says_and_leaves_other_randomness_alone() -> None:
    state = torch.get_rng_state()
    first, again, other = (ProtocolVectors(torch.eye(12), seed).change[0] for seed in (4, 4, 5))
    assert torch.equal(first.weight, again.weight)
    assert not torch.equal(first.weight, other.weight)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_map_learns_and_the_prompts_do_not(vectors: ProtocolVectors) -> None:
    names = {name for name, _ in vectors.named_parameters()}
    assert names == {
        f"change.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")
    } | {"change.4.weight"}
    vectors(torch.tensor([T2]), facts((4200.0, 87.0, 150.0, 3.0)))[0, 0].backward()
    assert vectors.change[-1].weight.grad is not None
    assert vectors.change[-1].weight.grad.abs().sum() > 0
