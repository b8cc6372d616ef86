import dataclasses
from itertools import permutations, product

import numpy as np
import pytest
import torch
from torch.nn import functional

from omnisyn.errors import InputError, ModelError, UsageError
from omnisyn.geometry import Geometry
from omnisyn.inference.embedder import Embedder, ScanEmbedding
from omnisyn.models.weights import TrainedEncoder
from omnisyn.volumes.normalize import head_mask, scale
from omnisyn.volumes.volume import Volume
from tests.tiny_weights import tiny_generator

PIXEL, GAP = 1.5, 4.0


class Grey(torch.nn.Module):
    """Its maps are the grey values, on the slice's own pixels and on blocks of them."""

    stride, channels = 4, (1, 1)

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []

    def encode(self, images: torch.Tensor, contrasts: torch.Tensor) -> list[torch.Tensor]:
        self.sizes.append(tuple(images.shape))
        return [images, functional.avg_pool2d(images, 4)]


def grey(**changes: object) -> Embedder:
    encoder = TrainedEncoder(Grey(), "grey", "0" * 64, "nothing", None)  # type: ignore[arg-type]
    return dataclasses.replace(Embedder.of(encoder, "cpu"), **changes)  # type: ignore[arg-type]


def tiny() -> Embedder:
    return Embedder.of(TrainedEncoder(tiny_generator().eval(), "tiny", "0" * 64, "", None), "cpu")


def volume(voxels: np.ndarray, geometry: Geometry | None = None) -> Volume:
    grid = geometry or Geometry(voxels.shape, np.diag([PIXEL, PIXEL, GAP, 1.0]))
    return Volume(np.ascontiguousarray(voxels), grid)


@pytest.fixture
def wide(head: np.ndarray) -> np.ndarray:
    """The head large enough to survive as one, in some air."""
    return np.pad(np.kron(head, np.ones((2, 2, 1), np.float32)), ((8, 8), (8, 8), (0, 0)))


def test_a_vector_is_the_mean_over_the_head_and_nothing_else(wide: np.ndarray) -> None:
    found = grey().embed(volume(wide), "T1")
    scaled = Geometry(wide.shape, np.eye(4)).to_slices(scale(wide))
    mask = head_mask([scaled])
    for number, (image, inside) in enumerate(zip(scaled, mask, strict=True)):
        assert found.slices["level0"][number, 0] == pytest.approx(image[inside].mean(), rel=1e-4)
    assert found.volume["level0"][0] == pytest.approx(scaled[mask].mean(), rel=1e-4)
    np.testing.assert_allclose(found.head_mm2, mask.sum(axis=(1, 2)) * PIXEL**2)


@pytest.mark.parametrize("embedder", [grey(), tiny()], ids=["grey", "tiny"])
def test_air_around_the_head_and_the_padding_do_not_count(
    embedder: Embedder, wide: np.ndarray
) -> None:
    narrow = embedder.embed(volume(wide), "T1")
    other = embedder.embed(volume(np.pad(wide, ((5, 64), (9, 31), (0, 0)))), "T1")
    for level, vector in narrow.volume.items():
        np.testing.assert_allclose(other.volume[level], vector, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(other.slices[level], narrow.slices[level], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(narrow.head_mm2, other.head_mm2)


def test_the_same_head_stored_in_any_order_gives_the_same_vectors(wide: np.ndarray) -> None:
    first: ScanEmbedding | None = None
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        voxels = wide.transpose(order)[tuple(np.s_[::sign] for sign in signs)]
        affine = np.eye(4)
        for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
            spacing = (PIXEL, PIXEL, GAP)[world]
            affine[:3, axis] = 0
            affine[world, axis] = sign * spacing
            affine[world, 3] = 0 if sign > 0 else spacing * (wide.shape[world] - 1)
        found = tiny().embed(volume(voxels, Geometry(voxels.shape, affine)), "T1")
        first = first or found
        np.testing.assert_array_equal(found.slices["level5"], first.slices["level5"])
        np.testing.assert_allclose(found.positions_mm, first.positions_mm, atol=1e-4)
    assert first is not None
    np.testing.assert_allclose(np.diff(first.positions_mm, axis=0), [[0, 0, GAP]] * 5)


def test_slices_without_head_are_zeros_and_count_nothing(wide: np.ndarray) -> None:
    whole = grey().embed(volume(wide), "T1")
    more = grey().embed(volume(np.pad(wide, ((0, 0), (0, 0), (2, 3)))), "T1")
    np.testing.assert_array_equal(more.slices["level1"][2:-3], whole.slices["level1"])
    assert not more.slices["level1"][:2].any()
    assert not more.slices["level1"][-3:].any()
    assert not more.head_mm2[[0, 1, -1]].any()
    np.testing.assert_allclose(more.volume["level1"], whole.volume["level1"])


def test_a_speck_in_the_air_is_no_head(wide: np.ndarray) -> None:
    clean = grey().embed(volume(wide), "T1")
    wide[1:4, 1:4] = 90
    np.testing.assert_allclose(grey().embed(volume(wide), "T1").head_mm2, clean.head_mm2)


def test_the_last_four_levels_are_kept_and_named_by_their_depth(wide: np.ndarray) -> None:
    embedder = tiny()
    channels = embedder.generator.channels
    assert embedder.levels == {f"level{n}": channels[n] for n in range(2, 6)}
    found = embedder.embed(volume(wide), "T1")
    assert {level: each.shape for level, each in found.slices.items()} == {
        level: (6, count) for level, count in embedder.levels.items()
    }
    assert {level: each.shape for level, each in found.volume.items()} == {
        level: (count,) for level, count in embedder.levels.items()
    }


def test_coarse_slices_are_magnified_as_in_synthesis(wide: np.ndarray) -> None:
    finer = grey(working_mm=PIXEL / 2)
    found = finer.embed(volume(wide), "T1")
    as_they_are = grey()
    plain = as_they_are.embed(volume(wide), "T1")
    ((_, _, *size),) = set(as_they_are.generator.sizes)  # type: ignore[arg-type]
    ((_, _, *magnified),) = set(finer.generator.sizes)  # type: ignore[arg-type]
    # Both are padded up to the stride.
    assert all(0 <= 2 * one - two < 8 for one, two in zip(size, magnified, strict=True))
    np.testing.assert_allclose(found.volume["level0"], plain.volume["level0"], rtol=0.02)
    np.testing.assert_array_equal(found.head_mm2, plain.head_mm2)


def test_half_precision_stays_near_full_precision(wide: np.ndarray) -> None:
    full = tiny().embed(volume(wide), "T1").volume["level5"]
    half = (
        dataclasses.replace(tiny(), dtype=torch.bfloat16).embed(volume(wide), "T1").volume["level5"]
    )
    assert half.dtype == np.float32
    assert 0 < np.abs(half - full).max() < 0.05 * np.abs(full).max()


def test_a_scan_without_a_head_is_refused() -> None:
    voxels = np.zeros((40, 40, 3), dtype=np.float32)
    voxels[20:23, 20:23] = 100
    with pytest.raises(InputError, match="no head is to be seen"):
        grey().embed(volume(voxels), "T1")


def test_values_that_are_not_finite_are_refused(wide: np.ndarray) -> None:
    broken = tiny()
    with torch.no_grad():
        for parameter in broken.generator.encoder.parameters():
            parameter.fill_(torch.nan)
    with pytest.raises(ModelError, match="not finite"):
        broken.embed(volume(wide), "T1")


def test_progress_tells_of_every_slice_with_head(wide: np.ndarray) -> None:
    told: list[tuple[int, int, str]] = []
    padded = np.pad(wide, ((0, 0), (0, 0), (2, 0)))
    grey().embed(volume(padded), "T1", lambda *step: told.append(step))
    assert told[-1] == (6, 6, "slices")


def test_an_unknown_device_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        Embedder.of(TrainedEncoder(tiny_generator(), "tiny", "", "", None), "abacus")
