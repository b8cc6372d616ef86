"""Prepares one patient: reads its scans, brings them onto one grid, writes and caches them."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnisyn import __version__
from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.preparation.alignment import (
    Aligned,
    align,
    facts_of,
    record_of,
)
from omnisyn.preparation.found import FoundMask, FoundPatient
from omnisyn.preparation.mask_arrangement import Arrangement, place
from omnisyn.preparation.mask_orientation import Case, doubt_of
from omnisyn.preparation.nifti_folders import BRAIN
from omnisyn.preparation.pictures import (
    HISTOGRAMS,
    histogram_picture,
    picture_file,
    registration_picture,
)
from omnisyn.preparation.records import PatientRecord, RegistrationRecord, SeriesRecord
from omnisyn.preparation.register import (
    INTERPOLATION,
    TRANSFORM_SUFFIX,
    Program,
    Registration,
    Transform,
    resample_by,
    write_transform,
)
from omnisyn.preparation.scans import read_scan, sidecar_of
from omnisyn.preparation.staging import Done, Staging
from omnisyn.studies.cache_files import cache_patient
from omnisyn.studies.patient import Patient
from omnisyn.volumes.atomic import write_bytes_atomic, write_json_atomic
from omnisyn.volumes.file_bytes import read_file
from omnisyn.volumes.gzip_member import pack
from omnisyn.volumes.nifti import load_nifti
from omnisyn.volumes.normalize import head_mask
from omnisyn.volumes.volume import Volume
from omnisyn.volumes.write import sidecar_path, write_volume

_OVERLAP_LOST = 0.1


@dataclass(frozen=True)
class PatientOptions:
    """How the patients of a site are prepared.

    Attributes:
        site: its name.
        simulated: whether its patients are.
        reference: the contrast to whose grid the others come; where a patient lacks it, its first.
        transform: of the registration.
        program: that registers; None trusts the positions in the files.
        bias_correction: whether N4 evens the brightness of every scan out.
        brain_atlases: whole-head label maps, by which volumes are 0 outside the brain.
        arrangement: how masks that do not say where they lie are stored.
    """

    site: str
    simulated: bool
    reference: str = "T1"
    transform: Transform = "rigid"
    program: Program | None = "sitk"
    bias_correction: bool = False
    brain_atlases: tuple[Path, ...] = ()
    arrangement: Arrangement | None = None

    def described(self) -> dict[str, str]:
        """Option → value, as text."""
        return {
            "reference": self.reference,
            "registration": self.program or "none",
            "transform": self.transform,
            "bias correction": "N4" if self.bias_correction else "none",
            "brain": f"{len(self.brain_atlases)} atlases" if self.brain_atlases else "not cut out",
        }


def fingerprint(patient: FoundPatient, options: PatientOptions) -> str:
    """A hash of everything that the result depends on: files (size, time of change), options."""

    def state(path: Path) -> list[Any]:
        try:
            found = path.stat()
        except OSError:
            return [str(path), None]
        return [str(path), found.st_size, found.st_mtime_ns]

    content = {
        "version": __version__,
        "options": [options.described(), str(options.arrangement), options.site],
        "atlases": [state(path) for path in options.brain_atlases],
        "scans": {
            name: [
                scan.form,
                scan.part,
                scan.spacing_mm,
                *(state(path) for path in scan.files),
                *(state(sidecar_path(path)) for path in scan.files if scan.form == "NIfTI"),
            ]
            for name, scan in patient.scans.items()
        },
        "masks": {
            name: [[each.drawn_on, state(each.file)] for each in masks]
            for name, masks in patient.masks.items()
        },
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def prepare_patient(
    patient: FoundPatient, options: PatientOptions, staging: Staging
) -> PatientRecord:
    """Makes a patient's folder, cache, transforms and pictures in the staging, and marks it whole.

    Raises:
        InputError: a scan is damaged, shares no place with the reference, or no brain is found.
        UsageError, ResourceError: a program is not installed or fails; disk, memory.
    """
    began = time.monotonic()
    staging.begin(patient.identifier)
    scans = {name: _told(patient, name, lambda n: read_scan(patient.scans[n], n)) for name in
             patient.scans}  # fmt: skip
    raw = dict(scans)
    if options.bias_correction:
        from omnisyn.preparation.bias_field import correct_bias

        scans = {name: correct_bias(volume) for name, volume in scans.items()}
    reference = options.reference if options.reference in scans else next(iter(scans))
    fixed = scans[reference]
    aligned = {reference: Aligned(fixed, None, False)}
    records: dict[str, RegistrationRecord | None] = {reference: None}
    for name, volume in scans.items():
        if name == reference:
            continue
        aligned[name] = _told(
            patient,
            name,
            lambda _n, moving=volume: align(
                fixed, moving, transform=options.transform, program=options.program
            ),
        )
        records[name] = _registered(aligned[name], reference, name, patient, options, staging)
    masks = _masks(patient, scans, aligned, reference, options)
    brain = masks.placed.pop(BRAIN, None)
    if options.brain_atlases:
        brain = _told(patient, reference, lambda _n: _brain(fixed, options.brain_atlases))
    _write(patient, scans, raw, aligned, records, brain, options, staging)
    for name, mask in masks.placed.items():
        path = staging.path / patient.identifier / f"{name}.nii.gz"
        write_volume(path, mask.astype(np.uint8), fixed.geometry, like=fixed, dtype="uint8")
    folder = staging.path / patient.identifier
    done = Patient(patient.identifier, options.site, folder, options.simulated)
    cached = cache_patient(done, staging.cache)
    _pictures(done, scans, reference, staging)
    record = PatientRecord(
        identifier=patient.identifier,
        series=tuple(
            SeriesRecord(
                contrast=name,
                form=patient.scans[name].form,
                told_by=patient.scans[name].told_by,
                shape=volume.geometry.shape,
                spacing_mm=volume.geometry.spacing,
                orientation=volume.geometry.orientation,
                warnings=volume.provenance.warnings,
                registration=records[name],
            )
            for name, volume in scans.items()
        ),
        masks=tuple(masks.placed),
        mask_overlap_before=masks.overlap_before,
        mask_overlap_after=masks.overlap_after,
        doubts=masks.doubts,
        left=patient.left,
        seconds=round(time.monotonic() - began, 2),
    )
    mark = Done(fingerprint=fingerprint(patient, options), record=record, cached=cached)
    staging.finish(patient.identifier, mark)
    return record


def _told(patient: FoundPatient, name: str, act: Any) -> Any:
    """Among many patients the name of a file alone would not say whose it is."""
    try:
        return act(name)
    except InputError as error:
        where = f"{patient.identifier}/{name}"
        raise InputError(
            error.what,
            where=f"{where}: {error.where}" if error.where else where,
            why=error.why,
            remedy=error.remedy,
        ) from error


def _registered(
    aligned: Aligned,
    reference: str,
    name: str,
    patient: FoundPatient,
    options: PatientOptions,
    staging: Staging,
) -> RegistrationRecord | None:
    if aligned.registration is None or options.program is None:
        return None
    file = f"{name}-to-{reference}{TRANSFORM_SUFFIX}"
    write_transform(staging.preparation / patient.identifier / file, aligned.registration)
    return record_of(
        aligned, reference, transform=options.transform, program=options.program, file=file
    )


@dataclass(frozen=True)
class _Masks:
    """The masks of a patient on the reference's grid.

    ``overlap_before`` and ``overlap_after``: mean Dice of each two masks of one thing that were
    drawn on different scans, where the files put these and after registration; None of fewer.
    """

    placed: dict[str, NDArray[np.bool_]]
    doubts: tuple[str, ...]
    overlap_before: float | None
    overlap_after: float | None


def _masks(
    patient: FoundPatient,
    scans: Mapping[str, Volume],
    aligned: Mapping[str, Aligned],
    reference: str,
    options: PatientOptions,
) -> _Masks:
    placed: dict[str, NDArray[np.bool_]] = {}
    doubts: list[str] = []
    before, after = [], []
    for name, several in patient.masks.items():
        versions: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]] = []
        for each in several:
            try:
                on, mask = _drawn(each, scans, reference, options, doubts)
            except InputError as error:
                doubts.append(f"{name} left out: {error}")
                continue
            grid = scans[reference].geometry
            versions.append((_carried(mask, None, grid), _carried(mask, aligned[on].applied, grid)))
        if versions:
            placed[name] = np.any([moved for _, moved in versions], axis=0)
        for one, other in itertools.combinations(versions, 2):
            before.append(_dice(one[0], other[0]))
            after.append(_dice(one[1], other[1]))
    overlaps = (float(np.mean(before)), float(np.mean(after))) if before else (None, None)
    if before and np.mean(after) < np.mean(before) - _OVERLAP_LOST:
        doubts.append(
            f"masks drawn on different scans overlap less after registration: Dice "
            f"{overlaps[1]:.2f}, before {overlaps[0]:.2f}"
        )
    return _Masks(placed, tuple(doubts), *overlaps)


def _drawn(
    mask: FoundMask,
    scans: Mapping[str, Volume],
    reference: str,
    options: PatientOptions,
    doubts: list[str],
) -> tuple[str, Volume]:
    """The contrast that a mask was drawn on, and the mask on that one's grid: 0 and 1."""
    image = load_nifti(read_file(mask.file))
    name = mask.file.name
    if not np.isfinite(image.voxels).all():
        raise InputError("the mask holds values that are not finite", where=name)
    if mask.drawn_on is not None:
        if mask.drawn_on not in scans or options.arrangement is None:
            raise InputError(f"it has no {mask.drawn_on} to lie on", where=name)
        on, drawn = mask.drawn_on, scans[mask.drawn_on]
        voxels = place(image.voxels, image.geometry, options.arrangement, drawn.geometry, name)
        doubt = doubt_of(Case(on, image.voxels, drawn, image.geometry), options.arrangement)
        if doubt:
            doubts.append(f"{name}: {doubt}")
    else:
        grids = {reference: scans[reference], **scans}
        found = (key for key in grids if image.geometry.matches(grids[key].geometry))
        on, voxels = next(found, ""), image.voxels > 0.5
        if not on:
            raise InputError(
                "the mask lies on the grid of no scan of its patient",
                where=name,
                remedy="resample it onto the grid of the scan that it was drawn on",
            )
    return on, replace(scans[on], voxels=voxels.astype(np.float32))


def _carried(mask: Volume, registration: Registration | None, onto: Geometry) -> NDArray[np.bool_]:
    if registration is None and mask.geometry.matches(onto):
        return mask.voxels > 0.5
    transform = registration.transform if registration else None
    return resample_by(transform, mask, onto).voxels > 0.5


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    total = int(one.sum()) + int(other.sum())
    return 2.0 * int((one & other).sum()) / total if total else 1.0


def _brain(fixed: Volume, atlases: tuple[Path, ...]) -> NDArray[np.bool_]:
    from omnisyn.preparation import brain

    return brain.brain_mask(fixed, [brain.read_atlas(path) for path in atlases])


def _write(
    patient: FoundPatient,
    scans: Mapping[str, Volume],
    raw: Mapping[str, Volume],
    aligned: Mapping[str, Aligned],
    records: Mapping[str, RegistrationRecord | None],
    brain: NDArray[np.bool_] | None,
    options: PatientOptions,
    staging: Staging,
) -> None:
    """The volumes with their sidecars; a NIfTI file that nothing was done to stays as it is."""
    for name, come in aligned.items():
        scan, volume = patient.scans[name], come.volume
        path = staging.path / patient.identifier / f"{name}.nii.gz"
        side = {**sidecar_of(scan, name, raw[name]), **facts_of(records[name])}
        if come.resampled:
            side["Interpolation"] = INTERPOLATION
        if options.bias_correction:
            side["BiasCorrection"] = "N4"
        if options.simulated:
            side["Simulated"] = True
        if brain is not None:
            side["BrainOnly"] = True
            volume = replace(volume, voxels=np.where(brain, volume.voxels, np.float32(0)))
        if scan.form == "NIfTI" and volume is raw[name]:
            file = read_file(scan.files[0])
            content = file.content if file.packed else b"".join(pack(file.content))
            write_bytes_atomic(path, content)
            write_json_atomic(sidecar_path(path), side)
        else:
            like = scans[next(iter(aligned))]
            write_volume(path, volume.voxels, volume.geometry, sidecar=side, like=like)


def _pictures(
    patient: Patient, scans: Mapping[str, Volume], reference: str, staging: Staging
) -> None:
    """What the report shows: checkerboards, and histograms of what was found and what is cached."""
    study = patient.study(masks=())
    fixed = study.volumes[reference]
    folder = staging.preparation
    for name, volume in study.volumes.items():
        if name == reference:
            continue
        before = resample_by(None, scans[name], fixed.geometry)
        picture = registration_picture(
            fixed.voxels,
            before.voxels,
            volume.voxels,
            fixed.geometry,
            simulated=patient.simulated,
        )
        write_bytes_atomic(picture_file(folder, patient.identifier, name), picture)
    scaled = {name: study.scaled(name) for name in study.volumes}
    head = head_mask(list(scaled.values()))
    if head.any():
        drawn = histogram_picture(
            {name: volume.slices()[head] for name, volume in study.volumes.items()},
            {name: values[head] for name, values in scaled.items()},
            simulated=patient.simulated,
        )
        write_bytes_atomic(picture_file(folder, patient.identifier, HISTOGRAMS), drawn)
