"""Write what was synthesized: volumes with sidecars, and pictures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnisyn.contrasts import contrast
from omnisyn.errors import InputError, OmnisynError
from omnisyn.inference.derivative import facts_of_derivative, source_names
from omnisyn.inference.familiarity import Familiarity
from omnisyn.inference.naming import synthetic_stem, uncertainty_stem
from omnisyn.inference.preview import preview_png
from omnisyn.inference.regrid import onto_first_grid
from omnisyn.inference.request import LoadedPatient, Output, Request
from omnisyn.inference.sidecar import ModelIdentity, synthesis_sidecar, uncertainty_sidecar
from omnisyn.listeners import Note
from omnisyn.volumes.atomic import (
    json_bytes,
    refuse_existing,
    refuse_existing_folder,
    staged,
)
from omnisyn.volumes.normalize import scale, scale_divisor
from omnisyn.volumes.volume import Volume
from omnisyn.volumes.write import finished, sidecar_path, stage_volume

# What of a request changes the voxels or what is said of them, beside sources, target and weights.
_DECIDING = ("MatchSource", "Format", "Anonymized", "Reading", "Precision")


def volume_path(patient: LoadedPatient, request: Request, target: str) -> Path:
    """Where a target of a patient is written."""
    stem = synthetic_stem(patient.reference.provenance.name, contrast(target))
    suffix = ".nii.gz" if request.format == "nifti" else ""
    return request.output / patient.folder / f"{stem}{suffix}"


def uncertainty_path(patient: LoadedPatient, request: Request, target: str) -> Path:
    """Where the map of a target's expected error is written: NIfTI in any case."""
    stem = uncertainty_stem(patient.reference.provenance.name, contrast(target))
    return request.output / patient.folder / f"{stem}.nii.gz"


def refuse_unfit_output(path: Path, target: str, patient: LoadedPatient, request: Request) -> None:
    """Refuse an output that exists, or that would replace what it is made from.

    Raises:
        InputError: see above.
    """
    beside = [sidecar_path(path)]
    if request.preview:
        beside.append(_picture_path(path))
    if request.uncertainty:
        uncertain = uncertainty_path(patient, request, target)
        beside += [uncertain, sidecar_path(uncertain)]
    for output in filter(os.path.exists, (path, *beside)):
        if any(os.path.samefile(output, source) for source in patient.files if source.exists()):
            raise InputError(
                "the output would replace a source",
                where=output.name,
                remedy="choose another --output",
            )
    if request.format == "dicom":
        refuse_existing_folder(path, overwrite=request.overwrite)
    else:
        beside.insert(0, path)
    for file in beside:
        refuse_existing(file, overwrite=request.overwrite)


def write_synthesis(
    path: Path,
    slices: NDArray[np.float32],
    target: str,
    patient: LoadedPatient,
    request: Request,
    model: ModelIdentity,
    *,
    expected_error: NDArray[np.float32] | None = None,
    familiarity: Mapping[str, Familiarity],
    warnings: Sequence[str],
    note: Note,
) -> Output:
    """Write one synthesized volume with its map, picture and sidecars: all of them, or none.

    Args:
        slices: (slices, rows, columns) in [0, 1] on the reference's model grid.
        expected_error: the same shape and scale, where a map is wanted.
        familiarity: by source, how much it is like what the model was trained on.
        warnings: what the sidecar says was odd.

    Raises:
        InputError: an output exists, or no DICOM series can be built on the source.
        ResourceError: disk or permission.
    """
    reference = patient.reference
    voxels = reference.geometry.from_slices(slices)
    values, gain = "the model's scale, 0 to 1: 1 is the 99.5 percentile of the foreground", 1.0
    if request.match_source:
        gain = scale_divisor(reference.voxels)
        voxels = voxels * np.float32(gain)
        values = (
            f"the scale of {reference.provenance.name}: its value {gain:.6g} (the 99.5 percentile "
            "of its foreground) stands for the top of the model's scale"
        )
    sidecar = synthesis_sidecar(
        contrast(target),
        patient.sources,
        source_names(patient, request.output),
        reference.geometry,
        model,
        values=values,
        arguments=request.arguments,
        asked_for=request.asked.told(target),
        familiarity={name: found.told() for name, found in familiarity.items()},
        warnings=warnings,
        simulated=patient.simulated,
    )
    sidecar |= facts_of_derivative(patient)
    headlines = [each.headline for each in familiarity.values() if each.headline is not None]
    picture = _picture_path(path) if request.preview else None
    uncertain = uncertainty_path(patient, request, target) if request.uncertainty else None
    with staged(overwrite=request.overwrite) as staging:
        if picture is not None:
            staging.file(picture).write(
                _preview(target, slices, expected_error, patient, request, model, note, headlines)
            )
        if expected_error is not None and uncertain is not None:
            stage_volume(
                staging,
                uncertain,
                reference.geometry.from_slices(expected_error) * np.float32(gain),
                reference.geometry,
                sidecar=uncertainty_sidecar(sidecar, path.name),
                like=reference,
            )
        if request.format == "dicom":
            folder = staging.folder(path)
            digest = _write_series(folder, voxels, gain, target, patient, request, model)
            # Last, as beside a NIfTI file: it is the commit mark.
            side_file = staging.file(sidecar_path(path))
            side_file.write(json_bytes({**sidecar, "VolumeSHA256": digest}))
        else:
            stage_volume(staging, path, voxels, reference.geometry, sidecar=sidecar, like=reference)
    return Output(patient.name, tuple(patient.sources), target, path, picture, uncertain)


def already_made(
    path: Path, target: str, patient: LoadedPatient, weights: ModelIdentity, request: Request
) -> bool:
    """Whether this very result is there, whole.

    The hashes of volume, sources and weights match, and so does what was asked for.
    """
    digest = None
    if not path.exists():
        return False
    if request.format == "dicom":
        from omnisyn.volumes.dicom import read_dicom

        try:
            digest = read_dicom(path).provenance.sha256
        except OmnisynError:
            return False
    sidecar = finished(path, digest)
    if sidecar is None:
        return False
    if request.uncertainty and finished(uncertainty_path(patient, request, target)) is None:
        return False
    asked, told = request.arguments, sidecar.get("Arguments")
    model = sidecar.get("Model")
    return (
        isinstance(told, dict)
        and all(told.get(key) == asked[key] for key in _DECIDING)
        and sidecar.get("Target") == target
        and sidecar.get("AskedFor", {}) == request.asked.told(target)
        and sidecar.get("SourceContrasts") == list(patient.sources)
        and sidecar.get("SourceSHA256")
        == [source.provenance.sha256 for source in patient.sources.values()]
        and isinstance(model, dict)
        and model.get("SHA256") == weights.sha256
        and (not request.asked.in_words or model.get("TextTowerSHA256") == weights.text_sha256)
    )


def _write_series(
    folder: Path,
    voxels: NDArray[np.float32],
    gain: float,
    target: str,
    patient: LoadedPatient,
    request: Request,
    model: ModelIdentity,
) -> str:
    from omnisyn.volumes.dicom_write import DerivedSeries, write_dicom_series

    reference, *others = patient.sources.values()
    return write_dicom_series(
        folder,
        voxels,
        reference.geometry,
        reference.headers,
        DerivedSeries(
            target,
            tuple(patient.sources),
            model.name,
            model.sha256,
            patient.simulated,
            request.asked.brief,
        ),
        others=[other.headers for other in others],
        scale=gain,
        pseudonyms=request.pseudonyms,
    )


def _picture_path(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".nii.gz") + ".png")


def _preview(
    target: str,
    synthetic: NDArray[np.float32],
    expected_error: NDArray[np.float32] | None,
    patient: LoadedPatient,
    request: Request,
    model: ModelIdentity,
    note: Note,
    headlines: Sequence[str],
) -> bytes:
    """The picture of one target; sources and truth on the reference's grid."""
    shown: dict[str, Volume] = dict(patient.sources)
    if target in patient.truth:
        # Under a name that no contrast has: the truth of one target may be another's source.
        shown["truth"] = patient.truth[target]
    regridded = onto_first_grid(shown).volumes
    if target in patient.truth and regridded["truth"] is not shown["truth"]:
        note(f"the true {target} was resampled for the preview; nothing was registered")
    scaled = {
        name: volume.geometry.to_slices(scale(volume.voxels)) for name, volume in regridded.items()
    }
    return preview_png(
        {name: scaled[name] for name in patient.sources},
        target,
        synthetic,
        truth=scaled.get("truth"),
        expected_error=expected_error,
        asked=request.asked.brief,
        headlines=headlines,
        slice_spacing=patient.reference.geometry.slice_spacing,
        simulated=patient.simulated,
        model=model.name,
    )
