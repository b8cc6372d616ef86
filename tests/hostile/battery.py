"""The battery of bad inputs: what a case is, and the good scans that the cases spoil.

A case makes files in an empty folder and gives back the words that `omnisyn synthesize` is called
with. The cases stand in nifti_cases.py, dicom_cases.py and around_cases.py; `test_hostile.py` holds
the command to them; `libraries.py` shows what other readers do with the same files.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np

from tests.dicom_series import DicomSeries

SHAPE = (20, 24, 6)
AFFINE = np.diag([-1.5, -1.5, 4.0, 1.0])
USAGE, REFUSED, MODEL = 2, 3, 4


@dataclasses.dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes:
        row: the row of the list of hostile inputs that it belongs to.
        make: writes the files into a folder; gives the words of the command.
        code: the exit code that must come back.
        says: words of the refusal, or of the warning in the sidecar; empty where nothing is odd.
    """

    row: str
    make: Callable[[Path], list[str | Path]]
    code: int
    says: str

    @property
    def name(self) -> str:
        """The name of the function that makes it."""
        return self.make.__name__


def case(where: list[Case], row: str, code: int, says: str = "") -> Callable[..., Callable]:
    """Enter the function below as a case."""

    def enter(make: Callable[[Path], list[str | Path]]) -> Callable:
        where.append(Case(row, make, code, says))
        return make

    return enter


def grey(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Positive noise with an empty border on one side."""
    voxels = np.random.default_rng(3).uniform(20, 100, shape).astype(np.float32)
    voxels[: max(1, shape[0] // 8)] = 0
    return voxels


def nifti(folder: Path, voxels: np.ndarray | None = None, affine: np.ndarray = AFFINE) -> Path:
    """A .nii.gz as nibabel writes it."""
    path = folder / "T1.nii.gz"
    nibabel.save(nibabel.Nifti1Image(grey() if voxels is None else voxels, affine), path)
    return path


def to_t2(path: Path, *more: str | Path) -> list[str | Path]:
    """The words of the plain call."""
    return ["--src", path, "--target", "T2", *more]


def series(count: int = 6, orientation: str = "axial"):
    """A good T2 series of so many slices of 16 × 12 pixels, in memory."""
    return DicomSeries(orientation, shape=(count, 16, 12))
