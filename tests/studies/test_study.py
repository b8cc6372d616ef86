"""A study: contrasts on one grid, scaled by themselves."""

import nibabel
import numpy as np
import pytest
from nibabel import orientations

from omnisyn.contrasts import contrast
from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.studies.study import Study
from omnisyn.volumes.volume import Volume

GRID = Geometry.axial((4, 16, 12), (5.0, 1.0, 1.0))


def _volume(name: str, geometry: Geometry = GRID, brightness: float = 100.0) -> Volume:
    slices = np.zeros(geometry.slices_shape, dtype=np.float32)
    slices[:, 4:12, 3:9] = brightness
    return Volume(geometry.from_slices(slices), geometry, contrast(name))


def _study(**volumes: Volume) -> Study:
    return Study("p1", "sim-site", True, volumes)


def test_scaling_uses_the_volume_alone():
    alone = _study(T1=_volume("T1"))
    beside = _study(T1=_volume("T1"), T2=_volume("T2", brightness=9000.0))
    assert np.array_equal(alone.scaled("T1"), beside.scaled("T1"))
    assert beside.scaled("T2").max() == pytest.approx(1.0)
    assert beside.scaled("T1").shape == (4, 16, 12)


def test_scaled_slices_are_kept_and_cannot_be_changed():
    study = _study(T1=_volume("T1"))
    assert study.scaled("T1") is study.scaled("T1")
    with pytest.raises(ValueError, match="read-only"):
        study.scaled("T1")[0, 0, 0] = 1


@pytest.mark.parametrize("codes", ["LPS", "RAS", "SLA", "PIR"])
def test_marker_on_the_right_is_left_in_the_picture_whatever_the_file_order(codes: str):
    axial = Volume(np.zeros(GRID.shape, np.float32), GRID)
    slices = np.zeros(GRID.slices_shape, dtype=np.float32)
    slices[:, 2:14, 2:10] = 10
    slices[3, 3, 2:4] = 90
    image = nibabel.Nifti1Image(GRID.from_slices(slices), GRID.affine)
    turn = orientations.ornt_transform(
        orientations.io_orientation(axial.geometry.affine), orientations.axcodes2ornt(codes)
    )
    turned = image.as_reoriented(turn)
    geometry = Geometry(turned.shape, turned.affine)
    volume = Volume(np.asarray(turned.dataobj, dtype=np.float32), geometry, contrast("T1"))
    shown = _study(T1=volume).scaled("T1")
    assert np.argwhere(shown > 0.9).tolist() == [[3, 3, 2], [3, 3, 3]]


def test_masks_follow_the_images_onto_the_model_grid():
    slices = np.zeros(GRID.slices_shape, dtype=bool)
    slices[1, 5, 7] = True
    study = Study("p1", "s", False, {"T1": _volume("T1")}, {"tumour": GRID.from_slices(slices)})
    assert np.array_equal(study.mask_slices("tumour"), slices)
    with pytest.raises(InputError, match=r"has no nodes mask \(it has tumour\)"):
        study.mask_slices("nodes")


def test_contrasts_on_different_grids_are_refused_with_what_to_do():
    moved = Geometry.axial((4, 16, 12), (5.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    with pytest.raises(InputError, match=r"T2 of patient p1 .*its T1.*registers") as refusal:
        _study(T1=_volume("T1"), T2=_volume("T2", moved))
    assert "\n" not in str(refusal.value)


def test_study_without_volumes_or_signal_is_refused():
    with pytest.raises(InputError, match="has no volume"):
        _study()
    with pytest.raises(InputError, match=r"sim-site/p1/T1.*no signal"):
        _study(T1=_volume("T1", brightness=0.0)).scaled("T1")
    with pytest.raises(InputError, match="has no FLAIR"):
        _study(T1=_volume("T1")).scaled("FLAIR")
