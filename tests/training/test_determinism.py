import torch

from omnisyn.training.determinism import repeatable_arithmetic, step_randomness

CPU = torch.device("cpu")


def draw(seed: int, step: int, process: int = 0) -> tuple[float, float]:
    with step_randomness(seed, step, process, CPU) as draws:
        return float(torch.rand((), generator=draws)), float(torch.rand(()))


def test_randomness_is_a_function_of_seed_step_and_process() -> None:
    assert draw(1, 5) == draw(1, 5)
    different = {draw(1, 5), draw(2, 5), draw(1, 6), draw(1, 5, process=1)}
    assert len(different) == 4


def test_draws_and_layers_do_not_share_numbers() -> None:
    own, layers = draw(1, 5)
    assert own != layers


def test_global_generator_is_left_as_it_was() -> None:
    before = torch.get_rng_state()
    draw(1, 5)
    assert torch.equal(torch.get_rng_state(), before)


def test_repeatable_arithmetic_ends_with_its_block() -> None:
    with repeatable_arithmetic(CPU):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]


def test_other_devices_are_left_alone() -> None:
    with repeatable_arithmetic(torch.device("meta")):
        assert not torch.are_deterministic_algorithms_enabled()
