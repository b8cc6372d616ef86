"""The demo's example patient: a simulated head and neck with a tumour, T1 and T1c only."""

from __future__ import annotations

from pathlib import Path

from omnisyn.simulate.cohort import cohort_patient, load_cohort
from omnisyn.simulate.files import write_patient
from omnisyn.volumes.atomic import resource_error

# A patient that no site holds: the site's name decides, and the demo's sites count from one.
_SITE, _NUMBER = "sim-external2", 0
SOURCES, TRUTH = ("T1", "T1c"), "T2"


def write_example(folder: Path, *, truth: bool = False, overwrite: bool = False) -> list[Path]:
    """Write the SIMULATED example: ``T1``, ``T1c`` (.nii.gz + .json) and, if asked, the true T2.

    The truth goes to ``folder/truth``, where ``synthesize`` does not look for sources. The
    patient belongs to the setting of sim-external2, but to none of its patients.

    Raises:
        InputError: a file exists and ``overwrite`` is false.
        ResourceError: the disk is full or read-only.
    """
    cohort = load_cohort("demo")
    patient = cohort_patient(cohort, cohort.site(_SITE), _NUMBER)
    aside = folder / "truth"
    try:
        (aside if truth else folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise resource_error("cannot make the folder", folder, error) from error
    written = write_patient(folder, patient, contrasts=SOURCES, maps=False, overwrite=overwrite)
    if truth:
        written += write_patient(
            aside, patient, contrasts=(TRUTH,), maps=False, overwrite=overwrite
        )
    return written
