"""Write what was synthesized: volumes with sidecars, pictures, and the folder's description."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnisyn.contrasts import contrast
from omnisyn.errors import InputError, OmnisynError
from omnisyn.inference.naming import synthetic_stem
from omnisyn.inference.preview import preview_png
from omnisyn.inference.regrid import onto_first_grid
from omnisyn.inference.request import LoadedPatient, Output, Request
from omnisyn.inference.sidecar import ModelIdentity, dataset_description, synthesis_sidecar
from omnisyn.listeners import Note
from omnisyn.volumes.atomic import (
    refuse_existing,
    refuse_existing_folder,
    resource_error,
    write_bytes_atomic,
    write_json_atomic,
)
from omnisyn.volumes.normalize import scale, scale_divisor
from omnisyn.volumes.volume import Volume
from omnisyn.volumes.write import finished, sidecar_path, write_volume


def volume_path(patient: LoadedPatient, request: Request, target: str) -> Path:
    """Where a target of a patient is written."""
    stem = synthetic_stem(patient.reference.provenance.name, contrast(target))
    suffix = ".nii.gz" if request.format == "nifti" else ""
    return request.output / patient.folder / f"{stem}{suffix}"


def refuse_unfit_output(path: Path, patient: LoadedPatient, request: Request) -> None:
    """Refuse an output that exists, or that would replace a source.

    Raises:
        InputError: see above.
    """
    names = {source.provenance.name for source in patient.sources.values()}
    if path.exists() and path.name in names:
        raise InputError(
            "the output would replace a source", where=path.name, remedy="choose another --output"
        )
    beside = (sidecar_path(path), *([_picture_path(path)] if request.preview else ()))
    if request.format == "dicom":
        refuse_existing_folder(path, overwrite=request.overwrite)
    else:
        beside = (path, *beside)
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
    warnings: Sequence[str],
    note: Note,
) -> Output:
    """Write one synthesized volume: the picture first, the sidecar last.

    Args:
        slices: (slices, rows, columns) in [0, 1] on the reference's model grid.
        warnings: what the sidecar says was odd.

    Raises:
        InputError: an output exists.
        ResourceError: disk or permission.
    """
    reference = patient.reference
    picture = None
    if request.preview:
        content = _preview(target, slices, patient, model, note)
        picture = write_bytes_atomic(_picture_path(path), content, overwrite=request.overwrite)
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
        reference.geometry,
        model,
        values=values,
        arguments=request.arguments,
        warnings=warnings,
        simulated=patient.simulated,
    )
    if request.format == "dicom":
        digest = _write_series(path, voxels, gain, target, patient, request, model)
        # Last, as beside a NIfTI file: it is the commit mark.
        write_json_atomic(
            sidecar_path(path), {**sidecar, "VolumeSHA256": digest}, overwrite=request.overwrite
        )
    else:
        write_volume(
            path,
            voxels,
            reference.geometry,
            sidecar=sidecar,
            like=reference,
            overwrite=request.overwrite,
        )
    return Output(patient.name, tuple(patient.sources), target, path, picture)


def already_made(
    path: Path, target: str, patient: LoadedPatient, model_sha256: str, request: Request
) -> bool:
    """Whether this very result is there, whole: the hashes of volume, sources and weights match."""
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
    model = sidecar.get("Model")
    return (
        sidecar.get("Target") == target
        and sidecar.get("SourceSHA256")
        == [source.provenance.sha256 for source in patient.sources.values()]
        and isinstance(model, dict)
        and model.get("SHA256") == model_sha256
    )


def _write_series(
    path: Path,
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
        path,
        voxels,
        reference.geometry,
        reference.headers,
        DerivedSeries(target, tuple(patient.sources), model.name, model.sha256, patient.simulated),
        others=[other.headers for other in others],
        scale=gain,
        pseudonyms=request.pseudonyms,
        overwrite=request.overwrite,
    )


def describe_folder(request: Request) -> None:
    """Write `dataset_description.json` into a results folder that has none yet."""
    description = request.output / "dataset_description.json"
    if not description.exists():
        # Another run may have described the same folder since we looked, which is as good.
        with suppress(InputError):
            write_json_atomic(
                description, dataset_description(request.source_names), overwrite=False
            )


def make_folder(folder: Path) -> None:
    """Make an output folder and those above it.

    Raises:
        InputError: a file is in its place.
        ResourceError: disk or permission.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as fault:
        raise InputError(
            "the output folder is a file", where=folder.name, remedy="choose another folder"
        ) from fault
    except OSError as fault:
        raise resource_error("cannot make the output folder", folder, fault) from fault


def _picture_path(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".nii.gz") + ".png")


def _preview(
    target: str,
    synthetic: NDArray[np.float32],
    patient: LoadedPatient,
    model: ModelIdentity,
    note: Note,
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
        slice_spacing=patient.reference.geometry.slice_spacing,
        simulated=patient.simulated,
        model=model.name,
    )
