"""What was done to each patient of a site, kept as ``preparation/record.json`` beside the volumes.

Nothing in it names a person or a folder outside the site.
"""

from __future__ import annotations

from omnisyn.settings import Settings


class RegistrationRecord(Settings):
    """How one contrast was brought onto the reference.

    Attributes:
        to: the reference contrast.
        program: `sitk`, `greedy` or `flirt`.
        transform: `rigid`, `affine` or `bspline`.
        file: of the transform, below the patient's folder.
        resampled: whether the voxels were interpolated; not where the scan lay on the reference's
            grid and had not moved.
        motion_mm: mean displacement of the corners of the head's box.
        rotation_degrees: of the rigid part.
        mutual_information_before, mutual_information_after: nat.
        edge_overlap_before, edge_overlap_after: 0 to 1.
        doubts: why somebody should look at it; empty where nothing speaks against it.
    """

    to: str
    program: str
    transform: str
    file: str
    resampled: bool
    motion_mm: float
    rotation_degrees: float
    mutual_information_before: float
    mutual_information_after: float
    edge_overlap_before: float
    edge_overlap_after: float
    doubts: tuple[str, ...] = ()


class SeriesRecord(Settings):
    """One contrast of a patient: what it was in the source, and its registration.

    Attributes:
        contrast: its name.
        form: `NIfTI`, `DICOM` or `pictures`.
        told_by: how the contrast is known.
        shape, spacing_mm, orientation: of the source's voxel grid.
        warnings: what was odd about it.
        registration: None for the reference, and where none was asked for.
    """

    contrast: str
    form: str
    told_by: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    orientation: str
    warnings: tuple[str, ...] = ()
    registration: RegistrationRecord | None = None


class PatientRecord(Settings):
    """One patient.

    Attributes:
        identifier: of its folder.
        series: of its contrasts, canonical order; empty where it failed.
        masks: names of its masks.
        mask_overlap_before, mask_overlap_after: mean Dice of masks of one thing that were drawn on
            different scans, where the files put these and after registration; None of fewer.
        doubts: why somebody should look at it, besides the doubts of its registrations.
        left: what of the source was not taken.
        failure: why it is not in the site; None where it is.
        seconds: how long it took.
    """

    identifier: str
    series: tuple[SeriesRecord, ...] = ()
    masks: tuple[str, ...] = ()
    mask_overlap_before: float | None = None
    mask_overlap_after: float | None = None
    doubts: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    failure: str | None = None
    seconds: float = 0.0

    @property
    def flags(self) -> tuple[str, ...]:
        """Everything that somebody should look at, contrast first."""
        of_series = [
            f"{series.contrast}: {doubt}"
            for series in self.series
            if series.registration
            for doubt in series.registration.doubts
        ]
        return (*of_series, *self.doubts)


class SiteRecord(Settings):
    """``preparation/record.json`` of a site.

    Attributes:
        site: its name.
        simulated: whether the images come from the simulator.
        version: of omnisyn.
        options: how it was prepared: option → value, as text.
        patients: those in the site, and those that failed.
        passed_over: what of the source belongs to no patient.
    """

    site: str
    simulated: bool
    version: str
    options: dict[str, str]
    patients: tuple[PatientRecord, ...]
    passed_over: tuple[str, ...] = ()
