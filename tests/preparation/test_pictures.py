"""Checkerboards show motion and sides as a radiologist sees them; histograms show the scaling."""

import io
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.preparation.pictures import (
    BINS,
    HISTOGRAMS,
    MOST_BYTES,
    histogram_picture,
    picture_file,
    registration_picture,
)

SHAPE, SPACING = (30, 90, 80), (4.0, 2.0, 2.0)
GEOMETRY = Geometry.axial(SHAPE, SPACING)


def head(shift: int = 0, geometry: Geometry = GEOMETRY) -> NDArray[np.float32]:
    """A uniform head in file order, moved to the patient's left by so many voxels."""
    places = np.meshgrid(*(np.linspace(-1, 1, size) for size in SHAPE), indexing="ij")
    inside = sum((place / 0.8) ** 2 for place in places) < 1
    hollow = (places[0] ** 2 + places[1] ** 2 + (places[2] - 0.3) ** 2) < 0.04
    inside &= ~hollow
    return geometry.from_slices(np.roll(inside.astype(np.float32) * 100, shift, axis=2))


def pixels(picture: bytes) -> NDArray[np.float64]:
    image = Image.open(io.BytesIO(picture))
    assert image.format == "PNG"
    assert image.mode == "L"
    return np.asarray(image, np.float64)


def halves(picture: bytes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Above before, below after; without the lines of words."""
    whole = pixels(picture)
    middle = len(whole) // 2
    return whole[16:middle], whole[middle + 16 :]


def test_what_lies_right_looks_as_if_there_were_no_squares() -> None:
    still = head()
    before, after = halves(registration_picture(still, head(6), still, GEOMETRY, simulated=False))
    whole, _ = halves(registration_picture(still, still, still, GEOMETRY, simulated=False))
    assert np.array_equal(after, whole)
    assert np.abs(before - whole).mean() > 3


def test_the_contrast_is_scaled_like_the_reference_whatever_its_units() -> None:
    still = head()
    one = registration_picture(still, still, still, GEOMETRY, simulated=False)
    assert registration_picture(still, still * 7, still * 7, GEOMETRY, simulated=False) == one


def test_the_axial_plane_has_anterior_up_and_the_right_side_left() -> None:
    marked = GEOMETRY.to_slices(head())
    # Anterior rows and the patient's right are the first ones of the model grid.
    marked[:, 15:25, 20:30] = 500
    voxels = GEOMETRY.from_slices(marked)
    above, _ = halves(registration_picture(voxels, voxels, voxels, GEOMETRY, simulated=False))
    third = above[:, : above.shape[1] // 3]
    rows, columns = np.nonzero(third >= 250)
    assert rows.mean() < third.shape[0] / 2
    assert columns.mean() < third.shape[1] / 2


def test_the_file_order_of_the_grid_makes_no_difference() -> None:
    turned = Geometry((80, 30, 90), GEOMETRY.affine[:, [0, 2, 1, 3]])
    still, moved = head(geometry=turned), head(5, geometry=turned)
    assert registration_picture(still, moved, still, turned, simulated=False) == (
        registration_picture(head(), head(5), head(), GEOMETRY, simulated=False)
    )


def test_pixels_are_square_in_mm() -> None:
    picture = pixels(registration_picture(*[head()] * 3, GEOMETRY, simulated=False))
    # Axial 72 × 64 voxels of 2 mm, coronal and sagittal 24 of 4 mm high; a pixel is 1 mm.
    assert picture.shape[1] == pytest.approx(128 + 128 + 144 + 6 * 4, abs=16)
    assert picture.shape[0] == pytest.approx(2 * (144 + 2 * 4 + 16), abs=16)


def test_noise_is_kept_below_the_most_bytes() -> None:
    noise = np.random.default_rng(0).uniform(0, 1, (160, 160, 160)).astype(np.float32)
    geometry = Geometry.axial(noise.shape, (1.0, 1.0, 1.0))
    picture = registration_picture(noise, noise, noise, geometry, simulated=False)
    assert MOST_BYTES / 2 < len(picture) <= MOST_BYTES


def test_a_contrast_that_shares_no_place_before_is_drawn_as_nothing() -> None:
    still = head()
    before, after = halves(
        registration_picture(still, np.zeros_like(still), still, GEOMETRY, simulated=False)
    )
    assert 0.3 < before.sum() / after.sum() < 0.7


def test_no_signal_after_registration_is_refused() -> None:
    still = head()
    with pytest.raises(InputError, match="no signal"):
        registration_picture(still, still, np.zeros_like(still), GEOMETRY, simulated=False)


def test_a_single_slice_has_a_picture() -> None:
    geometry = Geometry.axial((1, 40, 40), (5.0, 2.0, 2.0))
    plane = np.zeros((40, 40, 1), np.float32)
    plane[5:35, 5:35] = 50
    assert pixels(registration_picture(plane, plane, plane, geometry, simulated=False)).max() > 200


def test_simulated_is_said_in_the_picture() -> None:
    said, unsaid = (
        pixels(registration_picture(*[head()] * 3, GEOMETRY, simulated=simulated))
        for simulated in (True, False)
    )
    assert said.shape == unsaid.shape
    assert said[:16].sum() > unsaid[:16].sum()
    values = {"T1": np.ones(3)}
    assert b"SIMULATED" in histogram_picture(values, values, simulated=True)
    assert b"SIMULATED" not in histogram_picture(values, values, simulated=False)


def test_histograms_stand_beside_each_other_by_contrast() -> None:
    values = np.random.default_rng(0).uniform(0, 900, 2000)
    drawn = histogram_picture(
        {"T1": values, "T2": values * 2}, {"T1": values / 900, "T2": values / 900}, simulated=False
    )
    root = ElementTree.fromstring(drawn)
    words = [item.text or "" for item in root.iter("{http://www.w3.org/2000/svg}text")]
    titles = [word for word in words if "," in word]
    assert [title.split(",")[0] for title in titles] == ["T1", "T1", "T2", "T2"]
    # Every axis begins at 0; that of the file ends near its largest value, that of [0, 1] at 1.
    ends = [float(word) for word in words if "," not in word and word != "0"]
    assert ends == [pytest.approx(900, rel=0.01), 1, pytest.approx(1800, rel=0.01), 1]
    bars = [item.get("d", "") for item in root.iter("{http://www.w3.org/2000/svg}path")]
    assert [path.count("H") for path in bars] == [BINS] * 4
    assert bars[0].replace("0 ", "") != bars[1]
    assert len(drawn) < 8000


def test_a_histogram_of_nothing_is_empty_and_no_error() -> None:
    nothing = {"T1": np.zeros(0)}
    assert b"<path" in histogram_picture(nothing, nothing, simulated=False)


def test_pictures_have_a_place_each() -> None:
    folder = Path("preparation")
    assert picture_file(folder, "p1", "T2") == folder / "p1" / "T2.png"
    assert picture_file(folder, "p1", HISTOGRAMS) == folder / "p1" / "histograms.svg"
