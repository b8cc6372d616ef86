"""The hidden folder beside a site in which it is made: patient by patient, so that a run that was
stopped goes on where it was.

It has the form of the site itself. A patient is whole once its mark is there.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from omnisyn.errors import InputError
from omnisyn.paths import read_json
from omnisyn.preparation.records import PatientRecord
from omnisyn.settings import Settings, parse
from omnisyn.studies.cache_files import CachedPatient
from omnisyn.studies.site import CACHE_FOLDER, PREPARATION_FOLDER
from omnisyn.volumes.atomic import write_json_atomic

_MARK = ".done.json"


class Done(Settings):
    """The mark of a patient that is whole: made from what, what was done, what is cached."""

    fingerprint: str
    record: PatientRecord
    cached: CachedPatient


@dataclass(frozen=True)
class Staging:
    """The folder."""

    path: Path

    @property
    def cache(self) -> Path:
        """Of slices."""
        return self.path / CACHE_FOLDER

    @property
    def preparation(self) -> Path:
        """Of records, transforms and pictures."""
        return self.path / PREPARATION_FOLDER

    def begin(self, patient: str) -> None:
        """Makes place for a patient, of whom nothing is left."""
        self.discard(patient)
        for folder in (self.path / patient, self.preparation / patient, self.cache):
            folder.mkdir(parents=True, exist_ok=True)

    def finish(self, patient: str, done: Done) -> None:
        """Marks a patient as whole. ResourceError: disk."""
        write_json_atomic(self._mark(patient), done.model_dump(mode="json"))

    def done(self, patient: str) -> Done | None:
        """The mark of a patient, or None where it is not whole."""
        try:
            content = read_json(self._mark(patient))
            return parse(Done, content, _MARK)
        except (OSError, ValueError, TypeError, InputError):
            return None

    def discard(self, patient: str) -> None:
        """Removes what there is of a patient."""
        self._mark(patient).unlink(missing_ok=True)
        for folder in (self.path / patient, self.preparation / patient):
            shutil.rmtree(folder, ignore_errors=True)
        (self.cache / f"{patient}.npy").unlink(missing_ok=True)

    def keep_only(self, patients: set[str]) -> None:
        """Removes everybody else, and the marks of those who stay: the site is about to be."""
        there = {path.parent.name for path in self.preparation.glob(f"*/{_MARK}")}
        there |= {path.name for path in self.preparation.iterdir() if path.is_dir()}
        for patient in there - patients:
            self.discard(patient)
        for patient in patients:
            self._mark(patient).unlink()

    def _mark(self, patient: str) -> Path:
        return self.preparation / patient / _MARK
