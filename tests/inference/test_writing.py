import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from omnisyn.errors import InputError, ModelError
from omnisyn.inference.asked import Asked
from omnisyn.inference.calibrate import calibrate
from omnisyn.inference.patients import without_folders
from omnisyn.inference.request import Output
from omnisyn.inference.synthesizer import Synthesizer
from omnisyn.models.clip.texts import Acquisition
from omnisyn.volumes.normalize import scale_divisor
from omnisyn.volumes.options import ReadOptions
from tests.inference.calls import run
from tests.inference.ellipses import ellipses

Scan = Callable[..., Path]


def test_the_header_follows_the_source_but_for_the_voxel_type(
    echo: Synthesizer, head: np.ndarray, tmp_path: Path
) -> None:
    oblique = np.diag([1.5, 1.5, 4.0, 1.0])
    angle = np.radians(17)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    oblique[:2, :2] = turn @ oblique[:2, :2]
    oblique[:3, 3] = (-12.5, 3.25, 40)
    image = nibabel.Nifti1Image(head.astype(np.int16), oblique)
    image.set_qform(oblique, code=1)
    image.set_sform(oblique, code=4)
    image.header.set_xyzt_units("mm")
    source = tmp_path / "T1.nii.gz"
    nibabel.save(image, source)
    (output,) = run(echo, [source], output=tmp_path / "out")
    made, given = nibabel.load(output.volume).header, nibabel.load(source).header
    assert made.get_data_dtype() == np.float32
    for key in ("qform_code", "sform_code", "xyzt_units", "dim"):
        np.testing.assert_array_equal(made[key], given[key], err_msg=key)
    np.testing.assert_array_equal(made["pixdim"][:4], given["pixdim"][:4])
    for key in ("srow_x", "srow_y", "srow_z", "quatern_b", "quatern_c", "quatern_d"):
        np.testing.assert_allclose(made[key], given[key], atol=1e-6, err_msg=key)


def test_volume_sidecar_preview_and_description_are_written(
    echo: Synthesizer, scan: Scan, head: np.ndarray, tmp_path: Path
) -> None:
    sidecar = {"Simulated": True}
    sources = [
        scan("case7_T1.nii.gz", sidecar=sidecar),
        scan("case7_T1c.nii.gz", head**2, sidecar=sidecar),
    ]
    truth = {"T2": scan("truth.nii.gz")}
    out = tmp_path / "out"
    names = tuple(without_folders(source) for source in sources)
    (output,) = run(echo, sources, output=out, preview=True, truth=truth, source_names=names)
    assert sorted(path.name for path in out.iterdir()) == [
        "case7_desc-synth_T2w.json",
        "case7_desc-synth_T2w.nii.gz",
        "case7_desc-synth_T2w.png",
        "dataset_description.json",
    ]
    assert (output.sources, output.target) == (("T1", "T1c"), "T2")
    assert output.preview == out / "case7_desc-synth_T2w.png"
    text = (out / "case7_desc-synth_T2w.json").read_text()
    assert str(tmp_path) not in text
    told = json.loads(text)
    assert told["Simulated"] is True
    assert told["SourceContrasts"] == ["T1", "T1c"]
    assert told["Arguments"]["Sources"] == ["case7_T1.nii.gz", "case7_T1c.nii.gz"]
    assert told["Arguments"]["Targets"] == ["T2"]


def test_match_source_gives_the_sources_scale(
    echo: Synthesizer, scan: Scan, head: np.ndarray, tmp_path: Path
) -> None:
    (output,) = run(echo, [scan("T1.nii.gz")], output=tmp_path / "out", match_source=True)
    made = nibabel.load(output.volume).get_fdata(dtype=np.float32)
    np.testing.assert_allclose(made, np.minimum(head, scale_divisor(head)), rtol=1e-6)
    assert "the scale of T1.nii.gz" in output.volume.with_name("desc-synth_T2w.json").read_text()


def test_an_existing_output_is_refused_and_kept(
    echo: Synthesizer, scan: Scan, tmp_path: Path
) -> None:
    source, out = scan("T1.nii.gz"), tmp_path / "out"
    (output,) = run(echo, [source], output=out)
    before = output.volume.read_bytes()
    with pytest.raises(InputError, match=r"desc-synth_T2w\.nii\.gz: the output exists already"):
        run(echo, [source], "FLAIR", "T2", output=out)
    assert output.volume.read_bytes() == before
    assert not (out / "desc-synth_FLAIR.nii.gz").exists()
    assert run(echo, [source], output=out, overwrite=True)


def test_a_source_is_never_replaced(echo: Synthesizer, scan: Scan, tmp_path: Path) -> None:
    source = scan("desc-synth_T2w.nii.gz")
    before = source.read_bytes()
    with pytest.raises(InputError, match="would replace a source"):
        run(echo, [f"T1={source}"], output=tmp_path, overwrite=True)
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    "more",
    [
        {"match_source": True},
        {"reading": ReadOptions(volume=2)},
        {"model_asked_for": {"Precision": "bfloat16"}},
        {"asked": Asked(Acquisition(fat_suppressed=True))},
    ],
    ids=["scale", "volume", "precision", "fat"],
)
def test_a_result_of_another_request_is_not_taken_for_this_one(
    echo: Synthesizer, tmp_path: Path, head: np.ndarray, more: dict[str, object]
) -> None:
    source = tmp_path / "T1.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.stack([head, head**2], axis=3), np.eye(4)), source)
    out = tmp_path / "out"
    first = {"reading": ReadOptions(volume=1), "model_asked_for": {"Precision": "float32"}}
    run(echo, [source], output=out, **first)

    assert run(echo, [source], output=out, skip_existing=True, **first) == []
    with pytest.raises(InputError, match="the output exists already"):
        run(echo, [source], output=out, skip_existing=True, **{**first, **more})
    assert run(echo, [source], output=out, skip_existing=True, overwrite=True, **{**first, **more})


def test_a_result_asked_for_otherwise_is_not_taken_for_this_one(
    worded_weights: Path, scan: Scan, tmp_path: Path
) -> None:
    source, out = scan("T1.nii.gz"), tmp_path / "out"
    model = Synthesizer.load(worded_weights, "cpu")

    def call(echo_time_ms: float, model: Synthesizer = model, **options: object) -> list[Output]:
        asked = Asked(Acquisition(False, echo_time_ms=echo_time_ms))
        precision = {"Precision": "float32"}
        return run(model, [source], output=out, asked=asked, model_asked_for=precision, **options)

    (output,) = call(90)
    told = json.loads(output.volume.with_name("desc-synth_T2w.json").read_text())
    assert told["AskedFor"]["EchoTime"] == 0.09
    assert told["AskedFor"]["Text"] == Asked(Acquisition(False, echo_time_ms=90)).text("T2")
    assert "EchoTime" not in told
    assert call(90, skip_existing=True) == []
    with pytest.raises(InputError, match="the output exists already"):
        call(30, skip_existing=True)
    # The same weights with another tower understand the same words otherwise.
    other = replace(model.identity, text_sha256="0" * 64)
    with pytest.raises(InputError, match="the output exists already"):
        call(90, replace(model, identity=other), skip_existing=True)


def test_words_that_were_not_understood_are_written_down(
    worded_weights: Path, scan: Scan, tmp_path: Path
) -> None:
    model = Synthesizer.load(worded_weights, "cpu")
    asked = Asked(prompt="T2 of vesuvius")
    for name in "ab":
        # Of every patient, and not of the first alone.
        (output,) = run(model, [scan(f"{name}_T1.nii.gz")], output=tmp_path / "out", asked=asked)
        told = json.loads(output.volume.with_name(f"{name}_desc-synth_T2w.json").read_text())
        assert told["Warnings"] == ["the text tower does not know: vesuvius"]
        assert told["AskedFor"] == {"Text": "T2 of vesuvius"}


@pytest.mark.parametrize("role", ["source", "its sidecar", "truth"])
def test_what_a_result_is_made_from_is_not_replaced_through_a_link(
    echo: Synthesizer, scan: Scan, head: np.ndarray, tmp_path: Path, role: str
) -> None:
    source, truth = scan("T1.nii.gz", sidecar={"Simulated": True}), scan("T2.nii.gz", head**2)
    made = scan("out/desc-synth_T2w.nii.gz", head + 1, sidecar={"Mine": True})
    kept = {
        "source": (source, made),
        "its sidecar": (source.with_name("T1.json"), made.with_name("desc-synth_T2w.json")),
        "truth": (truth, made),
    }
    link, target = kept[role]
    link.unlink()
    link.symlink_to(target)
    before = target.read_bytes()

    with pytest.raises(InputError, match="the output would replace a source"):
        run(echo, [source], output=tmp_path / "out", overwrite=True, truth={"T2": truth})
    assert target.read_bytes() == before


def test_a_namesake_of_the_source_elsewhere_may_be_replaced(
    echo: Synthesizer, scan: Scan, head: np.ndarray, tmp_path: Path
) -> None:
    source = scan("in/desc-synth_T2w.nii.gz", sidecar={"Contrast": "T1"})
    scan("out/desc-synth_T2w.nii.gz", head + 1)

    (output,) = run(echo, [source], output=tmp_path / "out", overwrite=True)

    assert output.volume.is_file()


@pytest.fixture
def calibrated(tiny_weights: Path) -> Synthesizer:
    synthesizer = Synthesizer.load(tiny_weights, "cpu")
    measured = calibrate(synthesizer, ellipses(3), "ellipses", simulated=True)
    familiarity = replace(measured.familiarity, limit=1e9)
    return replace(synthesizer, calibration=replace(measured, familiarity=familiarity))


def test_a_map_of_the_expected_error_lies_beside_the_volume(
    calibrated: Synthesizer, scan: Scan, tmp_path: Path
) -> None:
    sources, out = [scan("case7_T1.nii.gz")], tmp_path / "out"
    (output,) = run(calibrated, sources, output=out, uncertainty=True, preview=True)
    assert output.uncertainty == out / "case7_mod-T2w_desc-synth_uncertainty.nii.gz"
    made, sure = nibabel.load(output.volume), nibabel.load(output.uncertainty)
    np.testing.assert_array_equal(sure.affine, made.affine)
    values = sure.get_fdata(dtype=np.float32)
    assert values.shape == made.shape
    assert sure.get_data_dtype() == np.float32
    assert 0 <= values.min() < values.max() <= 1
    told = json.loads(
        output.uncertainty.with_name("case7_mod-T2w_desc-synth_uncertainty.json").read_text()
    )
    assert told["UncertaintyOf"] == output.volume.name
    assert told["Synthetic"] is True
    assert "expected absolute error" in told["Values"]

    # In the units of the volume, whatever they are.
    (other,) = run(
        calibrated, sources, output=tmp_path / "matched", uncertainty=True, match_source=True
    )
    matched = nibabel.load(other.uncertainty).get_fdata(dtype=np.float32)
    gain = scale_divisor(nibabel.load(sources[0]).get_fdata(dtype=np.float32))
    np.testing.assert_allclose(matched, gain * values, rtol=1e-5)


def test_a_result_without_its_map_is_not_made_yet(
    calibrated: Synthesizer, scan: Scan, tmp_path: Path
) -> None:
    source, out = scan("T1.nii.gz"), tmp_path / "out"
    asked = {
        "output": out,
        "uncertainty": True,
        "skip_existing": True,
        "model_asked_for": {"Precision": "float32"},
    }
    (output,) = run(calibrated, [source], **{**asked, "uncertainty": False})
    assert output.uncertainty is None
    assert run(calibrated, [source], **{**asked, "uncertainty": False}) == []
    (again,) = run(calibrated, [source], overwrite=True, **asked)
    assert again.uncertainty is not None
    assert run(calibrated, [source], **asked) == []
    again.uncertainty.write_bytes(b"not the map")
    with pytest.raises(InputError, match="exists already"):
        run(calibrated, [source], **asked)


def test_weights_that_were_not_calibrated_cannot_say_how_sure_they_are(
    echo: Synthesizer, scan: Scan, tmp_path: Path
) -> None:
    source = scan("T1.nii.gz")
    with pytest.raises(ModelError, match="not calibrated"):
        run(echo, [source], output=tmp_path / "out", uncertainty=True)
    assert not (tmp_path / "out").exists()
    (output,) = run(echo, [source], output=tmp_path / "out")
    assert (
        json.loads(output.volume.with_name("desc-synth_T2w.json").read_text())["Familiarity"] == {}
    )


def test_an_unfamiliar_source_is_told_in_sidecar_and_picture_or_refused(
    calibrated: Synthesizer, scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibration = calibrated.calibration
    assert calibration is not None
    narrow = replace(calibration.familiarity, limit=1e-9)
    strict = replace(calibrated, calibration=replace(calibration, familiarity=narrow))
    noise = np.random.default_rng(0).uniform(1, 100, (20, 24, 6)).astype(np.float32)
    source = scan("T1.nii.gz", noise)
    (output,) = run(strict, [source], output=tmp_path / "out")
    told = json.loads(output.volume.with_name("desc-synth_T2w.json").read_text())
    assert told["Familiarity"]["T1"]["Score"] > 1
    assert told["Familiarity"]["T1"]["Warning"] in told["Warnings"]
    drawn: list[list[str]] = []
    monkeypatch.setattr(
        "omnisyn.inference.writing.preview_png",
        lambda *about, headlines, **more: drawn.append(headlines) or b"",
    )
    run(strict, [source], output=tmp_path / "pictured", preview=True)
    ((headline,),) = drawn
    assert f"(score {told['Familiarity']['T1']['Score']:.2f})" in headline
    with pytest.raises(InputError, match="the T1"):
        run(strict, [source], output=tmp_path / "other", reading=ReadOptions(strict=True))
    assert not (tmp_path / "other").exists()
