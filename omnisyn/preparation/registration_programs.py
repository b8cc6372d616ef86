"""Registration by other people's programs: greedy and FSL's FLIRT, where they are installed.

FLIRT was never run for real by this project: it is tested against a stand-in that obeys its command
line and answers with a matrix of FSL's definition.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import SimpleITK

from omnisyn.errors import ResourceError, UsageError, reason_of
from omnisyn.geometry import Affine
from omnisyn.preparation.flirt_matrix import from_flirt
from omnisyn.preparation.images import TO_LPS
from omnisyn.volumes.volume import Volume
from omnisyn.volumes.write import write_volume

Linear = Literal["rigid", "affine"]
DEGREES_OF_FREEDOM: dict[Linear, int] = {"rigid": 6, "affine": 12}

_FIXED, _MOVING, _RESULT = "fixed.nii.gz", "moving.nii.gz", "result.mat"
_WHEEL = "picsl_greedy"
_RUN_WHEEL = (
    f"import sys; from {_WHEEL} import Greedy3D; Greedy3D().execute(' '.join(sys.argv[1:]))"
)
# Normalized mutual information over three resolutions, from the positions in the files.
# Without a seed it samples, and ends, elsewhere every time.
_GREEDY = "-a -m NMI -n 100x50x10 -ia-identity -threads 1 -seed 1"
_FLIRT = (
    "-cost mutualinfo -searchcost mutualinfo -usesqform "
    "-searchrx -30 30 -searchry -30 30 -searchrz -30 30"
)
_DAY_S = 24 * 3600.0


def by_greedy(fixed: Volume, moving: Volume, transform: Linear) -> Any:
    """What greedy finds: SimpleITK's affine transform, points of the fixed scan to the moving one.

    The Python wheel is used where it is installed, else the program on the path.

    Raises:
        UsageError: neither is installed.
        ResourceError: it fails.
    """
    if importlib.util.find_spec(_WHEEL) is not None:
        # In a process of its own: the wheel prints, and what it prints cannot be turned away.
        program = [sys.executable, "-c", _RUN_WHEEL]
    else:
        program = [_installed("greedy", "install picsl_greedy (pip), or greedy itself")]
    degrees = str(DEGREES_OF_FREEDOM[transform])
    arguments = ["-d", "3", *_GREEDY.split(), "-dof", degrees, "-o", _RESULT]
    matrix = _run("greedy", [*program, *arguments, "-i", _FIXED, _MOVING], fixed, moving)
    return affine_transform(TO_LPS @ matrix @ TO_LPS)


def by_flirt(fixed: Volume, moving: Volume, transform: Linear) -> Any:
    """What FLIRT finds: SimpleITK's affine transform, points of the fixed scan to the moving one.

    Raises:
        UsageError: it is not installed.
        ResourceError: it fails.
    """
    program = _installed("flirt", "install FSL, and put its programs on the path")

    degrees = str(DEGREES_OF_FREEDOM[transform])
    images = ["-in", _MOVING, "-ref", _FIXED, "-omat", _RESULT]
    matrix = _run("flirt", [program, *images, "-dof", degrees, *_FLIRT.split()], fixed, moving)
    return affine_transform(from_flirt(matrix, fixed.geometry, moving.geometry))


def affine_transform(matrix: Affine) -> Any:
    """SimpleITK's transform of a 4×4 matrix (LPS+)."""
    transform = SimpleITK.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    return transform


def _run(name: str, command: list[str], fixed: Volume, moving: Volume) -> Affine:
    """The matrix that a program writes, run in a folder with the two scans."""
    with tempfile.TemporaryDirectory(prefix="omnisyn-") as scratch:
        folder = Path(scratch)
        for file, volume in ((_FIXED, fixed), (_MOVING, moving)):
            write_volume(folder / file, volume.voxels, volume.geometry, like=volume)
        try:
            subprocess.run(command, check=True, capture_output=True, cwd=folder, timeout=_DAY_S)
            return _matrix(np.loadtxt(folder / _RESULT))
        except subprocess.CalledProcessError as fault:
            raise _failed(name, moving, f"it ended with {fault.returncode}") from fault
        except (OSError, ValueError, subprocess.TimeoutExpired) as fault:
            raise _failed(name, moving, reason_of(fault)) from fault


def _matrix(numbers: Any) -> Affine:
    matrix = np.asarray(numbers, dtype=np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise ValueError("it gave no 4×4 matrix")
    if abs(np.linalg.det(matrix[:3, :3])) < 1e-6:
        raise ValueError("its matrix cannot be inverted")
    return matrix


def _installed(name: str, remedy: str) -> str:
    """Where a program is: on the path, or among FSL's."""
    folders = os.environ.get("PATH", os.defpath)
    if root := os.environ.get("FSLDIR"):
        folders = os.pathsep.join((folders, str(Path(root) / "bin")))
    found = shutil.which(name, path=folders)
    if found is None:
        raise UsageError(f"{name} is not installed", remedy=f"{remedy}, or register with sitk")
    return found


def _failed(name: str, moving: Volume, why: str) -> ResourceError:
    return ResourceError(
        f"{name} could not register the scan",
        where=moving.provenance.name,
        why=why,
        remedy="register with sitk",
    )
