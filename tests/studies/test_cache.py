"""Training slices from caches: by patient, reproducible, every contrast of a slice together."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError, UsageError
from omnisyn.geometry import Geometry
from omnisyn.studies.appearance import GreyScales
from omnisyn.studies.cache import CachedSlices
from omnisyn.studies.cache_files import build_cache, open_cache
from omnisyn.studies.site import Site
from omnisyn.studies.slices import SliceSource
from omnisyn.volumes.write import write_volume
from tests.small_heads import NO_AUGMENTATION

MakeSite = Callable[..., Site]


def _cached(site: Site, **changes: object) -> CachedSlices:
    build_cache(site)
    options = {"batch_size": 6, "crop": 24, "seed": 3, "validation_fraction": 0.3, **changes}
    return CachedSlices([site], **options)  # type: ignore[arg-type]


def _rows(parts: dict[str, str]) -> list[dict[str, object]]:
    return [{"participant_id": patient, "split": part} for patient, part in parts.items()]


def test_batch_is_a_pure_function_of_seed_and_step(make_site: MakeSite):
    site = make_site()
    first, second = _cached(site), _cached(site)
    for _ in range(3):
        second.batch(0)
    one, same, other = first.batch(7), second.batch(7), first.batch(8)
    assert torch.equal(one.images, same.images)
    assert one.patients == same.patients
    assert not torch.equal(one.images, other.images)
    assert not torch.equal(one.images, _cached(site, seed=4).batch(7).images)


def test_cached_slices_are_a_slice_source(make_site: MakeSite):
    source = _cached(make_site())
    assert isinstance(source, SliceSource)
    assert source.name == "sim-site"
    assert source.simulated


def test_absent_contrasts_are_zero_and_present_ones_are_not(make_site: MakeSite):
    site = make_site(
        patients={"p1": ("T1", "FLAIR"), "p2": ("T2", "T1c", "PD")},
        rows=_rows({"p1": "train", "p2": "train"}),
        sidecars={"T2": {"FatSuppressed": True}},
    )
    batch = _cached(site, batch_size=16).batch(0)
    assert batch.images.shape == (16, 6, 24, 24)
    assert set(batch.patients) == {"sim-site/p1", "sim-site/p2"}
    for item, patient in enumerate(batch.patients):
        expected = {"T1", "FLAIR"} if patient.endswith("p1") else {"T1c", "T2", "PD"}
        for channel, name in enumerate(NAMES):
            assert bool(batch.present[item, channel]) == (name in expected)
            assert bool(batch.images[item, channel].any()) == (name in expected)
            suppressed = patient.endswith("p2") and name == "T2"
            assert bool(batch.fat_suppressed[item, channel]) == suppressed


def test_facts_of_the_acquisition_come_from_the_sidecars(make_site: MakeSite):
    site = make_site(
        patients={"p1": ("T1", "T2")},
        rows=_rows({"p1": "train"}),
        sidecars={"T2": {"RepetitionTime": 4.5, "EchoTime": 0.095, "MagneticFieldStrength": 3}},
    )
    batch = _cached(site).batch(0)
    assert batch.acquisition.shape == (6, 6, 4)
    for facts in batch.acquisition:
        assert facts[NAMES.index("T2"), [0, 1, 3]].tolist() == pytest.approx([4500, 95, 3])
        assert facts.isfinite().sum() == 3


def test_patients_are_drawn_evenly_however_many_contrasts_they_have(make_site: MakeSite):
    parts = {"p1": "train", "p2": "train", "p3": "train"}
    site = make_site(
        patients={"p1": ("T1", "T2"), "p2": NAMES, "p3": ("T1", "PD")}, rows=_rows(parts)
    )
    source = _cached(site, batch_size=50)
    counts = Counter(patient for step in range(12) for patient in source.batch(step).patients)
    assert len(counts) == 3
    assert max(counts.values()) < 1.3 * min(counts.values())


def test_only_head_slices_are_drawn(make_site: MakeSite):
    source = _cached(make_site(), batch_size=40, augmentation=NO_AUGMENTATION, crop=32)
    images = source.batch(0).images
    head = (images > 0.05).any(dim=1).float().mean(dim=(1, 2))
    assert head.min() >= 0.05 * (28 / 32) * 0.95


def test_unaugmented_full_crop_is_the_cached_slice(make_site: MakeSite):
    site = make_site(rows=_rows({f"p{number}": "train" for number in range(1, 5)}))
    source = _cached(site, augmentation=NO_AUGMENTATION, crop=64, batch_size=4)
    arrays = open_cache(site).arrays
    batch = source.batch(1)
    for item, patient in enumerate(batch.patients):
        array = torch.from_numpy(arrays[patient.split("/")[1]].astype("float32"))
        shown = batch.images[item][batch.present[item]]
        rows, columns = (shown.amax(0) > 0.01).nonzero().T
        window = shown[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        places = [(plane.amax(0) > 0.01).nonzero().T for plane in array]
        boxes = [
            plane[:, at[0].min() : at[0].max() + 1, at[1].min() : at[1].max() + 1]
            for plane, at in zip(array, places, strict=True)
            if at.shape[1] > 0
        ]
        same = [box for box in boxes if box.shape == window.shape]
        assert min(float((box - window).abs().max()) for box in same) < 1e-3


def test_grey_scales_change_training_slices_and_not_those_of_validation(make_site: MakeSite):
    scales = {"T1": GreyScales(slope=(1.5, 2.0), shift=(-1.0, -0.5))}
    site = make_site()
    plain, changed = _cached(site), _cached(site, grey_scales=scales)
    before, after = plain.batch(0).images, changed.batch(0).images
    place = NAMES.index("T1")
    assert float((after - before)[:, place].abs().max()) > 0.05
    assert torch.equal(after[:, place] == 0, before[:, place] == 0)
    assert torch.equal(after[:, place + 1 :], before[:, place + 1 :])
    assert torch.equal(changed.validation()[0].images, plain.validation()[0].images)


def test_split_column_decides_and_test_patients_are_untouched(make_site: MakeSite):
    site = make_site(rows=_rows({"p1": "validation", "p2": "train", "p3": "test", "p4": "train"}))
    source = _cached(site)
    assert source.training_patients == ("sim-site/p2", "sim-site/p4")
    assert source.validation_patients == ("sim-site/p1",)
    drawn = {patient for step in range(10) for patient in source.batch(step).patients}
    assert drawn == {"sim-site/p2", "sim-site/p4"}


def test_split_does_not_follow_the_seed_of_the_run(make_site: MakeSite):
    site = make_site(patients={f"p{number}": ("T1", "T2") for number in range(12)})
    splits = {_cached(site, seed=seed).validation_patients for seed in range(4)}
    assert len(splits) == 1
    assert 0 < len(splits.pop()) < 12


def test_validation_is_whole_head_slices_of_one_patient_each(make_site: MakeSite):
    site = make_site(rows=_rows({"p1": "validation", "p2": "train", "p3": "validation"}))
    source = _cached(site, validation_slices=3)
    batches = source.validation()
    arrays = open_cache(site).arrays
    assert len(batches) == len(source.validation_patients) >= 2
    for batch, label in zip(batches, source.validation_patients, strict=True):
        assert batch.patients == (label,) * 3
        expected = arrays[label.split("/")[1]][[2, 5, 7]].astype("float32")
        assert torch.equal(batch.images[:, [0, 2]], torch.from_numpy(expected))
    assert [len(batch) for batch in batches[1:]] == [3] * (len(batches) - 1)


def test_patients_with_one_contrast_are_left_out(make_site: MakeSite):
    parts = {"p1": "train", "p2": "train", "p3": "validation"}
    site = make_site(patients={"p1": ("T1",), "p2": ("T1", "T2"), "p3": ("T1",)}, rows=_rows(parts))
    source = _cached(site)
    assert source.training_patients == ("sim-site/p2",)
    assert len(source.validation()) == 0


def test_frames_of_different_size_share_a_batch(make_site: MakeSite):
    site = make_site(
        patients={"p1": ("T1", "T2"), "p2": ("T1",)},
        rows=_rows({"p1": "train", "p2": "train"}),
    )
    rows_along_first_axis = [[0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 4, 0], [0, 0, 0, 1]]
    larger = Geometry((48, 60, 12), rows_along_first_axis)
    slices = np.zeros(larger.slices_shape, dtype=np.float32)
    slices[2:10, 10:40, 20:50] = 100.0
    for name in ("T1", "T2"):
        path = site.path / "p2" / f"{name}.nii.gz"
        write_volume(path, larger.from_slices(slices), larger, overwrite=True)
    source = _cached(site, batch_size=12, augmentation=NO_AUGMENTATION, crop=64)
    batch = source.batch(0)
    areas = {
        patient: float((image[0] > 0.5).sum())
        for patient, image in zip(batch.patients, batch.images, strict=True)
    }
    assert set(areas) == {"sim-site/p1", "sim-site/p2"}
    assert areas["sim-site/p2"] == 30 * 30


@pytest.mark.parametrize("role", ["internal", "external"])
def test_held_out_sites_cannot_be_trained_on(make_site: MakeSite, role: str):
    with pytest.raises(UsageError, match=f"role {role} and cannot be trained on"):
        _cached(make_site(role=role))


def test_site_without_cache_or_training_patients_is_refused(make_site: MakeSite):
    site = make_site()
    with pytest.raises(InputError, match="omnisyn prepare"):
        CachedSlices([site], batch_size=2, crop=16, seed=0)
    with pytest.raises(UsageError, match="no site"):
        CachedSlices([], batch_size=2, crop=16, seed=0)
    lonely = make_site("sim-lonely", patients={"p1": ("T1",)})
    with pytest.raises(InputError, match="no patient of sim-lonely can be trained on"):
        _cached(lonely)
