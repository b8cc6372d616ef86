"""The battery: small checks that say what is wrong with an image, why it matters, how to mend it.

Each check takes an `Image` and returns a `Finding` or nothing. Faults that would give a wrong
result silently are fatal; oddities that a reader should know are warnings and travel with the
volume into its sidecar. Checks of one file format live in that format's reader.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry

SMALLEST_VOXEL_MM = 0.2
LARGEST_VOXEL_MM = 8.0
SMALLEST_SIGNAL = 1e-30
"""Below, dividing by the image's own scale overflows float32."""


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


@dataclass(frozen=True, eq=False)
class Image:
    """What the checks look at: voxels, their geometry, and what several of them ask first.

    Attributes:
        voxels: float32, shape `geometry.shape`.
        geometry: the grid they lie on.
    """

    voxels: NDArray[np.float32]
    geometry: Geometry

    @cached_property
    def lowest(self) -> float:
        """The smallest value; NaN where there is one."""
        return float(self.voxels.min())

    @cached_property
    def highest(self) -> float:
        """The largest value; NaN where there is one."""
        return float(self.voxels.max())

    @cached_property
    def sample(self) -> NDArray[np.float32]:
        """Every 97th voxel of a large image: what it shows clearly need not be counted in all."""
        return self.voxels.ravel(order="K")[:: 97 if self.voxels.size > 1_000_000 else 1]


Check = Callable[[Image], Finding | None]


def check_finite(image: Image) -> Finding | None:
    """NaN or infinity spreads through every filter and turns into zeros or noise elsewhere."""
    if np.isfinite(image.lowest) and np.isfinite(image.highest):
        return None
    broken = int(image.voxels.size - np.count_nonzero(np.isfinite(image.voxels)))
    return Finding(
        "the image holds voxels that are not finite",
        f"{broken} of {image.voxels.size} are NaN or infinity",
        "replace them, or export the image again",
        fatal=True,
    )


def check_signal(image: Image) -> Finding | None:
    """An image of one value holds no anatomy, and cannot be scaled."""
    if image.lowest != image.highest:
        return None
    return Finding(
        "the image has no signal",
        f"every voxel is {image.lowest:g}",
        "check that the right file was given",
        fatal=True,
    )


def check_scale(image: Image) -> Finding | None:
    """The scaling rule rests on the 99.9 percentile, which must lie above zero, and well above."""
    if image.highest < SMALLEST_SIGNAL:
        return Finding(
            "the image has no usable signal",
            f"its largest value is {image.highest:.3g}",
            "export the image with its values as they are",
            fatal=True,
        )
    if np.count_nonzero(image.sample > 0) > 0.05 * image.sample.size:
        return None
    lit = int(np.count_nonzero(image.voxels > 0))
    if lit > 0.001 * image.voxels.size + 1:
        return None
    return Finding(
        "the image is all but empty",
        f"{lit} of {image.voxels.size} voxels are above zero",
        "check that the right file was given",
        fatal=True,
    )


def check_slice_count(image: Image) -> Finding | None:
    """One or two slices along an axis are synthesized, but a volume's scaling rests on little."""
    fewest = min(image.geometry.shape)
    if fewest > 2:
        return None
    return Finding(
        f"the volume has only {fewest} slice{'s' if fewest > 1 else ''} along one axis",
        "its intensity scale rests on little data",
        "give the whole volume where there is one",
    )


def check_voxel_size(image: Image) -> Finding | None:
    """Voxel sizes far from those of head and neck MRI usually mean a wrong header."""
    sizes = [float(size) for size in image.geometry.spacing]
    if min(sizes) >= SMALLEST_VOXEL_MM and max(sizes) <= LARGEST_VOXEL_MM:
        return None
    return Finding(
        "the voxel size is unusual",
        " x ".join(f"{size:.3g}" for size in sizes) + " mm",
        "check the spacing in the header",
    )


def check_not_computed_tomography(image: Image) -> Finding | None:
    """CT in Hounsfield units has air at -1000; no MR contrast can be made from it here."""
    if image.lowest > -700 or image.highest < 300:
        return None
    air = np.count_nonzero((image.voxels < -700) & (image.voxels > -3100)) / image.voxels.size
    if air < 0.02:
        return None
    return Finding(
        "the image looks like CT",
        f"{100 * air:.0f} % of its voxels have the Hounsfield value of air",
        "give an MR volume",
    )


def check_not_standardized(image: Image) -> Finding | None:
    """A z-scored image has lost its zero, on which the scaling rule rests."""
    if not -700 <= image.lowest < 0:
        return None
    if np.count_nonzero(image.sample < 0) < 0.05 * image.sample.size:
        return None
    negative = np.count_nonzero(image.voxels < 0) / image.voxels.size
    if negative < 0.1:
        return None
    return Finding(
        "the image looks already normalised",
        f"{100 * negative:.0f} % of its voxels are negative, magnitude MR has none",
        "give the image as it came from the scanner",
    )


IMAGE_CHECKS: tuple[Check, ...] = (
    check_finite,
    check_signal,
    check_scale,
    check_slice_count,
    check_voxel_size,
    check_not_computed_tomography,
    check_not_standardized,
)


def examine(image: Image) -> tuple[Finding, ...]:
    """Run all checks in order and return what they found; a fatal finding ends the run."""
    findings: list[Finding] = []
    for check in IMAGE_CHECKS:
        finding = check(image)
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
