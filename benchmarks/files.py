"""Volumes read and written beside nibabel and SimpleITK: one run, warm files, all our checks on.

The voxels are those of the simulated example patient, several times behind each other: longer than
any window in which gzip looks for repeats.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pydicom.data
import SimpleITK
from pydicom.uid import generate_uid

from benchmarks.machine import Call, best_seconds_of_each, run_omnisyn
from benchmarks.table import Row
from omnisyn.geometry import Geometry
from omnisyn.volumes.normalize import head_mask
from omnisyn.volumes.read import read_volume
from omnisyn.volumes.write import write_volume

_COPIES, _REPEATS = 8, 7
_SLICES, _SIDE = 300, 256


def rows() -> list[Row]:
    """NIfTI of three kinds, from easy to hard to pack, and a long DICOM series.

    A scan whose air is empty, as that of prepared data mostly is; a scan as a scanner
    exports it, whole numbers with noise in the air; and what omnisyn writes, of which every voxel
    is a number of its own.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_omnisyn("simulate", "example", "--out", folder / "patient")
        one = read_volume(folder / "patient" / "T1.nii.gz")
        grey = np.asfortranarray(np.concatenate([one.voxels] * _COPIES, axis=2))
        geometry = Geometry(grey.shape, one.geometry.affine)
        scaled = grey / np.float32(grey.max())
        stored = np.rint(scaled * 1023).astype(np.int16, order="F")
        head = head_mask([geometry.to_slices(scaled)])
        alone = np.asfortranarray(scaled * geometry.from_slices(head))
        return [
            *_nifti(folder, "float32, empty air", alone, geometry),
            *_nifti(folder, "int16, noise in the air", stored, geometry),
            *_nifti(folder, "float32, as omnisyn writes", scaled, geometry),
            *_dicom(folder, stored),
        ]


def _nifti(folder: Path, kind: str, voxels: np.ndarray, geometry: Geometry) -> list[Row]:
    dtype = voxels.dtype.name
    image = nibabel.Nifti1Image(voxels, geometry.affine)
    theirs = SimpleITK.GetImageFromArray(np.ascontiguousarray(voxels.T))
    paths = {name: folder / f"{name}_T1.nii.gz" for name in ("omnisyn", "nibabel", "SimpleITK")}
    writers: dict[str, Call] = {
        "omnisyn": lambda: write_volume(
            paths["omnisyn"], voxels, geometry, dtype=dtype, overwrite=True
        ),
        "nibabel": lambda: nibabel.save(image, paths["nibabel"]),
        "SimpleITK": lambda: SimpleITK.WriteImage(theirs, str(paths["SimpleITK"])),
    }
    size = f"{voxels.nbytes / 2**20:.0f} MiB of {kind}"
    found = _compared(f"write .nii.gz, {size}", writers)
    sizes = {name: path.stat().st_size for name, path in paths.items()}
    ratio = sizes["omnisyn"] / sizes["nibabel"]
    found.append(Row(f"file size, {kind}: omnisyn : nibabel", ratio, "ratio", "at most 1.1"))
    # All of them read the same file, the one that nibabel wrote.
    path = paths["nibabel"]
    readers: dict[str, Call] = {
        "omnisyn": lambda: read_volume(path),
        "nibabel": lambda: nibabel.load(path).get_fdata(dtype=np.float32),
        "SimpleITK": lambda: SimpleITK.GetArrayFromImage(
            SimpleITK.ReadImage(str(path), SimpleITK.sitkFloat32)
        ),
    }
    return found + _compared(f"read .nii.gz, {size}", readers)


def _dicom(folder: Path, voxels: np.ndarray) -> list[Row]:
    series = folder / "series"
    _write_series(series, voxels)

    def with_simpleitk() -> np.ndarray:
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(series)))
        return SimpleITK.GetArrayFromImage(reader.Execute())

    def with_pydicom() -> np.ndarray:
        images = [pydicom.dcmread(path) for path in series.iterdir()]
        images.sort(key=lambda image: float(image.ImagePositionPatient[2]))
        return np.stack([image.pixel_array for image in images])

    readers: dict[str, Call] = {
        "omnisyn": lambda: read_volume(series),
        "SimpleITK": with_simpleitk,
        "pydicom": with_pydicom,
    }
    return _compared(f"read DICOM, {_SLICES} files of {_SIDE} × {_SIDE}", readers)


def _write_series(folder: Path, voxels: np.ndarray) -> None:
    """Uncompressed files with the header of pydicom's own MR image, in another order than named."""
    folder.mkdir()
    image = pydicom.dcmread(str(pydicom.data.get_testdata_file("MR_small.dcm")))
    image.Rows = image.Columns = _SIDE
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.SeriesInstanceUID = generate_uid()
    for index in range(_SLICES):
        pixels = np.resize(voxels[:, :, index % voxels.shape[2]], (_SIDE, _SIDE))
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        image.InstanceNumber = index + 1
        image.ImagePositionPatient = [-100, -120, 0.9 * index]
        image.PixelData = np.ascontiguousarray(pixels, dtype="<i2").tobytes()
        image.save_as(folder / f"{7 * index % _SLICES:03d}.dcm")


def _compared(what: str, calls: Mapping[str, Call]) -> list[Row]:
    """Seconds of each, and the others' as a ratio to ours."""
    seconds = best_seconds_of_each(calls, _REPEATS)
    ours = seconds["omnisyn"]
    return [
        Row(f"{what}: {name}", value, "s", f"{value / ours:.2f} times omnisyn's")
        for name, value in seconds.items()
    ]
