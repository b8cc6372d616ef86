import pytest
import torch

from omnisyn.training.directions import Directions, draw_directions
from omnisyn.training.recipe import FinetuneSettings, load_recipe


def settings(**changes: object) -> FinetuneSettings:
    return load_recipe("small").finetune.model_copy(update=changes)


def present(*rows: str) -> torch.Tensor:
    return torch.tensor([[mark == "1" for mark in row] for row in rows])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def as_sets(directions: Directions) -> list[tuple[frozenset[int], int]]:
    return [
        (frozenset(directions.sources[number][directions.filled[number]].tolist()), int(target))
        for number, target in enumerate(directions.targets)
    ]


def test_six_single_directions_of_three_contrasts_are_all_ordered_pairs() -> None:
    single, several = draw_directions(
        present("111000"), settings(directions=6, several_sources=0.0), generator()
    )
    assert len(several) == 0
    assert sorted((min(sources), target) for sources, target in as_sets(single)) == [
        (source, target) for source in range(3) for target in range(3) if source != target
    ]


@pytest.mark.parametrize("seed", range(5))
def test_sources_are_present_distinct_from_the_target_and_of_its_slice(seed: int) -> None:
    flags = present("110100", "111111", "001010")
    for group in draw_directions(flags, settings(directions=7), generator(seed)):
        for sources, target in as_sets(group):
            item = target // 6
            assert target not in sources
            assert sources
            for place in (*sources, target):
                assert place // 6 == item
                assert flags[item, place % 6]


def test_several_sources_come_in_their_share_and_no_more_than_allowed() -> None:
    single, several = draw_directions(
        present(*["111111"] * 50),
        settings(directions=10, several_sources=0.35, most_sources=3),
        generator(),
    )
    share = len(several) / (len(single) + len(several))
    assert share == pytest.approx(0.35, abs=0.07)
    assert {len(sources) for sources, _ in as_sets(several)} == {2, 3}
    assert {len(sources) for sources, _ in as_sets(single)} == {1}


def test_two_contrasts_never_give_several_sources() -> None:
    single, several = draw_directions(
        present("110000"), settings(directions=4, several_sources=1.0), generator()
    )
    assert (len(single), len(several)) == (4, 0)


def test_slice_with_one_contrast_gives_no_direction() -> None:
    single, several = draw_directions(present("100000"), settings(), generator())
    assert len(single) + len(several) == 0


def test_empty_slots_repeat_a_source_so_that_nothing_more_is_encoded() -> None:
    _, several = draw_directions(
        present(*["111111"] * 20), settings(several_sources=1.0), generator()
    )
    assert not several.filled.all()
    empty = ~several.filled
    rows = empty.nonzero()[:, 0]
    assert torch.equal(several.sources[empty], several.sources[rows, 0])


def test_the_draw_follows_from_the_generator() -> None:
    flags = present("111111", "111000")
    one = draw_directions(flags, settings(), generator(3))
    same = draw_directions(flags, settings(), generator(3))
    other = draw_directions(flags, settings(), generator(4))
    assert [as_sets(group) for group in one] == [as_sets(group) for group in same]
    assert [as_sets(group) for group in one] != [as_sets(group) for group in other]
