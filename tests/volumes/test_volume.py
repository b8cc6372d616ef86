import dataclasses

import numpy as np
import pytest

from omnisyn.geometry import Geometry
from omnisyn.volumes.volume import Provenance, Volume


def test_a_volume_gives_its_slices_on_the_model_grid(grey_voxels):
    geometry = Geometry(grey_voxels.shape, np.diag([-1.0, 2.0, 3.0, 1.0]))

    slices = Volume(grey_voxels, geometry).slices()

    np.testing.assert_array_equal(slices, grey_voxels.transpose(2, 1, 0)[:, ::-1])


def test_voxels_of_another_shape_or_type_are_refused(grey_voxels):
    geometry = Geometry(grey_voxels.shape, np.eye(4))

    with pytest.raises(ValueError, match="shape"):
        Volume(grey_voxels[1:], geometry)
    with pytest.raises(TypeError, match="float32"):
        Volume(grey_voxels.astype(np.float64), geometry)


def test_a_volume_cannot_be_changed_but_copied_with_changes(grey_voxels):
    volume = Volume(grey_voxels, Geometry(grey_voxels.shape, np.eye(4)))

    with pytest.raises(dataclasses.FrozenInstanceError):
        volume.contrast = None
    renamed = dataclasses.replace(volume, provenance=Provenance(name="other"))
    assert renamed.provenance.name == "other"
    assert renamed.voxels is volume.voxels
