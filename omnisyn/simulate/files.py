"""A simulated patient on disk: volumes, masks and sidecars, every one marked SIMULATED."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from omnisyn.geometry import Geometry
from omnisyn.simulate.patient import SimulatedPatient
from omnisyn.simulate.tissues import TISSUES
from omnisyn.volumes.write import VoxelType, write_volume

SCANNING_SEQUENCE = {
    "spin_echo": "SE",
    "fast_spin_echo": "SE",
    "inversion_recovery": "IR",
    "spoiled_gradient_echo": "GR",
    "mprage": "GR_IR",
    "time_of_flight": "GR",
}


def sidecar(patient: SimulatedPatient, contrast: str) -> dict[str, Any]:
    """The BIDS-like description of one series: times in s, angles in degrees, lengths in mm."""
    acquisition = patient.acquisitions[contrast]
    series, scanner = patient.plan.series[contrast], patient.plan.scanner
    displacement = series.displacement
    suppressed = " with fat suppression" if acquisition.fat_suppressed else ""
    content: dict[str, Any] = {
        "Simulated": True,
        "SeriesDescription": f"SIMULATED axial {contrast}{suppressed}",
        "Contrast": contrast,
        "Modality": "MR",
        "Manufacturer": scanner.vendor,
        "ManufacturersModelName": f"{scanner.model} (simulated)",
        "MagneticFieldStrength": acquisition.field_tesla,
        "ScanningSequence": SCANNING_SEQUENCE[acquisition.sequence],
        "SequenceName": acquisition.sequence,
        "RepetitionTime": _seconds(acquisition.repetition_time_ms),
        "EchoTime": _seconds(acquisition.echo_time_ms),
        "FlipAngle": round(acquisition.flip_degrees, 2),
        "EchoTrainLength": acquisition.echo_train,
        "SliceThickness": round(acquisition.slice_thickness_mm, 3),
        "SpacingBetweenSlices": round(patient.geometry.slice_spacing[0], 3),
        "FatSuppressed": acquisition.fat_suppressed,
        "BrainExtracted": patient.plan.brain_extracted,
        "SimulatedSNR": round(series.snr, 2),
        "SimulatedMotion": series.motion is not None,
        "SimulatedDisplacement": {
            "SlicesMm": round(displacement.slices_mm, 4),
            "RowsMm": round(displacement.rows_mm, 4),
            "ColumnsMm": round(displacement.columns_mm, 4),
            "Degrees": round(displacement.degrees, 4),
        },
    }
    if acquisition.inversion_time_ms is not None:
        content["InversionTime"] = _seconds(acquisition.inversion_time_ms)
    if acquisition.fat_suppressed:
        content["FatSuppressionTechnique"] = acquisition.fat_suppression
    if acquisition.agent is not None:
        content["ContrastBolusIngredient"] = "GADOLINIUM"
        content["ContrastBolusAgent"] = acquisition.agent
    return content


def write_patient(
    folder: Path,
    patient: SimulatedPatient,
    *,
    contrasts: Sequence[str] | None = None,
    maps: bool = True,
    overwrite: bool = False,
) -> list[Path]:
    """Write a patient's contrasts (default: all) and, with ``maps``, masks and the tissue map.

    The folder must exist. Errors as in ``volumes.write.write_volume``.
    """
    written = []
    for name in contrasts if contrasts is not None else tuple(patient.images):
        written.append(
            _write(
                folder / f"{name}.nii.gz",
                patient.images[name],
                patient.geometry,
                sidecar(patient, name),
                overwrite=overwrite,
            )
        )
    if not maps:
        return written
    tissue_names = {str(index): name for index, name in enumerate(TISSUES)}
    lesions = patient.lesions
    for name, values, description in (
        *((("lesions", lesions, {"Description": "SIMULATED lesions"}),) if lesions.any() else ()),
        ("tumour", patient.tumour, {"Description": "SIMULATED primary tumour"}),
        ("nodes", patient.nodes, {"Description": "SIMULATED metastatic lymph nodes"}),
        ("head", patient.head, {"Description": "SIMULATED head with its cavities"}),
        (
            "tissues",
            patient.tissues,
            {"Description": "SIMULATED tissues by index", "Labels": tissue_names},
        ),
    ):
        written.append(
            _write(
                folder / f"{name}.nii.gz",
                values.byte(),
                patient.geometry,
                {"Simulated": True, **description},
                dtype="uint8",
                overwrite=overwrite,
            )
        )
    return written


def _write(
    path: Path,
    slices: Tensor,
    geometry: Geometry,
    content: Mapping[str, Any],
    *,
    dtype: VoxelType = "float32",
    overwrite: bool,
) -> Path:
    voxels = geometry.from_slices(slices.cpu().numpy())
    return write_volume(path, voxels, geometry, sidecar=content, dtype=dtype, overwrite=overwrite)


def _seconds(milliseconds: float) -> float:
    return round(milliseconds / 1000.0, 6)
