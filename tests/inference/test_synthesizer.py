import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from omnisyn.contrasts import contrast
from omnisyn.errors import ModelError, ResourceError, UsageError
from omnisyn.geometry import Geometry
from omnisyn.inference import synthesizer
from omnisyn.inference import synthesizer as module
from omnisyn.inference.batches import BATCH_PIXELS
from omnisyn.inference.synthesizer import Synthesizer
from omnisyn.models.clip.texts import Acquisition
from omnisyn.volumes.normalize import head_mask, scale
from omnisyn.volumes.volume import Volume

GRID = Geometry((20, 24, 6), np.diag([1.5, 1.5, 4.0, 1.0]))


@pytest.fixture
def loaded(tiny_weights: Path) -> Synthesizer:
    return Synthesizer.load(tiny_weights, device="cpu")


def test_targets_come_back_on_the_grid_within_the_range(
    loaded: Synthesizer, head: np.ndarray
) -> None:
    made = loaded.synthesize({"T1": Volume(head, GRID)}, ["T2", "flair"])
    assert list(made) == ["T2", "FLAIR"]
    for slices in made.values():
        assert slices.shape == GRID.slices_shape
        assert slices.dtype == np.float32
        assert slices.min() >= 0
        assert slices.max() <= 1
    assert not np.array_equal(made["T2"], made["FLAIR"])


def test_each_target_may_get_the_detail_of_its_sources(
    loaded: Synthesizer, head: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices = GRID.to_slices(scale(head))
    sources = {"T2": 0.5 * slices, "PD": slices}
    monkeypatch.setattr(module, "brightest_possible", lambda shown, pixel_mm: np.float32(1))
    plain = loaded.on_pixels(2.0, 3.0).synthesize_slices(sources, ["T1", "FLAIR"])

    def mark(
        target: str,
        made: np.ndarray,
        shown: dict[str, np.ndarray],
        pixel_mm: tuple[float, float],
    ) -> np.ndarray:
        assert shown is sources
        assert pixel_mm == (2.0, 3.0)
        np.testing.assert_array_equal(made, plain[target])
        return np.full_like(made, 0.25 if target == "FLAIR" else 0.75)

    monkeypatch.setattr(module, "with_shared_detail", mark)
    made = loaded.on_pixels(2.0, 3.0).synthesize_slices(sources, ["T1", "FLAIR"])
    assert {name: set(np.unique(values)) for name, values in made.items()} == {
        "T1": {0.75},
        "FLAIR": {0.25},
    }


def test_air_is_no_brighter_than_in_the_sources(loaded: Synthesizer, head: np.ndarray) -> None:
    slices = GRID.to_slices(scale(head))
    made = loaded.on_pixels(50.0, 50.0).synthesize_slices({"T1": slices}, ["T2"])["T2"]
    # With such pixels all that is not head is far from it.
    air = ~head_mask([slices])
    assert air.any()
    assert np.all(made[air] <= slices[air])
    assert made[~air].max() > slices[air].max()


def test_the_model_sees_the_scaled_source_unmirrored(echo: Synthesizer, head: np.ndarray) -> None:
    made = echo.synthesize({"T1": Volume(head, GRID)}, ["T2"])
    np.testing.assert_array_equal(GRID.from_slices(made["T2"]), scale(head))


def test_coarse_pixels_are_finer_for_the_network_alone(echo: Synthesizer, head: np.ndarray) -> None:
    _, rows_mm, columns_mm = GRID.slice_spacing
    _, rows, columns = GRID.slices_shape
    finer = dataclasses.replace(echo, working_mm=min(rows_mm, columns_mm) / 1.5)
    made = finer.synthesize({"T1": Volume(head, GRID)}, ["T2"])["T2"]
    [shape] = {shape[2:] for shape in echo.generator.encoded}
    wanted = (rows * rows_mm / finer.working_mm, columns * columns_mm / finer.working_mm)
    assert shape == pytest.approx(wanted, abs=0.5)
    assert made.shape == GRID.slices_shape
    # There and back: edges are softened, and nothing is shifted or mirrored.
    truth = GRID.to_slices(scale(head))
    assert np.corrcoef(made.ravel(), truth.ravel())[0, 1] > 0.98
    # Pixels as fine as those of the weights are left alone.
    fine = dataclasses.replace(echo, working_mm=max(rows_mm, columns_mm))
    np.testing.assert_array_equal(fine.synthesize({"T1": Volume(head, GRID)}, ["T2"])["T2"], truth)
    plain = dataclasses.replace(finer, plain=True)
    np.testing.assert_array_equal(plain.synthesize({"T1": Volume(head, GRID)}, ["T2"])["T2"], truth)


def test_plain_is_what_the_network_makes_and_nothing_besides(
    echo: Synthesizer, head: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("it is changed behind the network")

    plain = dataclasses.replace(echo, plain=True)
    monkeypatch.setattr(synthesizer, "with_shared_detail", forbidden)
    made = plain.synthesize({"T1": Volume(head, GRID)}, ["T1c"])["T1c"]
    np.testing.assert_array_equal(made, GRID.to_slices(scale(head)))
    with pytest.raises(AssertionError, match="behind the network"):
        echo.synthesize({"T1": Volume(head, GRID)}, ["T1c"])


def test_each_source_is_encoded_once_and_decoded_once_per_target(
    echo: Synthesizer, head: np.ndarray
) -> None:
    volumes = {"T1": Volume(head, GRID), "T1c": Volume(2 * head, GRID)}
    echo.synthesize(volumes, ["T2", "FLAIR", "PD"])
    assert [shape[1:] for shape in echo.generator.encoded] == [(2, 24, 20)]
    assert echo.generator.decoded == ["T2", "FLAIR", "PD"]


def test_batching_does_not_change_the_values(
    loaded: Synthesizer, head: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    volumes = {"T1": Volume(head, GRID), "PD": Volume(np.sqrt(head), GRID)}
    whole = loaded.synthesize(volumes, ["T2"])["T2"]
    monkeypatch.setitem(BATCH_PIXELS, "cpu", 1)
    steps: list[tuple[int, int, str]] = []
    single = loaded.synthesize(volumes, ["T2"], lambda *step: steps.append(step))["T2"]
    np.testing.assert_allclose(single, whole, atol=1e-5)
    assert steps == [(done, 6, "T2") for done in range(1, 7)]


def test_slices_without_any_signal_stay_empty(loaded: Synthesizer, head: np.ndarray) -> None:
    head[..., :2] = 0
    made = loaded.synthesize({"T1": Volume(head, GRID)}, ["T2"])["T2"]
    assert not made[:2].any()
    assert made[2:].any(axis=(1, 2)).all()


def test_all_means_every_contrast_that_is_not_a_source(echo: Synthesizer) -> None:
    assert echo.targets(["all"], ["T1", "T2"]) == ("T1c", "FLAIR", "PD", "MRA")
    assert echo.targets(["T2", "all", "t2w"], ["T1"]) == ("T2", "T1c", "FLAIR", "PD", "MRA")
    few = dataclasses.replace(echo, contrasts=("T1", "T1c", "T2"))
    assert few.targets(["all"], ["T1"]) == ("T1c", "T2")
    with pytest.raises(UsageError, match="do not know MRA"):
        few.targets(["MRA"], ["T1"])
    with pytest.raises(UsageError, match="T1 is a source"):
        few.targets(["T1"], ["T1"])


class Hungry(torch.nn.Module):
    """Runs out of memory above a number of slices."""

    def __init__(self, model: torch.nn.Module, most: int, fault: Exception) -> None:
        super().__init__()
        self.model, self.most, self.fault = model, most, fault
        self.condition, self.decode = model.condition, model.decode

    def encode_sources(
        self, images: torch.Tensor, present: torch.Tensor, contrasts: torch.Tensor
    ) -> list[torch.Tensor]:
        """Refuses large batches."""
        if len(images) > self.most:
            raise self.fault
        return self.model.encode_sources(images, present, contrasts)


OUT_OF_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
]


@pytest.mark.parametrize("fault", OUT_OF_MEMORY, ids=lambda fault: type(fault).__name__)
def test_out_of_memory_halves_the_batch_once_and_says_so(
    echo: Synthesizer, head: np.ndarray, fault: Exception
) -> None:
    heard: list[str] = []
    hungry = dataclasses.replace(
        echo, generator=Hungry(echo.generator, 3, fault), note=heard.append
    )
    made = hungry.synthesize({"T1": Volume(head, GRID)}, ["T2"])["T2"]
    np.testing.assert_array_equal(GRID.from_slices(made), scale(head))
    assert heard == ["out of memory: going on with 3 slices at a time"]
    starving = dataclasses.replace(echo, generator=Hungry(echo.generator, 2, fault))
    with pytest.raises(ResourceError, match="24 × 20, 3 at a time"):
        starving.synthesize({"T1": Volume(head, GRID)}, ["T2"])


def test_other_faults_are_not_taken_for_lack_of_memory(echo: Synthesizer, head: np.ndarray) -> None:
    broken = Hungry(echo.generator, 0, RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        dataclasses.replace(echo, generator=broken).synthesize({"T1": Volume(head, GRID)}, ["T2"])


def test_values_that_are_not_finite_are_refused(loaded: Synthesizer, head: np.ndarray) -> None:
    with torch.no_grad():
        loaded.generator.target_vectors.fill_(torch.nan)
    with pytest.raises(ModelError, match="not finite"):
        loaded.synthesize({"T1": Volume(head, GRID)}, ["T2"])


def test_half_precision_stays_near_full_precision(
    tiny_weights: Path, loaded: Synthesizer, head: np.ndarray
) -> None:
    volumes = {"T1": Volume(head, GRID)}
    full = loaded.synthesize(volumes, ["T2"])["T2"]
    half = Synthesizer.load(tiny_weights, device="cpu", precision="bfloat16")
    assert half.identity.precision == "bfloat16"
    made = half.synthesize(volumes, ["T2"])["T2"]
    error = np.mean((made - full) ** 2)
    assert 0 < error < 10**-4.5


def test_no_source_is_a_usage_error(echo: Synthesizer) -> None:
    with pytest.raises(UsageError, match="no source"):
        echo.synthesize_slices({}, ["T2"])


@pytest.fixture
def worded(worded_weights: Path) -> Synthesizer:
    return Synthesizer.load(worded_weights, device="cpu")


def test_numbers_are_told_to_say_nothing_to_weights_that_were_not_trained_on_them(
    worded: Synthesizer,
) -> None:
    untrained = dataclasses.replace(worded, described=False)
    for asked in ({"acquisition": Acquisition(echo_time_ms=90)}, {"prompt": "T2, TE 90 ms"}):
        (odd,) = untrained.asking(**asked).oddities(["T2"])
        assert "the numbers may say nothing" in odd
        assert worded.asking(**asked).oddities(["T2"]) == []
    assert untrained.asking(prompt="T2-weighted").oddities(["T2"]) == []


def test_what_is_asked_for_acts_on_the_image_and_always_alike(
    worded: Synthesizer, head: np.ndarray
) -> None:
    def made(model: Synthesizer) -> np.ndarray:
        return model.synthesize({"T1": Volume(head, GRID)}, ["T2"])["T2"]

    plain = made(worded)
    images = [
        made(worded.asking(acquisition))
        for acquisition in (
            Acquisition(True),
            Acquisition(False, echo_time_ms=90),
            Acquisition(False, echo_time_ms=30),
            Acquisition(False, repetition_time_ms=2500),
            Acquisition(False, inversion_time_ms=170),
            Acquisition(False, field_tesla=3),
        )
    ]
    images.append(made(worded.asking(prompt="T2-weighted, very dark muscle")))
    for place, image in enumerate(images):
        for other in (plain, *images[:place]):
            assert np.abs(image - other).max() > 1e-5
    again = made(worded.asking(prompt="T2-weighted, very dark muscle"))
    np.testing.assert_array_equal(images[-1], again)
    np.testing.assert_array_equal(made(worded.asking(Acquisition(False))), plain)
    np.testing.assert_array_equal(made(worded.asking(Acquisition(True)).asking()), plain)


@pytest.mark.parametrize("fat_suppressed", [False, True])
def test_the_canonical_sentence_gives_the_canonical_image(
    worded: Synthesizer, head: np.ndarray, fat_suppressed: bool
) -> None:
    volumes = {"T1": Volume(head, GRID)}
    canonical = worded.asking(Acquisition(fat_suppressed)).synthesize(volumes, ["T2"])["T2"]
    prompt = contrast("T2").describe(fat_suppressed)
    made = worded.asking(prompt=prompt).synthesize(volumes, ["T2"])["T2"]
    # As far as tower and vectors agree in float16.
    np.testing.assert_allclose(made, canonical, atol=1e-5)
    other = worded.asking(prompt=contrast("T2").describe(not fat_suppressed))
    assert np.abs(other.synthesize(volumes, ["T2"])["T2"] - canonical).max() > 3e-5


def test_weights_without_a_text_tower_know_fat_alone(
    loaded: Synthesizer, echo: Synthesizer, head: np.ndarray
) -> None:
    volumes = {"T1": Volume(head, GRID)}
    suppressed = loaded.asking(Acquisition(fat_suppressed=True))
    plain = loaded.synthesize(volumes, ["T2"])["T2"]
    assert not np.array_equal(suppressed.synthesize(volumes, ["T2"])["T2"], plain)
    for model in (loaded, echo):
        with pytest.raises(ModelError, match="the twelve canonical targets only"):
            model.asking(Acquisition(echo_time_ms=90))
        with pytest.raises(ModelError, match="the twelve canonical targets only"):
            model.asking(prompt="T2")


def test_odd_words_and_several_targets_of_a_prompt_are_told(
    worded: Synthesizer, head: np.ndarray
) -> None:
    heard: list[str] = []
    asking = worded.telling(heard.append).asking(prompt="T2 of vesuvius")
    asking.synthesize({"T1": Volume(head, GRID)}, ["T2"])
    assert heard == ["the text tower does not know: vesuvius"]
    with pytest.raises(UsageError, match="a prompt is of one target"):
        asking.synthesize({"T1": Volume(head, GRID)}, ["T2", "PD"])


def test_sources_are_looked_at_without_what_is_asked(
    worded: Synthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = {"T1": np.random.default_rng(0).uniform(size=(2, 24, 20)).astype(np.float32)}
    plain = worded.synthesize_slices(sources, ["T2"])["T2"]
    monkeypatch.setattr(
        module,
        "changed_on_the_way",
        lambda synthesize, shown, name, _: synthesize({name: shown}, ["T2"])["T2"],
    )
    monkeypatch.setattr(module, "examined_slices", lambda slices: slices)
    monkeypatch.setattr(module, "examine", lambda *given: given[4])
    calibrated = dataclasses.replace(
        worded.asking(Acquisition(True)), calibration=SimpleNamespace(familiarity=None)
    )
    np.testing.assert_array_equal(calibrated.familiarity(sources)["T1"], plain)


def test_what_is_asked_of_targets_is_asked_of_nothing_else(
    worded: Synthesizer, head: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = worded.asking(Acquisition(False, echo_time_ms=90))
    sources = {"T1": GRID.to_slices(scale(head))}
    made = asking.synthesize_slices(sources, ["T2"])
    flair = worded.synthesize_slices(sources, ["FLAIR"])["FLAIR"]
    monkeypatch.setattr(
        module,
        "expected_errors",
        lambda synthesize, shown, *_: {
            name: synthesize(shown, [name])[name] for name in ("T2", "FLAIR")
        },
    )
    monkeypatch.setattr(Synthesizer, "calibrated", lambda _: SimpleNamespace(errors=None))
    again = asking.expected_errors(sources, made)
    np.testing.assert_array_equal(again["T2"], made["T2"])
    np.testing.assert_array_equal(again["FLAIR"], flair)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize(("precision", "decibels"), [("float32", 60), ("bfloat16", 45)])
def test_gpu_and_cpu_agree(
    tiny_weights: Path, loaded: Synthesizer, head: np.ndarray, precision: str, decibels: float
) -> None:
    volumes = {"T1": Volume(head, GRID), "PD": Volume(np.sqrt(head), GRID)}
    cpu = loaded.synthesize(volumes, ["T2"])["T2"]
    gpu = Synthesizer.load(tiny_weights, "cuda", precision).synthesize(volumes, ["T2"])["T2"]
    assert -10 * np.log10(np.mean((gpu - cpu) ** 2) + 1e-12) >= decibels
