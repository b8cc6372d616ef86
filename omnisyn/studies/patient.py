"""A patient of a site: one folder of volumes, masks and sidecars."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnisyn.contrasts import NAMES, contrast
from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.studies.study import Study
from omnisyn.volumes.read import read_mask, read_volume
from omnisyn.volumes.sidecar import numbers_of, read_sidecar
from omnisyn.volumes.volume import Volume

MASK_NAMES = ("tumour", "nodes", "lesions", "head")


@dataclass(frozen=True)
class Patient:
    """One patient's folder.

    Attributes:
        identifier: the folder's name.
        site: the site's name.
        path: the folder.
        simulated: whether the site is simulated.
        tags: the patient's row of ``patients.tsv`` (T, N, M, stage, split, subject, …), without
            what is not known.
    """

    identifier: str
    site: str
    path: Path
    simulated: bool
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """``site/patient``."""
        return f"{self.site}/{self.identifier}"

    def contrasts(self) -> tuple[str, ...]:
        """Names of the contrasts that are there, canonical order."""
        return tuple(name for name in NAMES if self.file(name).is_file())

    def masks(self) -> tuple[str, ...]:
        """Names of the masks that are there."""
        return tuple(name for name in MASK_NAMES if self.file(name).is_file())

    def file(self, name: str) -> Path:
        """Where a contrast or mask of this patient lies."""
        return self.path / f"{name}.nii.gz"

    def fat_suppressed(self, name: str) -> bool:
        """Whether a contrast was acquired with fat suppression, as its sidecar says.

        ``FatSuppressed`` (ours), else ``FS`` among the ``ScanOptions`` (DICOM 0018,0022: FS = fat
        saturation); false where the sidecar says neither.

        Raises:
            InputError: the sidecar is no JSON object.
        """
        sidecar = read_sidecar(self.file(name))
        stated = sidecar.get("FatSuppressed")
        if isinstance(stated, bool):
            return stated
        options = sidecar.get("ScanOptions", "")
        words = options if isinstance(options, list) else re.split(r"[\\_,\s]+", str(options))
        return "FS" in words

    def acquisition(self, name: str) -> tuple[float, ...]:
        """TR, TE and TI in ms and the field in T of a contrast, in the order of ``FACTS``; NaN
        where its sidecar does not say.

        Raises:
            InputError: the sidecar is no JSON object.
        """
        return numbers_of(read_sidecar(self.file(name)))

    def study(
        self, contrasts: Sequence[str] | None = None, masks: Sequence[str] | None = None
    ) -> Study:
        """Reads the patient's volumes and masks (default: all that are there).

        Raises:
            InputError: a volume is missing or damaged, or lies on another grid.
        """
        wanted = self.contrasts() if contrasts is None else tuple(contrasts)
        for name in wanted:
            if not self.file(name).is_file():
                raise InputError(
                    f"patient {self.identifier} of site {self.site} has no {name}",
                    why=f"it has {', '.join(self.contrasts()) or 'no contrast'}",
                    remedy="choose another patient or another contrast",
                )
        volumes = {name: self.volume(name) for name in wanted}
        wanted_masks = self.masks() if masks is None else tuple(masks)
        grid = next(iter(volumes.values())).geometry if volumes else None
        return Study(
            patient=self.identifier,
            site=self.site,
            simulated=self.simulated,
            volumes=volumes,
            masks={name: self._mask(name, grid) for name in wanted_masks if grid},
            tags=self.tags,
        )

    def volume(self, name: str) -> Volume:
        """Reads one contrast, on whatever grid it lies.

        Raises:
            InputError: missing or damaged.
        """
        try:
            return read_volume(self.file(name), contrast(name))
        except InputError as error:
            raise self._named(error) from error

    def _mask(self, name: str, geometry: Geometry) -> NDArray[np.bool_]:
        try:
            return read_mask(self.file(name), geometry)
        except InputError as error:
            raise self._named(error) from error

    def _named(self, error: InputError) -> InputError:
        """The same error, with the patient before the file: all patients' files are named alike."""
        return InputError(
            error.what,
            where=f"{self.label}/{error.where}",
            why=error.why,
            remedy=error.remedy,
        )
