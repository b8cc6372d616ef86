"""Of several scans of one contrast one is taken, from headers alone, and it is said why."""

from pathlib import Path

from omnisyn.contrasts import contrast
from omnisyn.inference.patients import Source
from omnisyn.inference.repeats import without_repeats
from tests.bids_dataset import write_scan


def test_one_scan_of_each_contrast_is_taken(tmp_path: Path) -> None:
    first = write_scan(tmp_path / "sub-01_run-9_T1w.nii.gz", 1)
    last = write_scan(tmp_path / "sub-01_run-10_T1w.nii.gz", 2)
    across = write_scan(tmp_path / "sub-01_run-11_T1w.nii.gz", 3, coarse_axis=0)
    # Headers alone are read: the rest of the file is gone.
    first.write_bytes(first.read_bytes()[:-900])
    other = Source(write_scan(tmp_path / "sub-01_T2w.nii.gz", 4), contrast("T2"))
    alike = [Source(path, contrast("T1")) for path in (first, last, across)]

    taken, told = without_repeats([*alike, other])

    assert taken == (alike[1], other)
    assert told == (
        "sub-01_run-10_T1w.nii.gz was taken of 3 T1 scans: its slices are axial and it is the "
        "last of its like",
    )


def test_a_scan_without_a_header_does_not_stand_in_the_way_of_another(tmp_path: Path) -> None:
    good = Source(write_scan(tmp_path / "sub-01_run-1_T1w.nii.gz", 1), contrast("T1"))
    empty = Source(tmp_path / "sub-01_run-2_T1w.nii.gz", contrast("T1"))
    empty.path.touch()

    taken, (told,) = without_repeats([good, empty])

    assert taken == (good,)
    assert told.startswith("left out: sub-01_run-2_T1w.nii.gz: ")


def test_where_no_header_can_be_read_the_first_is_left_to_its_reader(tmp_path: Path) -> None:
    sources = [Source(tmp_path / f"sub-01_run-{run}_T1w.nii.gz", contrast("T1")) for run in (1, 2)]
    assert without_repeats(sources)[0] == (sources[0],)


def test_scans_whose_contrast_is_not_known_yet_all_stay(tmp_path: Path) -> None:
    sources = tuple(Source(tmp_path / name, None) for name in ("a.nii.gz", "b.nii.gz"))
    assert without_repeats(sources) == (sources, ())
