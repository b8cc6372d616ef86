import pytest

from omnisyn.contrasts import contrast
from omnisyn.inference.naming import stem, synthetic_stem, uncertainty_stem, without_contrast


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        # The rows of the convention.
        ("sub-01_T1w.nii.gz", "T2", "sub-01_desc-synth_T2w"),
        ("sub-01_T1w.nii.gz", "T1c", "sub-01_ce-gadolinium_desc-synth_T1w"),
        ("T1.nii.gz", "T2", "desc-synth_T2w"),
        ("case7_T1.nii.gz", "T2", "case7_desc-synth_T2w"),
        # Entities stay in BIDS order; those of the source's contrast go.
        ("sub-01_ce-gadolinium_T1w.nii.gz", "T2", "sub-01_desc-synth_T2w"),
        (
            "sub-01_ses-2_acq-tse_run-1_T2w.nii",
            "T1c",
            "sub-01_ses-2_acq-tse_ce-gadolinium_run-1_desc-synth_T1w",
        ),
        ("sub-01_desc-brain_T1w.nii.gz", "FLAIR", "sub-01_desc-synth_FLAIR"),
        # Names that nobody planned.
        ("sub.01.nii.gz", "T2", "sub.01_desc-synth_T2w"),
        ("CE-T1WI", "T2", "desc-synth_T2w"),
        ("t1_post.nii.gz", "T2", "desc-synth_T2w"),
        ("patient_CE-T1WI.nii.gz", "PD", "patient_desc-synth_PDw"),
        ("case7-T1.nii.gz", "MRA", "case7_desc-synth_angio"),
        ("T1_case7.nii.gz", "T2", "case7_desc-synth_T2w"),
        ("series 12", "T2", "series 12_desc-synth_T2w"),
        ("sub-01_left_T1w.nii.gz", "T2", "sub-01_left_desc-synth_T2w"),
    ],
)
def test_names_follow_the_convention(source: str, target: str, expected: str) -> None:
    assert synthetic_stem(source, contrast(target)) == expected


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("sub-01_T1w.nii.gz", "T2", "sub-01_mod-T2w_desc-synth_uncertainty"),
        ("sub-01_T2w.nii.gz", "T1c", "sub-01_ce-gadolinium_mod-T1w_desc-synth_uncertainty"),
        ("case7_T1.nii.gz", "FLAIR", "case7_mod-FLAIR_desc-synth_uncertainty"),
        ("T1.nii.gz", "T2", "mod-T2w_desc-synth_uncertainty"),
    ],
)
def test_a_map_of_uncertainty_names_what_it_is_about(
    source: str, target: str, expected: str
) -> None:
    assert uncertainty_stem(source, contrast(target)) == expected


def test_a_stem_loses_only_image_suffixes() -> None:
    assert stem("sub.01.nii.gz") == "sub.01"
    assert stem("T1.NII") == "T1"
    assert stem("folder.v2") == "folder.v2"
    assert stem(".nii.gz") == ".nii.gz"


def test_a_name_that_tells_no_contrast_is_kept_whole() -> None:
    assert without_contrast("head and neck.nii.gz") == "head and neck"
