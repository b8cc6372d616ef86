"""The slice cache: whole or not at all, and never used for files it was not made from."""

import json
import os
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from omnisyn.errors import InputError, ResourceError
from omnisyn.studies import cache_files
from omnisyn.studies.cache_files import CachedPatient, build_cache, open_cache
from omnisyn.studies.site import Site

MakeSite = Callable[..., Site]
WriteHead = Callable[..., Path]


def test_cached_slices_are_the_scaled_study(make_site: MakeSite):
    site = make_site(patients={"p1": ("T2", "T1")}, sidecars={"T2": {"FatSuppressed": True}})
    build_cache(site)
    cache = open_cache(site)
    entry, array = cache.patients["p1"], cache.arrays["p1"]
    study = site.patients()[0].study()
    assert entry.contrasts == ("T1", "T2")
    assert entry.fat_suppressed == (False, True)
    assert entry.spacing_mm == pytest.approx((4.0, 1.0, 1.0))
    assert array.dtype == np.float16
    assert isinstance(array, np.memmap)
    for channel, name in enumerate(entry.contrasts):
        np.testing.assert_allclose(array[:, channel], study.scaled(name), atol=5e-4)


def test_head_slices_and_boxes_follow_the_head(make_site: MakeSite):
    site = make_site(patients={"p1": ("T1", "T2")})
    entry = build_cache(site).patients[0]
    head = open_cache(site).arrays["p1"].max(axis=1) > 0
    assert entry.head_slices == [1, 2, 3, 4, 5, 6, 7, 8]
    assert entry.head_box[0] == (0, 0, 0, 0)
    for index in entry.head_slices:
        top, bottom, left, right = entry.head_box[index]
        # The opening may shave single pixels off the tips of the ellipse, nothing more.
        outside = head[index].copy()
        outside[top:bottom, left:right] = False
        assert outside.sum() <= 4
        assert entry.head_fraction[index] == pytest.approx(head[index].mean(), abs=0.01)


def test_files_touched_but_unchanged_are_still_trusted(make_site: MakeSite):
    site = make_site()
    build_cache(site)
    file = site.patients()[0].file("T1")
    os.utime(file, ns=(1, 1))
    assert set(open_cache(site).patients) == {"p1", "p2", "p3", "p4"}


def _edit_volume(site: Site, write_head: WriteHead) -> None:
    write_head(site.path / "p1" / "T1.nii.gz", "T1", seed=99, sidecar={"Simulated": True})


def _edit_same_size(site: Site, write_head: WriteHead) -> None:
    path = site.path / "p1" / "T1.json"
    path.write_text(path.read_text().replace("true", "1   "))
    os.utime(path, ns=(1, 1))


def _remove_sidecar(site: Site, write_head: WriteHead) -> None:
    (site.path / "p1" / "T1.json").unlink()


def _add_contrast(site: Site, write_head: WriteHead) -> None:
    write_head(site.path / "p2" / "FLAIR.nii.gz", "FLAIR")


def _add_patient(site: Site, write_head: WriteHead) -> None:
    write_head(site.path / "p9" / "T1.nii.gz", "T1")


def _cut_array(site: Site, write_head: WriteHead) -> None:
    path = site.cache / "p3.npy"
    path.write_bytes(path.read_bytes()[:-1000])


def _swap_array(site: Site, write_head: WriteHead) -> None:
    np.save(site.cache / "p3.npy", np.zeros((2, 2, 4, 4), dtype=np.float16))


def _lose_array(site: Site, write_head: WriteHead) -> None:
    (site.cache / "p3.npy").unlink()


def _cut_index(site: Site, write_head: WriteHead) -> None:
    path = site.cache / "index.json"
    path.write_text(path.read_text()[:-50])


def _deepen_index(site: Site, write_head: WriteHead) -> None:
    (site.cache / "index.json").write_text("[" * 100_000)


def _lengthen_index(site: Site, write_head: WriteHead) -> None:
    (site.cache / "index.json").write_text('{"format": 1' + "0" * 5000 + "}")


def _age_index(site: Site, write_head: WriteHead) -> None:
    path = site.cache / "index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 0}))


def _lose_index(site: Site, write_head: WriteHead) -> None:
    (site.cache / "index.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_edit_volume, r"is stale \(p1/T1"),
        (_edit_same_size, r"is stale \(p1/T1.json has changed"),
        (_remove_sidecar, r"is stale \(p1/T1.json was added or removed"),
        (_add_contrast, r"is stale \(p2/FLAIR.nii.gz was added or removed"),
        (_add_patient, r"is stale \(patient p9 was added or removed"),
        (_cut_array, r"is torn \(p3.npy"),
        (_swap_array, r"is torn \(p3.npy"),
        (_lose_array, r"is torn \(p3.npy"),
        (_cut_index, "cannot be read"),
        (_deepen_index, "cannot be read"),
        (_lengthen_index, "cannot be read"),
        (_age_index, "cannot be read"),
        (_lose_index, "does not exist"),
    ],
)
def test_stale_or_torn_cache_is_refused_and_prepare_named(
    make_site: MakeSite,
    write_head: WriteHead,
    damage: Callable[[Site, WriteHead], None],
    message: str,
):
    site = make_site()
    build_cache(site)
    damage(site, write_head)
    with pytest.raises(InputError, match=message) as refusal:
        open_cache(site)
    assert "omnisyn prepare ROOT/sim-site" in str(refusal.value)
    assert str(site.path.parent) not in str(refusal.value)
    build_cache(site)
    assert "p1" in open_cache(site).patients


def test_failed_build_leaves_the_older_cache_and_nothing_else(
    make_site: MakeSite, write_head: WriteHead
):
    site = make_site()
    build_cache(site)
    before = (site.cache / "index.json").read_bytes()
    (site.path / "p4" / "T2.nii.gz").write_bytes(b"no image")
    with pytest.raises(InputError, match="sim-site/p4"):
        build_cache(site)
    assert (site.cache / "index.json").read_bytes() == before
    assert sorted(path.name for path in site.path.iterdir()) == [
        "cache", "p1", "p2", "p3", "p4", "patients.tsv", "site.toml",
    ]  # fmt: skip


@pytest.mark.parametrize("change", [_edit_volume, _add_contrast])
def test_cache_that_is_replaced_while_it_is_opened_is_opened_anew(
    make_site: MakeSite,
    write_head: WriteHead,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Site, WriteHead], None],
):
    site = make_site()
    build_cache(site)
    map_array = cache_files._map_array
    mapped: list[str] = []

    def interrupted(site: Site, entry: CachedPatient) -> NDArray[np.float16]:
        if not mapped:
            change(site, write_head)
            build_cache(site)
        mapped.append(entry.identifier)
        return map_array(site, entry)

    monkeypatch.setattr(cache_files, "_map_array", interrupted)
    opened = open_cache(site)
    monkeypatch.undo()
    wanted = open_cache(site)
    assert opened.patients == wanted.patients
    for identifier, array in wanted.arrays.items():
        np.testing.assert_array_equal(opened.arrays[identifier], array)


def test_disk_that_refuses_an_array_is_given_its_own_reason(make_site: MakeSite):
    site = make_site()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, before[1]))
    try:
        with pytest.raises(ResourceError, match=r"p1.npy: cannot write the cache \(File too large"):
            build_cache(site)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_progress_counts_the_patients(make_site: MakeSite):
    told: list[tuple[int, int, str]] = []
    build_cache(make_site(), lambda *words: told.append(words))
    assert told == [(0, 4, "p1"), (1, 4, "p2"), (2, 4, "p3"), (3, 4, "p4")]
