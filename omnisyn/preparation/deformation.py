"""From a rigid motion to looser transforms: affine, and a coarse B-spline for necks that bend."""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK

from omnisyn.preparation.rigid import refined
from omnisyn.preparation.similarity import metric, registration_method

CONTROL_POINTS_MM = 60.0
"""Coarse, so that a neck may bend and no tissue is made to grow or shrink."""

_BSPLINE_LEVELS = {2: 2.0}
_BSPLINE_SAMPLES = 40_000


def affine(fixed: Any, moving: Any, rigid: Any, mask: Any | None = None) -> Any:
    """An affine transform that begins as a rigid one; as good as that by the metric, or better.

    Args:
        fixed: SimpleITK's image on the working grid, as ``moving``.
        rigid: SimpleITK's transform, points of the fixed image to points of the moving one.
        mask: of the fixed image's places that count; None for all.
    """
    start = SimpleITK.AffineTransform(3)
    start.SetCenter(rigid.GetCenter())
    start.SetMatrix(rigid.GetMatrix())
    start.SetTranslation(rigid.GetTranslation())
    found = refined(fixed, moving, start, mask)
    better = metric(fixed, moving, found, mask) < metric(fixed, moving, start, mask)
    return found if better else start


def bspline(fixed: Any, moving: Any, start: Any) -> Any:
    """A B-spline deformation followed by a linear transform; only that where it is not better."""
    size = np.array(fixed.GetSize()) * fixed.GetSpacing()
    meshes = np.maximum(np.round(size / CONTROL_POINTS_MM), 1).astype(int)
    warp = SimpleITK.BSplineTransformInitializer(fixed, meshes.tolist())
    method = registration_method(fixed, _BSPLINE_LEVELS, samples=_BSPLINE_SAMPLES)
    method.SetMovingInitialTransform(start)
    method.SetInitialTransform(warp, inPlace=True)
    method.SetOptimizerAsLBFGSB(
        gradientConvergenceTolerance=1e-5, numberOfIterations=25, maximumNumberOfCorrections=5
    )
    try:
        method.Execute(fixed, moving)
    except RuntimeError:
        return start
    found = SimpleITK.CompositeTransform([start, warp])
    return found if metric(fixed, moving, found) < metric(fixed, moving, start) else start
