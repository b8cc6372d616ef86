"""The battery: small checks that say what is wrong with an image, why it matters, how to mend it.

Each check takes the voxels and their geometry and returns a `Finding` or nothing. Faults that
would give a wrong result silently are fatal; oddities that a reader should know are warnings and
travel with the volume into its sidecar. Checks of one file format live in that format's reader.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry

SMALLEST_VOXEL_MM = 0.2
LARGEST_VOXEL_MM = 8.0


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or odd.

    Attributes:
        what: the fault, a few words.
        why: why it matters, or the numbers behind it.
        remedy: how to mend it.
        fatal: the image must be refused.
    """

    what: str
    why: str
    remedy: str
    fatal: bool = False

    def sentence(self) -> str:
        """The finding as one line."""
        return f"{self.what}: {self.why}; {self.remedy}"


Check = Callable[[NDArray[np.float32], Geometry], Finding | None]


def check_finite(voxels: NDArray[np.float32], geometry: Geometry) -> Finding | None:
    """NaN or infinity spreads through every filter and turns into zeros or noise elsewhere."""
    broken = int(voxels.size - np.count_nonzero(np.isfinite(voxels)))
    if broken == 0:
        return None
    return Finding(
        "the image holds voxels that are not finite",
        f"{broken} of {voxels.size} are NaN or infinity",
        "replace them, or export the image again",
        fatal=True,
    )


def check_signal(voxels: NDArray[np.float32], geometry: Geometry) -> Finding | None:
    """An image of one value holds no anatomy, and cannot be scaled."""
    lowest, highest = float(voxels.min()), float(voxels.max())
    if lowest != highest:
        return None
    return Finding(
        "the image has no signal",
        f"every voxel is {lowest:g}",
        "check that the right file was given",
        fatal=True,
    )


def check_slice_count(voxels: NDArray[np.float32], geometry: Geometry) -> Finding | None:
    """One or two slices along an axis are synthesized, but a volume's scaling rests on little."""
    fewest = min(geometry.shape)
    if fewest > 2:
        return None
    return Finding(
        f"the volume has only {fewest} slice{'s' if fewest > 1 else ''} along one axis",
        "its intensity scale rests on little data",
        "give the whole volume where there is one",
    )


def check_voxel_size(voxels: NDArray[np.float32], geometry: Geometry) -> Finding | None:
    """Voxel sizes far from those of head and neck MRI usually mean a wrong header."""
    sizes = [float(size) for size in geometry.spacing]
    if min(sizes) >= SMALLEST_VOXEL_MM and max(sizes) <= LARGEST_VOXEL_MM:
        return None
    return Finding(
        "the voxel size is unusual",
        " x ".join(f"{size:.3g}" for size in sizes) + " mm",
        "check the spacing in the header",
    )


def check_not_computed_tomography(
    voxels: NDArray[np.float32], geometry: Geometry
) -> Finding | None:
    """CT in Hounsfield units has air at -1000; no MR contrast can be made from it here."""
    air = np.count_nonzero((voxels < -700) & (voxels > -3100)) / voxels.size
    if air < 0.02 or float(voxels.max()) < 300:
        return None
    return Finding(
        "the image looks like CT",
        f"{100 * air:.0f} % of its voxels have the Hounsfield value of air",
        "give an MR volume",
    )


def check_not_standardized(voxels: NDArray[np.float32], geometry: Geometry) -> Finding | None:
    """A z-scored image has lost its zero, on which the scaling rule rests."""
    negative = np.count_nonzero(voxels < 0) / voxels.size
    if negative < 0.1 or float(voxels.min()) < -700:
        return None
    return Finding(
        "the image looks already normalised",
        f"{100 * negative:.0f} % of its voxels are negative, magnitude MR has none",
        "give the image as it came from the scanner",
    )


STRUCTURE_CHECKS: tuple[Check, ...] = (check_slice_count, check_voxel_size)
IMAGE_CHECKS: tuple[Check, ...] = (
    check_finite,
    check_signal,
    *STRUCTURE_CHECKS,
    check_not_computed_tomography,
    check_not_standardized,
)


def examine(
    voxels: NDArray[np.float32], geometry: Geometry, checks: Iterable[Check] = IMAGE_CHECKS
) -> tuple[Finding, ...]:
    """Run checks in order and return what they found; a fatal finding ends the run."""
    findings: list[Finding] = []
    for check in checks:
        finding = check(voxels, geometry)
        if finding is not None:
            findings.append(finding)
            if finding.fatal:
                break
    return tuple(findings)


def settle(findings: Iterable[Finding], where: str, *, strict: bool = False) -> tuple[str, ...]:
    """Refuse on the first fatal finding; give the others back as warning sentences.

    Args:
        strict: every finding is fatal.

    Raises:
        InputError: a finding is fatal; its words are the error's.
    """
    warnings = []
    for finding in findings:
        if finding.fatal or strict:
            raise InputError(finding.what, where=where, why=finding.why, remedy=finding.remedy)
        warnings.append(finding.sentence())
    return tuple(warnings)
