"""`omnisyn synthesize` from the outside: files, streams, exit codes, one line for every refusal."""

import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from omnisyn.cli import main
from tests.cli.lines import error_line

Scan = Callable[..., Path]


@pytest.fixture
def synthesize(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command on the CPU: exit code, stdout, stderr."""

    def run(*words: str | Path) -> tuple[int, str, str]:
        defaults = ["--weights", str(weights), "--device", "cpu"]
        code = main(["synthesize", *defaults, *(str(word) for word in words)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


Synthesize = Callable[..., tuple[int, str, str]]


def test_a_scan_in_and_two_contrasts_out(synthesize: Synthesize, scan: Scan) -> None:
    source = scan("sub-01_T1w.nii.gz")
    code, out, err = synthesize("--src", source, "--target", "T2", "--target", "FLAIR", "--preview")
    assert code == 0
    paths = [Path(line) for line in out.splitlines()]
    assert [path.name for path in paths] == [
        "sub-01_desc-synth_T2w.nii.gz",
        "sub-01_desc-synth_FLAIR.nii.gz",
    ]
    assert err == ""
    given = nibabel.load(source)
    for path in paths:
        image = nibabel.load(path)
        assert path.parent == Path("omnisyn-out")
        assert image.shape == given.shape
        np.testing.assert_array_equal(image.affine, given.affine)
        assert path.with_name(path.name.replace(".nii.gz", ".png")).is_file()
        assert json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())


def test_no_path_of_the_machine_is_written_down(
    synthesize: Synthesize, scan: Scan, tmp_path: Path
) -> None:
    code, _, _ = synthesize("--src", scan("private/T1.nii.gz"), "--target", "T2", "-o", "out")
    assert code == 0
    for file in (tmp_path / "out").glob("*.json"):
        assert "private" not in file.read_text()
        assert str(tmp_path) not in file.read_text()


def test_a_wrong_path_exits_with_3(synthesize: Synthesize) -> None:
    code, out, err = synthesize("--src", "nowhere/T1.nii.gz", "--target", "T2")
    assert (code, out) == (3, "")
    assert "T1.nii.gz: there is no such file" in error_line(err)


def test_an_unknown_contrast_exits_with_2_and_names_the_nearest(
    synthesize: Synthesize, scan: Scan
) -> None:
    code, _, err = synthesize("--src", scan("T1.nii.gz"), "--target", "FLIAR")
    assert code == 2
    assert "did you mean FLAIR" in error_line(err)
    code, _, err = synthesize("--src", f"T7={scan('x.nii.gz')}", "--target", "T2")
    assert code == 2
    assert "unknown contrast 'T7'" in error_line(err)


def test_missing_sources_exit_with_2(synthesize: Synthesize) -> None:
    code, _, err = synthesize("--target", "T2")
    assert code == 2
    assert "--src" in error_line(err)


def test_an_existing_output_exits_with_3(synthesize: Synthesize, scan: Scan) -> None:
    words = ("--src", scan("T1.nii.gz"), "--target", "T2")
    assert synthesize(*words)[0] == 0
    code, out, err = synthesize(*words)
    assert (code, out) == (3, "")
    assert "--overwrite" in error_line(err)
    assert synthesize(*words, "--overwrite")[0] == 0


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_a_damaged_scan_exits_with_3_and_writes_nothing(
    synthesize: Synthesize, scan: Scan, damage: str, tmp_path: Path
) -> None:
    source = scan("T1.nii.gz")
    content = bytearray(source.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    source.write_bytes(
        {"cut": content[:-9], "flipped": content, "empty": b"", "text": b"<html>"}[damage]
    )
    code, out, err = synthesize("--src", source, "--target", "T2")
    assert (code, out) == (3, "")
    assert "T1.nii.gz" in error_line(err)
    assert not (tmp_path / "omnisyn-out").exists()


@pytest.mark.parametrize("damage", ["cut", "flipped", "no card", "pickled", "missing"])
def test_damaged_weights_exit_with_4(
    scan: Scan, weights: Path, damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1 if damage == "flipped" else 0
    name = {"pickled": "w.pt", "missing": "absent.safetensors"}.get(damage, "w.safetensors")
    broken = tmp_path / name
    if damage != "missing":
        broken.write_bytes(content[:-9] if damage == "cut" else content)
    if damage in ("cut", "flipped"):
        card = json.loads(weights.with_suffix(".json").read_text())
        broken.with_suffix(".json").write_text(json.dumps({**card, "file": broken.name}))
    source = str(scan("T1.nii.gz"))
    assert main(["synthesize", "-s", source, "-t", "T2", "--weights", str(broken), "-q"]) == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert error_line(captured.err)
    assert not (tmp_path / "omnisyn-out").exists()


def test_an_unknown_device_exits_with_2(synthesize: Synthesize, scan: Scan) -> None:
    code, _, err = synthesize("--src", scan("T1.nii.gz"), "--target", "T2", "--device", "abacus")
    assert code == 2
    assert "unknown device 'abacus'" in error_line(err)


def test_a_failing_patient_among_others_exits_with_6(
    synthesize: Synthesize, scan: Scan, tmp_path: Path
) -> None:
    for number in (1, 2):
        scan(f"data/{number}/T1.nii.gz")
    (tmp_path / "data" / "1" / "T1.nii.gz").write_bytes(b"")
    code, out, err = synthesize("--src", tmp_path / "data", "--target", "T2")
    assert code == 6
    assert out == str(Path("omnisyn-out/2/desc-synth_T2w.nii.gz")) + "\n"
    failure, error = err.splitlines()
    assert failure.startswith("1 failed: ")
    assert "1 of 2 patients failed" in error_line(error)


def test_a_read_only_folder_exits_with_5(
    synthesize: Synthesize, scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    source = scan("T1.nii.gz")
    monkeypatch.setattr(Path, "mkdir", refuse)
    code, _, err = synthesize("--src", source, "--target", "T2")
    assert code == 5
    assert "omnisyn-out" in error_line(err)
    assert str(tmp_path) not in err


def test_one_volume_of_a_4d_file_is_chosen(synthesize: Synthesize, scan: Scan) -> None:
    path = scan("T1.nii.gz")
    image = nibabel.load(path)
    several = np.stack([image.get_fdata(), image.get_fdata()], axis=3)
    nibabel.save(nibabel.Nifti1Image(several.astype(np.float32), image.affine), path)

    code, _, err = synthesize("--src", path, "--target", "T2")
    assert code == 3
    assert "--volume 1 ... 2" in error_line(err)
    assert not Path("omnisyn-out").exists()
    assert synthesize("--src", path, "--target", "T2", "--volume", "2")[0] == 0


def test_voxels_that_are_not_finite_need_permission(synthesize: Synthesize, scan: Scan) -> None:
    path = scan("T1.nii.gz")
    image = nibabel.load(path)
    broken = image.get_fdata().astype(np.float32)
    broken[5, 5, 1] = np.nan
    nibabel.save(nibabel.Nifti1Image(broken, image.affine), path)

    code, _, err = synthesize("--src", path, "--target", "T2")
    assert code == 3
    assert "not finite" in error_line(err)
    code, _, err = synthesize("--src", path, "--target", "T2", "--nonfinite", "zero")
    assert code == 0
    assert "1 voxels that were NaN or infinite are set to zero" in err


def test_strict_makes_a_warning_a_refusal(synthesize: Synthesize, scan: Scan) -> None:
    path = scan("T1.nii.gz")
    path.with_name("T1.json").write_text('{"RepetitionTime": 4.5, "EchoTime": 0.095}')

    code, _, err = synthesize("--src", f"T1={path}", "--target", "FLAIR", "--strict")
    assert code == 3
    assert "does not look like T1 (TR 4500 ms, TE 95 ms are those of T2)" in error_line(err)
    code, _, err = synthesize("--src", f"T1={path}", "--target", "FLAIR")
    assert code == 0
    assert "does not look like T1" in err


def test_series_of_anything_but_one_dicom_folder_are_refused(
    synthesize: Synthesize, scan: Scan
) -> None:
    code, _, err = synthesize("--src", scan("T1.nii.gz"), "--target", "T2", "--series", "3")
    assert code == 2
    assert "--series chooses from one DICOM folder" in error_line(err)


def exam() -> str:
    """Path of a real little MR image that pydicom brings along."""
    import pydicom.data

    return str(pydicom.data.get_testdata_file("MR_small.dcm"))


def test_a_dicom_series_comes_out_of_a_dicom_source(synthesize: Synthesize) -> None:
    import pydicom

    code, out, _ = synthesize("--src", f"T1={exam()}", "--target", "T2", "--format", "dicom")

    assert code == 0
    folder = Path(out.strip())
    image = pydicom.dcmread(folder / "0001.dcm")
    source = pydicom.dcmread(exam())
    assert image.SeriesDescription == "SYNTHETIC T2 from T1 (omnisyn)"
    assert image.PatientID == source.PatientID
    assert image.ImagePositionPatient == source.ImagePositionPatient
    assert json.loads(Path(f"{folder}.json").read_text())["Target"] == "T2"


def test_anonymous_dicom_output_names_nobody(synthesize: Synthesize, tmp_path: Path) -> None:
    import pydicom

    source = pydicom.dcmread(exam())
    (tmp_path / "DOE_JANE").mkdir()
    source.save_as(tmp_path / "DOE_JANE" / "1.dcm")
    code, out, err = synthesize(
        *("--src", f"T1={tmp_path / 'DOE_JANE'}", "--target", "T2"),
        *("--format", "dicom", "--anonymize"),
    )
    assert code == 0
    assert "DOE" not in out + err
    for path in Path("omnisyn-out").rglob("*"):
        assert "DOE" not in path.name
        if path.is_file():
            assert b"DOE" not in path.read_bytes()
            assert str(source.PatientName).encode() not in path.read_bytes()
            assert str(source.StudyInstanceUID).encode() not in path.read_bytes()


def test_dicom_output_of_a_nifti_source_is_refused(synthesize: Synthesize, scan: Scan) -> None:
    code, _, err = synthesize("--src", scan("T1.nii.gz"), "--target", "T2", "--format", "dicom")
    assert code == 2
    assert "T1.nii.gz is not DICOM" in error_line(err)
    assert not Path("omnisyn-out").exists()


def test_anonymizing_nifti_output_is_refused(synthesize: Synthesize, scan: Scan) -> None:
    code, _, err = synthesize("--src", scan("T1.nii.gz"), "--target", "T2", "--anonymize")
    assert code == 2
    assert "--anonymize belongs to DICOM output" in error_line(err)


@pytest.mark.parametrize("form", ["nifti", "dicom"])
def test_existing_results_are_skipped_only_while_their_hashes_match(
    synthesize: Synthesize, form: str
) -> None:
    words = ("--src", f"T1={exam()}", "--target", "T2", "--format", form, "--skip-existing")
    assert synthesize(*words)[0] == 0
    code, out, err = synthesize(*words)
    assert (code, out) == (0, "")
    assert "left alone, it is there and its hashes match" in err

    (sidecar,) = Path("omnisyn-out").glob("*desc-synth_T2w.json")
    content = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({**content, "SourceSHA256": ["0" * 64]}))
    code, _, err = synthesize(*words)
    assert code == 3
    assert "exists already" in err


def test_a_sidecar_of_another_state_is_noticed(synthesize: Synthesize, scan: Scan) -> None:
    path = scan("T1.nii.gz")
    path.with_name("T1.json").write_text(json.dumps({"VolumeSHA256": "0" * 64}))

    code, _, err = synthesize("--src", path, "--target", "T2")
    assert code == 0
    assert "the sidecar belongs to another state of this volume" in err
    code, _, err = synthesize("--src", path, "--target", "T2", "--strict", "--overwrite")
    assert code == 3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["-t", "T2", "--te", "90", "--tr", "4000", "--fat-suppressed"],
            {"FatSuppressed": True, "RepetitionTime": 4.0, "EchoTime": 0.09},
        ),
        (
            ["-t", "FLAIR", "--ti", "2400", "--field", "1.5"],
            {"FatSuppressed": False, "InversionTime": 2.4, "MagneticFieldStrength": 1.5},
        ),
        (["--prompt", "T2-weighted, TE 90 ms, fat suppressed"], {}),
    ],
)
def test_what_is_asked_for_acts_and_is_written_down(
    synthesize: Synthesize, scan: Scan, worded: Path, words: list[str], told: dict[str, object]
) -> None:
    source, target = scan("T1.nii.gz"), "FLAIR" if "FLAIR" in words else "T2"
    plain = synthesize("-s", source, "-t", target, "--weights", worded, "-o", "plain")
    asked = synthesize("-s", source, *words, "--weights", worded, "--preview")
    assert (plain[0], asked[0], asked[2]) == (0, 0, "")
    before, after = (nibabel.load(run[1].strip()).get_fdata() for run in (plain, asked))
    assert np.abs(after - before).max() > 1e-5
    sidecar = json.loads(Path(asked[1].strip().replace(".nii.gz", ".json")).read_text())
    text = sidecar["AskedFor"].pop("Text")
    assert sidecar["AskedFor"] == told
    assert text == words[1] if "--prompt" in words else "ms" in text or "T" in text


def test_suppressed_fat_needs_no_text_tower(synthesize: Synthesize, scan: Scan) -> None:
    code, out, _ = synthesize("--src", scan("T1.nii.gz"), "--target", "T2", "--fat-suppressed")
    assert code == 0
    sidecar = json.loads(Path(out.strip().replace(".nii.gz", ".json")).read_text())
    assert sidecar["AskedFor"]["FatSuppressed"] is True


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-t", "T2", "--te", "90"], 4, "tiny: these weights know the twelve canonical targets"),
        (["--prompt", "T2"], 4, "leave --prompt, --te, --tr, --ti and --field out"),
        (["-t", "T2", "--te", "0.09"], 2, "give times in ms, 90 for 0.09 s"),
        (["-t", "T2", "--te", "90", "--tr", "50"], 2, "TE is not shorter than TR"),
        (["-t", "T2", "--te", "soon"], 2, "--te"),
        (["-t", "T2", "--prompt", "T2", "--fat-suppressed"], 2, "--prompt says everything"),
        (["-t", "T2", "-t", "PD", "--prompt", "T2"], 2, "a prompt is of one target"),
        (["--prompt", "bright fluid"], 2, "the prompt names no contrast"),
        (["--prompt", ""], 2, "--prompt is empty"),
        ([], 2, "no target is asked for; give --target"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    synthesize: Synthesize, scan: Scan, words: list[str], code: int, said: str
) -> None:
    found, out, err = synthesize("--src", scan("T1.nii.gz"), *words)
    assert (found, out) == (code, "")
    assert said in error_line(err)
    assert not Path("omnisyn-out").exists()


def test_words_that_are_not_known_are_noted(
    synthesize: Synthesize, scan: Scan, worded: Path
) -> None:
    words = ("--src", scan("T1.nii.gz"), "--prompt", "T2 of vesuvius", "--weights", worded)
    code, _, err = synthesize(*words)
    assert (code, err) == (0, "the text tower does not know: vesuvius\n")
