import numpy as np
import pytest

from omnisyn.inference.shared_detail import with_shared_detail

PIXEL_MM = (1.0, 1.0)


def head() -> np.ndarray:
    """Two tissues in a round head in air, (2, 64, 64)."""
    rows, columns = np.mgrid[:64, :64] - 31.5
    distance = np.hypot(rows, columns)
    plane = np.select([distance < 16, distance < 28], [0.8, 0.5], 0.0)
    return np.stack([plane] * 2).astype(np.float32)


def textured(image: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 0.03, image.shape)
    return np.where(image > 0, image + noise, 0).clip(0, 1).astype(np.float32)


def test_flat_tissue_gets_the_detail_of_the_source() -> None:
    slope = np.linspace(0.7, 1.2, 64, dtype=np.float32)
    smooth = head() * slope
    source, made = textured(smooth), 0.6 * smooth
    found = with_shared_detail("T1c", made, {"FLAIR": made, "T1": source}, PIXEL_MM)
    inside = np.hypot(*(np.mgrid[:64, :64] - 31.5)) < 10
    texture, detail = (source - smooth)[0][inside], (found - made)[0][inside]
    assert np.corrcoef(detail, texture)[0, 1] > 0.9
    assert detail.std() == pytest.approx(0.6 * texture.std(), rel=0.4)
    # What changes slowly, and the air, stay as they were.
    assert found[0][inside].mean() == pytest.approx(made[0][inside].mean(), abs=0.01)
    assert np.all(found[source == 0] == made[source == 0])


def test_what_enhances_stays_as_the_network_made_it() -> None:
    """A vessel that is bright with agent alone is neither painted in nor taken away."""
    plain = head()
    vessel = np.zeros(plain.shape, dtype=bool)
    vessel[:, 30:33, 30:33] = True
    bright = np.where(vessel, 1.0, 0.7 * plain).astype(np.float32)
    enhanced = with_shared_detail("T1c", bright, {"T1": plain}, PIXEL_MM)
    without = with_shared_detail("T1", plain, {"T1c": bright}, PIXEL_MM)
    assert enhanced[vessel].mean() == pytest.approx(1.0, abs=0.03)
    assert without[vessel].mean() == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("partner", ["T1", "T1c"])
def test_t2_of_a_brain_gets_the_detail_upside_down(partner: str) -> None:
    smooth = head() * np.linspace(0.7, 1.2, 64, dtype=np.float32)
    source = textured(smooth)
    made = np.where(smooth > 0, 1 - smooth, 0).astype(np.float32)
    found = with_shared_detail("T2", made, {partner: source}, PIXEL_MM)
    inside = np.hypot(*(np.mgrid[:64, :64] - 31.5)) < 10
    texture, detail = (source - smooth)[0][inside], (found - made)[0][inside]
    assert np.corrcoef(detail, texture)[0, 1] < -0.9


@pytest.mark.parametrize(
    ("target", "sources"),
    [
        # Fat is bright in both: no brain.
        ("T2", ("T1",)),
        ("T1", ("T2", "FLAIR")),
        ("FLAIR", ("T1", "T2", "T1c")),
        ("T2", ("FLAIR",)),
    ],
)
def test_where_no_source_shares_it_the_synthesis_stays_as_it_was(
    target: str, sources: tuple[str, ...]
) -> None:
    made = 0.6 * head()
    shown = {name: textured(head()) for name in sources}
    assert with_shared_detail(target, made, shown, PIXEL_MM) is made


def test_t2_made_flat_stays_flat() -> None:
    """No correlation can be told of what does not vary."""
    made = np.full((1, 64, 64), 0.4, dtype=np.float32)
    assert with_shared_detail("T2", made, {"T1": textured(head())[:1]}, PIXEL_MM) is made


def test_a_copy_stays_a_copy_and_air_stays_air() -> None:
    source = textured(head())
    copied = with_shared_detail("T1c", source, {"T1": source}, PIXEL_MM)
    np.testing.assert_allclose(copied, source, atol=0.03)
    nothing = np.zeros((1, 8, 8), dtype=np.float32)
    assert with_shared_detail("T1c", nothing, {"T1": nothing}, PIXEL_MM) is nothing


def test_widths_are_in_millimetres() -> None:
    source, flat = textured(head()), 0.6 * head()
    once = with_shared_detail("T1c", flat, {"T1": source}, PIXEL_MM)
    fine_flat, fine_source = (image.repeat(2, axis=1).repeat(2, axis=2) for image in (flat, source))
    finer = with_shared_detail("T1c", fine_flat, {"T1": fine_source}, (0.5, 0.5))
    np.testing.assert_allclose(finer[:, ::2, ::2][source > 0], once[source > 0], atol=0.02)
