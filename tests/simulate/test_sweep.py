from dataclasses import replace

import numpy as np
import pytest
import torch

from omnisyn.simulate.patient import draw_exam_plan, draw_field_of_view, scan
from omnisyn.simulate.sweep import scan_under
from omnisyn.simulate.tissues import tissue_index
from omnisyn.volumes.normalize import scale

ECHOES_MS = (50.0, 90.0, 160.0)


@pytest.fixture
def visit(small_profile, ellipsoids):
    """A head, its grid and a visit."""
    generator = torch.Generator().manual_seed(5)
    view = draw_field_of_view(small_profile, generator)
    head = ellipsoids.build(ellipsoids.draw(generator), view.fine, torch.device("cpu"))
    return head, view, draw_exam_plan(small_profile, view, generator)


def under(visit, *echoes):
    own = visit[2].acquisitions["T2"]
    return scan_under(*visit, [replace(own, echo_time_ms=echo) for echo in echoes])


def test_longer_echoes_make_fluid_brighter_beside_white_matter(visit):
    labels = scan(*visit).tissues
    fluid, white = ((labels == tissue_index(name)).numpy() for name in ("CSF", "white_matter"))
    ratios = [image[fluid].mean() / image[white].mean() for image in under(visit, *ECHOES_MS)]
    assert ratios[0] * 1.2 < ratios[1] < ratios[2] / 1.2


def test_the_plans_own_protocol_gives_the_scan_of_the_plan(visit):
    expected = scale(scan(*visit).images["T2"].numpy())
    found = scan_under(*visit, [visit[2].acquisitions["T2"]])
    assert [image.dtype for image in found] == [np.float32]
    np.testing.assert_array_equal(found[0], expected)


def test_protocols_do_not_disturb_each_other(visit):
    np.testing.assert_array_equal(under(visit, *ECHOES_MS)[1], under(visit, ECHOES_MS[1])[0])


def test_a_contrast_that_the_visit_lacks_is_refused(visit):
    head, view, plan = visit
    without = replace(plan, series={"T1": plan.series["T1"]})
    with pytest.raises(KeyError, match="T2"):
        scan_under(head, view, without, [plan.acquisitions["T2"]])
