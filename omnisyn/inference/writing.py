"""Write what was synthesized: volumes with sidecars, pictures, and the folder's description."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnisyn.contrasts import contrast
from omnisyn.errors import InputError
from omnisyn.inference.naming import synthetic_stem
from omnisyn.inference.preview import preview_png
from omnisyn.inference.regrid import onto_first_grid
from omnisyn.inference.request import LoadedPatient, Output, Request
from omnisyn.inference.sidecar import ModelIdentity, dataset_description, synthesis_sidecar
from omnisyn.listeners import Note
from omnisyn.volumes.atomic import (
    refuse_existing,
    resource_error,
    write_bytes_atomic,
    write_json_atomic,
)
from omnisyn.volumes.normalize import scale, scale_divisor
from omnisyn.volumes.volume import Volume
from omnisyn.volumes.write import sidecar_path, write_volume


def volume_path(patient: LoadedPatient, request: Request, target: str) -> Path:
    """Where a target of a patient is written."""
    stem = synthetic_stem(patient.reference.provenance.name, contrast(target))
    return request.output / patient.folder / f"{stem}.nii.gz"


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
    for file in (path, sidecar_path(path), *([_picture_path(path)] if request.preview else ())):
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
    values = "the model's scale, 0 to 1: 1 is the 99.5 percentile of the foreground"
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
    write_volume(
        path,
        voxels,
        reference.geometry,
        sidecar=sidecar,
        like=reference,
        overwrite=request.overwrite,
    )
    return Output(patient.name, tuple(patient.sources), target, path, picture)


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
