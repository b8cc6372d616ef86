import torch

from omnisyn.models.conditioning import AddedCondition, Modulation


def unit_vectors(size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(size)
    return torch.nn.functional.normalize(torch.randn(3, size, generator=generator), dim=1)


def test_modulation_gives_a_scale_and_a_shift_per_channel_and_depth() -> None:
    modulations = Modulation(16, (4, 8))(unit_vectors(16))
    assert [tuple(part.shape) for pair in modulations for part in pair] == [
        (3, 4, 1, 1),
        (3, 4, 1, 1),
        (3, 8, 1, 1),
        (3, 8, 1, 1),
    ]


def test_added_condition_gives_a_vector_per_depth() -> None:
    assert [tuple(v.shape) for v in AddedCondition(16, (4, 8))(unit_vectors(16))] == [
        (3, 4, 1, 1),
        (3, 8, 1, 1),
    ]


def test_strength_does_not_depend_on_the_length_of_the_text_vector() -> None:
    torch.manual_seed(0)
    spreads = [
        AddedCondition(size, (512,))(unit_vectors(size))[0].std().item() for size in (16, 1024)
    ]
    assert 0.5 < spreads[0] / spreads[1] < 2
