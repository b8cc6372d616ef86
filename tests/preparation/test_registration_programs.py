"""Other people's programs: their command lines, their matrices, and what goes wrong with them.

FLIRT and greedy's executable are stand-ins that obey the command line and write the matrix of a
known motion, FLIRT's by FSL's own definition; greedy's Python wheel is run where it is installed.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from omnisyn.errors import ResourceError, UsageError
from omnisyn.preparation import registration_programs
from omnisyn.preparation.images import TO_LPS, moved_points
from omnisyn.preparation.register import register
from omnisyn.preparation.registration_check import head_corners
from omnisyn.preparation.registration_programs import by_flirt, by_greedy
from tests.preparation.balls import FIXED, MOVING, T1_LIKE, T2_LIKE, head, turned

MOTION = turned(4.0, 6.0, [3.0, -4.0, 3.0])
WORLD = TO_LPS @ MOTION @ TO_LPS

FLIRT = """
import sys
import nibabel
import numpy as np

said = dict(zip(sys.argv[1::2], sys.argv[2::2])) if "-usesqform" not in sys.argv else None
arguments = sys.argv[1:]
arguments.remove("-usesqform")
while "-searchrx" in arguments or "-searchry" in arguments or "-searchrz" in arguments:
    place = next(i for i, word in enumerate(arguments) if word.startswith("-searchr"))
    del arguments[place : place + 3]
said = dict(zip(arguments[::2], arguments[1::2]))
assert said["-dof"] == "{degrees}" and said["-cost"] == said["-searchcost"] == "mutualinfo"

def scaled(image):
    steps = image.header.get_zooms()[:3]
    matrix = np.diag([*steps, 1.0])
    if np.linalg.det(image.affine) > 0:
        matrix[0, 0], matrix[0, 3] = -steps[0], (image.shape[0] - 1) * steps[0]
    return matrix

moving, fixed = nibabel.load(said["-in"]), nibabel.load(said["-ref"])
back = np.linalg.inv(np.array({motion}))
np.savetxt(
    said["-omat"],
    scaled(fixed) @ np.linalg.inv(fixed.affine) @ back @ moving.affine
    @ np.linalg.inv(scaled(moving)),
    fmt="%.10f",
)
"""
GREEDY = """
import sys
from pathlib import Path
import numpy as np

words = sys.argv[1:]
assert words[:2] == ["-d", "3"] and words[words.index("-dof") + 1] == "{degrees}"
for image in words[words.index("-i") + 1 :][:2]:
    assert Path(image).is_file()
np.savetxt(words[words.index("-o") + 1], np.array({motion}))
"""
BROKEN = "import sys\nsys.exit(9)\n"
SILENT = "\n"


@pytest.fixture
def fixed():
    return head(FIXED, np.eye(4), T1_LIKE)


@pytest.fixture
def moving():
    return head(MOVING, MOTION, T2_LIKE)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a Python script on the path under a program's name, without greedy's wheel."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("FSLDIR", raising=False)
    monkeypatch.setattr(registration_programs, "_WHEEL", "no_such_wheel")

    def put(name: str, script: str, folder: Path = tmp_path) -> None:
        folder.mkdir(exist_ok=True)
        program = folder / name
        program.write_text(f"#!{sys.executable}\n{script}")
        program.chmod(0o755)

    return put


def written(script: str, degrees: int = 6) -> str:
    return script.replace("{degrees}", str(degrees)).replace("{motion}", repr(MOTION.tolist()))


def test_flirt_matrix_becomes_the_motion(install, fixed, moving):
    install("flirt", written(FLIRT))
    found = by_flirt(fixed, moving, "rigid")
    place = np.array([40.0, 50.0, 30.0])
    expected = WORLD[:3, :3] @ place + WORLD[:3, 3]
    np.testing.assert_allclose(found.TransformPoint(place.tolist()), expected, atol=1e-4)


def test_flirt_is_found_in_the_folder_of_fsl(install, fixed, moving, tmp_path, monkeypatch):
    (tmp_path / "fsl").mkdir()
    monkeypatch.setenv("FSLDIR", str(tmp_path / "fsl"))
    install("flirt", written(FLIRT, degrees=12), tmp_path / "fsl" / "bin")
    by_flirt(fixed, moving, "affine")


def test_matrix_of_greedys_executable_becomes_the_motion(install, fixed, moving):
    install("greedy", written(GREEDY))
    found = by_greedy(fixed, moving, "rigid")
    np.testing.assert_allclose(np.array(found.GetMatrix()).reshape(3, 3), WORLD[:3, :3], atol=1e-9)
    np.testing.assert_allclose(found.GetTranslation(), WORLD[:3, 3], atol=1e-9)


def test_result_of_a_program_is_checked_like_our_own(install, fixed, moving):
    install("greedy", written(GREEDY))
    found = register(fixed, moving, program="greedy")
    assert found.rotation_degrees == pytest.approx(7.2, abs=0.1)
    assert found.edge_overlap_after > found.edge_overlap_before
    assert found.doubts == ()
    wrong = GREEDY.replace("{motion}", "np.eye(4)").replace("{degrees}", "6")
    install("greedy", wrong)
    assert any(
        "the way back" in doubt for doubt in register(fixed, moving, program="greedy").doubts
    )


@pytest.mark.parametrize(("program", "way"), [("flirt", by_flirt), ("greedy", by_greedy)])
def test_program_that_is_missing_or_fails_is_told(install, fixed, moving, program, way):
    with pytest.raises(UsageError, match=f"{program} is not installed.*register with sitk"):
        way(fixed, moving, "rigid")
    install(program, BROKEN)
    with pytest.raises(ResourceError, match=f"{program} could not register.*ended with 9"):
        way(fixed, moving, "rigid")
    install(program, SILENT)
    with pytest.raises(ResourceError) as failure:
        way(fixed, moving, "rigid")
    assert "/" not in str(failure.value)


@pytest.mark.skipif(
    importlib.util.find_spec("picsl_greedy") is None, reason="picsl_greedy is not installed"
)
def test_greedys_wheel_comes_nearer_and_ends_alike_every_time(fixed, moving, capfd):
    found, again = (by_greedy(fixed, moving, "rigid") for _ in range(2))
    assert found.GetParameters() == again.GetParameters()
    corners = head_corners(fixed)
    expected = corners @ WORLD[:3, :3].T + WORLD[:3, 3]
    error = np.linalg.norm(moved_points(found, corners) - expected, axis=1).mean()
    # So smooth a head has little to turn it by; on simulated heads it is as good as our own.
    assert error < 0.6 * np.linalg.norm(corners - expected, axis=1).mean()
    assert capfd.readouterr().out == ""
