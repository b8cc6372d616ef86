"""How masks lie is settled by what they cover, together, and the ones that disagree are told."""

import weakref
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.preparation.mask_arrangement import ARRANGEMENTS, Arrangement, place
from omnisyn.preparation.mask_orientation import Case, doubt_of, settle
from omnisyn.volumes.volume import Volume
from tests.external2_miniature import saying, stored

TRUE = Arrangement(transposed=True, quarter_turns=3, reversed_slices=True)
SHAPE = (48, 48, 9)


def head(seed: int, shape=SHAPE) -> tuple[Volume, np.ndarray]:
    """A head of patchy tissue, and an even tumour in it away from all planes of symmetry."""
    draw = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    texture = ndimage.gaussian_filter(draw.normal(size=shape), (2, 2, 0.7))
    voxels = np.clip(0.5 + 0.2 * texture / texture.std(), 0.2, 1) * (x**2 + y**2 < 0.8)
    a, b, c = draw.uniform(-0.05, 0.05, 3) + np.array([-0.2, -0.35, 0.45])
    tumour = ((x - a) / 0.26) ** 2 + ((y - b) / 0.2) ** 2 + ((z - c) / 0.35) ** 2 < 1
    voxels[tumour] = 0.8 + 0.02 * draw.normal(size=int(tumour.sum()))
    volume = Volume((1000 * voxels).astype(np.float32), Geometry.axial(shape[::-1], (6, 2, 2)))
    return volume, tumour


def case(seed: int, arrangement: Arrangement = TRUE, shape=SHAPE) -> Case:
    volume, tumour = head(seed, shape)
    return Case(f"{seed}", stored(tumour, arrangement).astype(np.float32), volume)


@pytest.mark.parametrize("arrangement", [ARRANGEMENTS[0], ARRANGEMENTS[7], TRUE], ids=str)
def test_the_masks_settle_together(arrangement: Arrangement):
    settled = settle(case(seed, arrangement) for seed in range(8))
    assert settled.arrangement == arrangement
    assert settled.clear
    assert settled.score > settled.runner_up_score + 0.5
    assert settled.doubts == {}


def test_grids_that_are_not_square_settle_as_well():
    settled = settle(case(seed, shape=(52, 44, 9)) for seed in range(4))
    assert settled.arrangement == TRUE


def test_a_plain_tuple_is_a_case():
    assert settle(tuple(case(seed))[:3] for seed in range(3)).arrangement == TRUE


def test_a_mask_that_is_stored_otherwise_is_told():
    other = case(9, Arrangement(True, 3, False))
    settled = settle([*(case(seed) for seed in range(4)), other])
    assert settled.arrangement == TRUE
    assert set(settled.doubts) == {"9"}
    assert doubt_of(other, TRUE) == settled.doubts["9"]
    assert doubt_of(case(1), TRUE) is None


def test_a_mask_that_lies_anywhere_is_told():
    misplaced = case(8)
    elsewhere = np.roll(misplaced.mask_voxels, (14, 9), axis=(0, 1))
    assert "no better than by chance" in (
        doubt_of(misplaced._replace(mask_voxels=elsewhere), TRUE) or ""
    )


def test_a_mask_of_another_shape_is_told_and_does_not_decide():
    short = case(7)
    short = short._replace(mask_voxels=short.mask_voxels[:, :, 1:])
    settled = settle([*(case(seed) for seed in range(3)), short])
    assert settled.cases == 3
    assert settled.doubts == {
        "7": "the mask does not have the shape of its series (48 × 48 × 8 against 48 × 48 × 9)"
    }


def test_an_empty_mask_and_a_dark_series_are_told():
    empty, dark = case(1), case(2)
    nothing = replace(dark.volume, voxels=np.zeros(SHAPE, np.float32))
    settled = settle(
        [
            case(0),
            empty._replace(mask_voxels=np.zeros(SHAPE, np.float32)),
            dark._replace(volume=nothing),
        ]
    )
    assert settled.doubts["1"] == "the mask is empty"
    assert "no signal" in settled.doubts["2"]


def test_one_mask_alone_decides_nothing_for_sure():
    settled = settle([case(0)])
    assert settled.arrangement == TRUE
    assert not settled.clear
    assert "NOT CLEAR" in str(settled)


def test_masks_that_mark_nothing_in_particular_are_not_clear():
    def scattered(seed: int) -> Case:
        volume, _ = head(seed)
        return case(seed + 100)._replace(label=str(seed), volume=volume)

    shuffled = [
        scattered(seed)._replace(mask_voxels=case(seed, ARRANGEMENTS[3 * seed]).mask_voxels)
        for seed in range(5)
    ]
    assert not settle(shuffled).clear


def test_affines_are_believed_where_they_fit_better_than_any_one_arrangement():
    cases = []
    for seed, arrangement in enumerate(ARRANGEMENTS[1::4]):
        one = case(seed, arrangement)
        cases.append(one._replace(mask_geometry=saying(one.volume.geometry, arrangement)))
    settled = settle(cases)
    assert settled.arrangement.by_affine
    assert settled.doubts == {}
    for one in cases:
        grid = one.volume.geometry
        placed = place(one.mask_voxels, one.mask_geometry, settled.arrangement, grid, "mask")
        assert np.array_equal(placed, head(int(one.label))[1])


def test_affines_that_are_wrong_are_not_believed():
    cases = [case(seed) for seed in range(4)]
    wrong = [one._replace(mask_geometry=one.volume.geometry) for one in cases]
    assert settle(wrong).arrangement == TRUE


def test_nothing_is_settled_where_no_mask_fits():
    short = case(0)
    with pytest.raises(InputError, match="not one mask fits"):
        settle([short._replace(mask_voxels=short.mask_voxels[1:])])
    with pytest.raises(InputError, match="no masks were given"):
        settle([])


def test_volumes_are_not_kept():
    alive: list[weakref.ref] = []

    def each():
        for seed in range(4):
            one = case(seed)
            alive.append(weakref.ref(one.volume))
            yield one
            del one
            assert sum(reference() is not None for reference in alive) <= 1

    settle(each())
