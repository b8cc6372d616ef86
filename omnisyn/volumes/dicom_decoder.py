"""Decode compressed DICOM pixels with GDCM (through SimpleITK), in a process of its own.

Damaged pixels can make GDCM crash the process that it runs in (found by tests/fuzz: it divides by
the count of run-length segments, which may be zero). Here that ends a child. The child runs this
very file, which therefore imports nothing of omnisyn.
"""

import contextlib
import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Far beyond what the longest series takes, so that a stream on which the decoder hangs ends too.
_LIMIT_S = 900
_NO_ROOM = 5


def decode(files: Sequence[bytes]) -> list[NDArray[np.integer]]:
    """The stored pixels of single-frame DICOM files, before any rescaling.

    Returns:
        One array a file, up to the first that cannot be decoded: a list shorter than `files` says
        which.

    Raises:
        OSError: the temporary folder cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="omnisyn-") as name:
        folder = Path(name)
        for index, content in enumerate(files):
            (folder / f"{index}.dcm").write_bytes(content)
        # -P: the modules beside this file must not be taken for others of their names.
        command = [sys.executable, "-P", __file__, name, str(len(files))]
        with contextlib.suppress(subprocess.TimeoutExpired):
            child = subprocess.run(command, capture_output=True, timeout=_LIMIT_S, check=False)
            if child.returncode == _NO_ROOM:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        decoded = []
        for index in range(len(files)):
            path = folder / f"{index}.npy"
            if not path.exists():
                break
            decoded.append(np.load(path, allow_pickle=False))
        return decoded


def _decode_all(folder: Path, count: int) -> None:
    """The child's work: as many `N.npy` as there are files that can be decoded."""
    import SimpleITK

    for index in range(count):
        reader = SimpleITK.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(folder / f"{index}.dcm"))
        pixels = SimpleITK.GetArrayFromImage(reader.Execute())
        # Written under another name first: a file that the parent sees is whole.
        np.save(folder / "unfinished.npy", pixels, allow_pickle=False)
        (folder / "unfinished.npy").rename(folder / f"{index}.npy")


if __name__ == "__main__":
    try:
        _decode_all(Path(sys.argv[1]), int(sys.argv[2]))
    except OSError:
        # Of the decoder's own faults none is an OSError.
        sys.exit(_NO_ROOM)
