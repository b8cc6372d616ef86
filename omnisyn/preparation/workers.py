"""Prepares many patients at once, each in a process of its own.

A process of its own, started as `python -m omnisyn.preparation.workers`, needs no guard in the
script of whoever calls us, gives its memory back, and takes nobody with it when a library crashes.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field

from omnisyn.errors import OmnisynError, sentence_of, without_folders
from omnisyn.listeners import Progress, unwatched
from omnisyn.preparation.found import FoundPatient
from omnisyn.preparation.patient import PatientOptions, fingerprint, prepare_patient
from omnisyn.preparation.records import PatientRecord
from omnisyn.preparation.staging import Done, Staging


def prepare_patients(
    patients: Sequence[FoundPatient],
    options: PatientOptions,
    staging: Staging,
    *,
    jobs: int,
    progress: Progress = unwatched,
) -> tuple[list[Done], list[PatientRecord]]:
    """Prepares those that are not whole in the staging yet.

    Args:
        jobs: so many at once; with 1 in this process.

    Returns:
        The marks of those that are whole, in the order given, and the records of those that failed.
    """
    waiting = []
    for patient in patients:
        mark = staging.done(patient.identifier)
        if mark is None or mark.fingerprint != fingerprint(patient, options):
            waiting.append(patient)
    faults: dict[str, str] = {}
    done = len(patients) - len(waiting)
    progress(done, len(patients), "prepare")
    with _workers(min(jobs, len(waiting))) as workers:
        for identifier, fault in workers.run(waiting, options, staging):
            if fault is not None:
                faults[identifier] = fault
                staging.discard(identifier)
            done += 1
            progress(done, len(patients), f"prepare {identifier}")
    whole, failed = [], []
    for patient in patients:
        mark = staging.done(patient.identifier)
        if mark is not None and patient.identifier not in faults:
            whole.append(mark)
        else:
            why = faults.get(patient.identifier, "it ended before it was whole")
            failed.append(
                PatientRecord(identifier=patient.identifier, left=patient.left, failure=why)
            )
    return whole, failed


@dataclass
class _Workers:
    """So many at once; the processes that run, to be stopped with the run."""

    number: int
    running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: bool = False

    def run(
        self, patients: Sequence[FoundPatient], options: PatientOptions, staging: Staging
    ) -> Iterator[tuple[str, str | None]]:
        """Each patient as it is done, with its fault or None."""
        if self.number <= 1:
            for patient in patients:
                yield patient.identifier, _fault(patient, options, staging)
            return
        with ThreadPoolExecutor(self.number) as pool:
            futures = {
                pool.submit(self._apart, patient, options, staging): patient.identifier
                for patient in patients
            }
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            finally:
                self.stop()

    def _apart(
        self, patient: FoundPatient, options: PatientOptions, staging: Staging
    ) -> str | None:
        with self.lock:
            if self.stopped:
                return "the run was stopped"
            process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            self.running.add(process)
        said, complaint = process.communicate(pickle.dumps((patient, options, staging)))
        with self.lock:
            self.running.discard(process)
        if process.returncode == 0:
            return said.decode() or None
        last = complaint.decode(errors="replace").strip().rsplit("\n", 1)[-1]
        said_last = f": {without_folders(last)}" if last else ""
        return f"its process ended with code {process.returncode}{said_last}"

    def stop(self) -> None:
        with self.lock:
            self.stopped = True
            for process in self.running:
                process.kill()


@contextmanager
def _workers(number: int) -> Iterator[_Workers]:
    workers = _Workers(number)
    try:
        yield workers
    finally:
        workers.stop()


def _fault(patient: FoundPatient, options: PatientOptions, staging: Staging) -> str | None:
    try:
        prepare_patient(patient, options, staging)
    except OmnisynError as error:
        return sentence_of(error)
    except MemoryError:
        return "not enough memory"
    return None


def _main() -> None:
    """One patient, from the standard input; its fault, if any, goes to the standard output."""
    import SimpleITK

    # As many processes run as there are cores.
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    patient, options, staging = pickle.load(sys.stdin.buffer)
    sys.stdout.write(_fault(patient, options, staging) or "")


if __name__ == "__main__":
    _main()
