"""What other readers make of the same bad inputs, as a Markdown table.

python -m tests.hostile.libraries

Every reader runs in a process of its own, with a limit of memory and time: some of these inputs
crash or fill one. nibabel and SimpleITK read the NIfTI cases; pydicom (file by file) and
SimpleITK's series reader the DICOM cases, in the way that their documentation shows.
"""

import resource
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.hostile.dicom_cases import DICOM
from tests.hostile.nifti_cases import NIFTI

MEMORY_BYTES = 6 * 2**30


def with_nibabel(path: Path) -> tuple[np.ndarray, tuple[float, ...]]:
    """Voxels and spacing."""
    import nibabel

    image = nibabel.load(path)
    return np.asanyarray(image.dataobj), image.header.get_zooms()


def with_simpleitk(path: Path) -> tuple[np.ndarray, tuple[float, ...]]:
    """Voxels and spacing; of a folder, its first series."""
    import SimpleITK

    if path.is_dir():
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
        image = reader.Execute()
    else:
        image = SimpleITK.ReadImage(str(path))
    return SimpleITK.GetArrayFromImage(image), image.GetSpacing()


def with_pydicom(path: Path) -> tuple[np.ndarray, tuple[float, ...]]:
    """The stack sorted by place along the third axis, as the usual recipe has it."""
    import pydicom

    images = [pydicom.dcmread(file) for file in sorted(path.iterdir())]
    images.sort(key=lambda image: float(image.ImagePositionPatient[2]))
    return np.stack([image.pixel_array for image in images]), tuple(images[0].PixelSpacing)


READERS: dict[str, Callable[[Path], tuple[np.ndarray, tuple[float, ...]]]] = {
    "nibabel": with_nibabel,
    "SimpleITK": with_simpleitk,
    "pydicom": with_pydicom,
}


def report(name: str, path: Path) -> None:
    """The child's work: one line about what a reader did."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    warnings.simplefilter("ignore")
    try:
        voxels, spacing = READERS[name](path)
    except BaseException as fault:
        print("refuses:", type(fault).__name__)
        return
    sizes = " × ".join(f"{size:.4g}" for size in spacing)
    zero = np.count_nonzero(voxels == 0) / voxels.size if voxels.dtype.names is None else 0
    print(
        f"reads {' × '.join(map(str, voxels.shape))} {voxels.dtype} of {sizes} mm, {zero:.0%} zero"
    )


def run(name: str, path: Path) -> str:
    """What a reader says of a path, in a child."""
    command = [sys.executable, "-m", "tests.hostile.libraries", name, str(path)]
    try:
        child = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return "hangs"
    if child.returncode < 0:
        return f"crashes (signal {-child.returncode})"
    return (child.stdout.splitlines() or ["refuses: MemoryError"])[-1]


def main() -> None:
    """The table, and how often each reader read what is refused here."""
    tables = (
        ("NIfTI", NIFTI, ("nibabel", "SimpleITK")),
        ("DICOM", DICOM, ("pydicom", "SimpleITK")),
    )
    for title, rows, readers in tables:
        silent: Counter[str] = Counter()
        print(f"\n| {title} | here | {' | '.join(readers)} |\n|---|---|{'---|' * len(readers)}")
        for case in rows:
            with tempfile.TemporaryDirectory() as folder:
                source = str(case.make(Path(folder))[1]).removeprefix("T1=")
                found = [run(name, Path(source)) for name in readers]
            here = "refuses" if case.code else "reads, warns" if case.says else "reads"
            print(f"| {case.name.replace('_', ' ')} | {here} | {' | '.join(found)} |", flush=True)
            for name, what in zip(readers, found, strict=True):
                silent[name] += bool(case.code) and what.startswith("reads")
        refused = sum(bool(case.code) for case in rows)
        for name in readers:
            print(f"\n{name} reads {silent[name]} of the {refused} that are refused here")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        report(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
