"""Anybody's predictions, from a folder, to be scored without our model.

Where the files lie: `DIR/<site>/<patient>/`, or `DIR/<patient>/` when one site is scored. How the
direction of a file is told, in this order:

1. its name: `T1_to_T2.nii.gz`, `T1+T1c_to_T2.nii.gz` (any alias of a contrast, `.nii` as well);
2. for a BIDS derivative (`…desc-synth…_T2w.nii.gz`), its JSON sidecar: `SourceContrasts`, or
   `Sources` (file names that tell the contrast), and `Target`, or the file's own name.

Other files are not looked at. A prediction has the shape and affine of the true volume; its values
are meant to be in [0, 1], and are clipped to it, never rescaled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnisyn.contrasts import NAMES, contrast, guess_contrast
from omnisyn.errors import InputError, UsageError
from omnisyn.evaluation.results import Direction
from omnisyn.paths import name_of
from omnisyn.studies.image_names import SYNTHETIC
from omnisyn.studies.patient import Patient
from omnisyn.studies.study import Study
from omnisyn.volumes.read import read_volume
from omnisyn.volumes.sidecar import read_sidecar
from omnisyn.volumes.write import NIFTI_SUFFIXES, sidecar_path

_UNCERTAINTY = "uncertainty"
"""Suffix of a map that says how sure a prediction is, and is none."""


class PredictionFolder:
    """A folder of predictions.

    Args:
        directory: the folder.
        sites: names of the sites that will be scored; with more than one, every site needs its own
            folder, since patients of two sites may share a name.

    Raises:
        InputError: the folder does not exist.
    """

    def __init__(self, directory: Path, sites: Sequence[str] = ()) -> None:
        if not directory.is_dir():
            raise InputError(
                "the folder of predictions does not exist",
                where=name_of(directory),
                remedy="check --predictions",
            )
        self.directory = directory
        self._by_site_only = len(sites) > 1

    def patient_folder(self, site: str, patient: str) -> Path | None:
        """The folder of a patient's predictions, where there is one."""
        candidates = [self.directory / site / patient]
        if not self._by_site_only and not (self.directory / site).is_dir():
            candidates.append(self.directory / patient)
        return next((folder for folder in candidates if folder.is_dir()), None)

    def files(self, site: str, patient: str) -> dict[Direction, Path]:
        """The predictions of one patient by direction.

        Raises:
            InputError: two files of one direction, or a `desc-synth` file whose direction nothing
                tells.
        """
        folder = self.patient_folder(site, patient)
        found: dict[Direction, Path] = {}
        for path in sorted(folder.iterdir()) if folder is not None else ():
            direction = direction_of(path)
            if direction is None:
                continue
            if direction in found:
                raise InputError(
                    f"two predictions of {direction.name}",
                    where=f"{patient}/{path.name}",
                    why=f"the other is {found[direction].name}",
                    remedy="keep one",
                )
            found[direction] = path
        return found

    def choose(self, site: str, patients: Iterable[Patient]) -> dict[str, tuple[Direction, ...]]:
        """The directions to score for each patient.

        Every direction that the folder holds for any patient of the site, for all patients with
        the true contrasts: a patient whose prediction is missing counts as failed.

        Raises:
            InputError: the folder holds nothing for this site, or see `files`.
        """
        patients = list(patients)
        held = {
            direction for patient in patients for direction in self.files(site, patient.identifier)
        }
        if not held:
            raise InputError(
                f"no prediction for a patient of site {site}",
                where=name_of(self.directory),
                why=f"looked for {site}/PATIENT/T1_to_T2.nii.gz and the like"
                + ("" if self._by_site_only else ", with and without the site's folder"),
                remedy="name the folders after the site and its patients",
            )
        ordered = sorted(held, key=_canonical)
        return {
            patient.identifier: tuple(
                direction
                for direction in ordered
                if direction.contrasts <= set(patient.contrasts())
            )
            for patient in patients
        }

    def load(self, study: Study, direction: Direction) -> NDArray[np.float32]:
        """A patient's prediction as the file holds it: (slices, rows, columns).

        Raises:
            InputError: there is none, it cannot be read, or it lies on another grid.
        """
        path = self.files(study.site, study.patient).get(direction)
        if path is None:
            raise InputError(
                f"no prediction of {direction.name} for patient {study.patient}",
                where=name_of(self.directory),
                remedy=f"add {study.patient}/{'+'.join(direction.sources)}_to_"
                f"{direction.target}.nii.gz",
            )
        volume = read_volume(path, contrast(direction.target))
        truth = study.geometry
        if not volume.geometry.matches(truth):
            raise InputError(
                f"the prediction does not lie on the grid of the true {direction.target}",
                where=f"{study.patient}/{path.name}",
                why=_difference(volume.geometry.shape, truth.shape),
                remedy="write it with the shape and affine of the true volume",
            )
        return volume.slices()


def direction_of(path: Path) -> Direction | None:
    """The direction of a prediction file; None for a file that is none.

    Raises:
        InputError: a `desc-synth` file whose direction neither name nor sidecar tells.
    """
    suffix = next((end for end in NIFTI_SUFFIXES if path.name.lower().endswith(end)), None)
    if suffix is None or path.name.startswith("."):
        return None
    stem = path.name[: -len(suffix)]
    sources, divider, target = stem.rpartition("_to_")
    if divider:
        return _named(sources.split("+"), target)
    words = stem.split("_")
    if SYNTHETIC not in words or words[-1] == _UNCERTAINTY:
        return None
    told = read_sidecar(path)
    made = _target_of(told, stem)
    direction = _named(_sources_of(told), made) if made else None
    if direction is None:
        raise InputError(
            "nothing tells from which contrasts this prediction was made",
            where=f"{path.parent.name}/{path.name}",
            why=f"{sidecar_path(path).name} "
            + ("has no usable SourceContrasts" if told else "is not there"),
            remedy="name the file like T1_to_T2.nii.gz, or add the sidecar",
        )
    return direction


def _named(sources: Sequence[str], target: str) -> Direction | None:
    try:
        names = {contrast(source).name for source in sources}
        made = contrast(target).name
    except UsageError:
        return None
    if not names or made in names:
        return None
    return Direction(tuple(name for name in NAMES if name in names), made)


def _sources_of(told: Mapping[str, Any]) -> list[str]:
    named = told.get("SourceContrasts")
    if isinstance(named, list):
        return [str(name) for name in named]
    files = told.get("Sources")
    if not isinstance(files, list):
        return []
    guessed = [guess_contrast(str(file).rsplit("/", 1)[-1]) for file in files]
    return [found.name if found else "" for found in guessed]


def _target_of(told: Mapping[str, Any], stem: str) -> str | None:
    if "Target" in told:
        return str(told["Target"])
    guessed = guess_contrast(stem)
    return guessed.name if guessed else None


def _canonical(direction: Direction) -> tuple[int, tuple[int, ...], int]:
    sources = tuple(NAMES.index(name) for name in direction.sources)
    return len(sources), sources, NAMES.index(direction.target)


def _difference(shape: Sequence[int], wanted: Sequence[int]) -> str:
    if tuple(shape) == tuple(wanted):
        return "the affines differ"
    sizes = ["×".join(str(size) for size in item) for item in (shape, wanted)]
    return f"{sizes[0]} voxels against {sizes[1]}"
