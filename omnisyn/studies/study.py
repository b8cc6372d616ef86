"""A study: one patient's contrasts, and masks where known, on one grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.volumes.normalize import scale
from omnisyn.volumes.volume import Volume


@dataclass(frozen=True)
class Study:
    """One patient's volumes.

    Attributes:
        patient: identifier within the site.
        site: the site's name.
        simulated: whether the images come from the simulator.
        volumes: contrast name → volume, canonical order, all on one grid.
        masks: name (``tumour``, ``nodes``, ``lesions``, ``head``) → bool voxels (x, y, z) in file
            order, on the same grid.
        tags: what is known of the patient (T, N, M, stage, …).

    Raises:
        InputError: no volume at all, or volumes on different grids.
    """

    patient: str
    site: str
    simulated: bool
    volumes: Mapping[str, Volume]
    masks: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    _scaled: dict[str, NDArray[np.float32]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not self.volumes:
            raise InputError(
                f"patient {self.patient} of site {self.site} has no volume",
                remedy=f"add at least one of {', '.join(NAMES)} (.nii.gz)",
            )
        ordered = {name: self.volumes[name] for name in NAMES if name in self.volumes}
        object.__setattr__(self, "volumes", ordered)
        check_one_grid(self.patient, {name: item.geometry for name, item in ordered.items()})

    @property
    def geometry(self) -> Geometry:
        """The grid that all volumes and masks share."""
        return next(iter(self.volumes.values())).geometry

    def scaled(self, name: str) -> NDArray[np.float32]:
        """A contrast in [0, 1] (slices, rows, columns), scaled from this volume alone; kept.

        Raises:
            InputError: the patient lacks the contrast, or its volume has no signal.
        """
        if name not in self.volumes:
            raise InputError(
                f"patient {self.patient} of site {self.site} has no {name}",
                why=f"it has {', '.join(self.volumes)}",
                remedy="choose another patient or another contrast",
            )
        if name not in self._scaled:
            volume = self.volumes[name]
            try:
                scaled = scale(volume.voxels)
            except InputError as error:
                raise InputError(
                    error.what,
                    where=f"{self.site}/{self.patient}/{name}",
                    why=error.why,
                    remedy=error.remedy,
                ) from error
            slices = volume.geometry.to_slices(scaled)
            slices.setflags(write=False)
            self._scaled[name] = slices
        return self._scaled[name]

    def mask_slices(self, name: str) -> NDArray[np.bool_]:
        """A mask as bool (slices, rows, columns).

        Raises:
            InputError: the patient lacks the mask.
        """
        if name not in self.masks:
            raise InputError(
                f"patient {self.patient} of site {self.site} has no {name} mask",
                why=f"it has {', '.join(self.masks) or 'no mask'}",
                remedy="choose a patient with this mask",
            )
        return self.geometry.to_slices(self.masks[name])


def check_one_grid(patient: str, geometries: Mapping[str, Geometry]) -> None:
    """Refuses contrasts of one patient that lie on different grids.

    Raises:
        InputError: naming the first contrast that differs, and what is to be done.
    """
    reference, *others = geometries
    for name in others:
        if geometries[name].matches(geometries[reference]):
            continue
        raise InputError(
            f"{name} of patient {patient} does not lie on the grid of its {reference}",
            why=f"{_described(geometries[name])} against {_described(geometries[reference])}",
            remedy="prepare registers them where it makes a new site: "
            "omnisyn prepare SOURCE --out ROOT/SITE",
        )


def _described(geometry: Geometry) -> str:
    shape = "x".join(str(size) for size in geometry.shape)
    spacing = "x".join(f"{step:.3g}" for step in geometry.spacing)
    origin = ", ".join(f"{place:.1f}" for place in geometry.origin)
    return f"{shape} voxels of {spacing} mm {geometry.orientation} from ({origin}) mm"
