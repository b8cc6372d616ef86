"""What is bad around a scan: outputs, paths, patients, weights, archives, settings."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

from omnisyn.geometry import Geometry
from omnisyn.volumes.write import write_volume
from tests.hostile.battery import (
    AFFINE,
    MODEL,
    REFUSED,
    SHAPE,
    USAGE,
    Case,
    case,
    grey,
    nifti,
    series,
    to_t2,
)

AROUND: list[Case] = []


@case(AROUND, "output", REFUSED, "the output exists already")
def output_that_exists(folder):
    (folder / "omnisyn-out").mkdir()
    write_volume(folder / "omnisyn-out" / "desc-synth_T2w.nii.gz", grey(), Geometry(SHAPE, AFFINE))
    return to_t2(nifti(folder))


@case(AROUND, "output", REFUSED, "the output exists already")
def output_that_others_made(folder):
    # Without a sidecar whose hash matches it, --skip-existing does not trust it.
    return [*output_that_exists(folder), "--skip-existing"]


@case(AROUND, "output", REFUSED, "the output would replace a source")
def output_onto_the_input(folder):
    path = nifti(folder).rename(folder / "desc-synth_T2w.nii.gz")
    return ["--src", f"T1={path}", "--target", "T2", "--output", folder, "--overwrite"]


@case(AROUND, "output", REFUSED, "the output folder lies inside the source")
def output_inside_the_input(folder):
    nifti(folder).rename(folder / "scans.nii.gz")
    (folder / "patients" / "1").mkdir(parents=True)
    (folder / "scans.nii.gz").rename(folder / "patients" / "1" / "T1.nii.gz")
    return to_t2(folder / "patients", "--output", folder / "patients" / "made")


@case(AROUND, "paths", REFUSED, "the link leads nowhere")
def links_in_a_circle(folder):
    os.symlink(folder / "b.nii.gz", folder / "T1.nii.gz")
    os.symlink(folder / "T1.nii.gz", folder / "b.nii.gz")
    return to_t2(folder / "T1.nii.gz")


@case(AROUND, "paths", REFUSED, "it is a pipe, socket or device")
def named_pipe(folder):
    os.mkfifo(folder / "T1.nii.gz")
    return to_t2(folder / "T1.nii.gz")


@case(AROUND, "paths", REFUSED, "the link leads nowhere")
def dangling_link(folder):
    os.symlink(folder / "gone.nii.gz", folder / "T1.nii.gz")
    return to_t2(folder / "T1.nii.gz")


@case(AROUND, "paths", REFUSED, "there is no such file or folder")
def vanished_file(folder):
    return to_t2(folder / "T1.nii.gz")


@case(AROUND, "weights", MODEL, "weights")
def weights_that_are_pickled(folder):
    (folder / "w.pt").write_bytes(b"PK\x03\x04" + bytes(200))
    return to_t2(nifti(folder), "--weights", folder / "w.pt")


@case(AROUND, "archives", REFUSED, "it is a tar archive")
def packed_archive(folder):
    path = folder / "T1.nii.gz"
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("../../escaped.nii")
        entry.size = 400
        archive.addfile(entry, io.BytesIO(bytes(400)))
    return to_t2(path)


@case(AROUND, "archives", REFUSED, "it is a zip archive")
def zip_archive(folder):
    path = folder / "T1.nii.gz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../escaped.nii", bytes(400))
    return to_t2(path)


@case(AROUND, "settings", REFUSED, "did you mean 'target'")
def settings_with_an_unknown_key(folder):
    (folder / "settings.toml").write_text('targt = "T2"\n')
    return ["--src", nifti(folder), "--target", "T2", "--config", folder / "settings.toml"]


@case(AROUND, "output", REFUSED, "the output would replace a source")
def output_onto_the_input_through_a_link(folder):
    path = nifti(folder)
    (folder / "omnisyn-out").mkdir()
    place = path.rename(folder / "omnisyn-out" / "desc-synth_T2w.nii.gz")
    path.symlink_to(place)
    return to_t2(path, "--overwrite")


@case(AROUND, "patients", REFUSED, "two contrasts are one and the same image")
def one_image_as_two_contrasts(folder):
    path = nifti(folder)
    return ["--src", f"T1={path}", "--src", f"FLAIR={path}", "--target", "T2"]


@case(AROUND, "patients", REFUSED, "the scans belong to several patients")
def series_of_two_patients(folder):
    series().save(folder / "a")
    other = series()
    for file in other.files:
        file.PatientID = "another"
    other.save(folder / "b")
    return ["--src", f"T2={folder / 'a'}", "--src", f"T1={folder / 'b'}", "--target", "FLAIR"]


@case(AROUND, "patients", USAGE, "give every folder once")
def one_folder_twice(folder):
    (folder / "all" / "p1").mkdir(parents=True)
    nifti(folder).rename(folder / "all" / "p1" / "T1.nii.gz")
    return ["--src", folder / "all", "--src", folder / "all", "--target", "T2"]


def weights_with(folder: Path, card: str | None) -> list[str | Path]:
    """A weights file that is nothing, beside a card."""
    (folder / "w.safetensors").write_bytes(bytes(300))
    if card is not None:
        (folder / "w.json").write_text(card)
    return to_t2(nifti(folder), "--weights", folder / "w.safetensors")


@case(AROUND, "weights", MODEL, "w.json")
def weights_without_a_card(folder):
    return weights_with(folder, None)


@case(AROUND, "weights", MODEL, "the card")
def weights_with_a_card_that_is_no_json(folder):
    return weights_with(folder, "[" * 100_000)


@case(AROUND, "weights", MODEL, "the card")
def weights_with_a_pipe_for_a_card(folder):
    (folder / "w.safetensors").write_bytes(bytes(300))
    os.mkfifo(folder / "w.json")
    return to_t2(nifti(folder), "--weights", folder / "w.safetensors")


@case(AROUND, "settings", REFUSED, "settings.toml")
def settings_that_are_a_pipe(folder):
    os.mkfifo(folder / "settings.toml")
    return to_t2(nifti(folder), "--config", folder / "settings.toml")


@case(AROUND, "settings", REFUSED, "settings.toml")
def settings_of_a_wrong_type(folder):
    (folder / "settings.toml").write_text('target = "T2"\n')
    return to_t2(nifti(folder), "--config", folder / "settings.toml")
