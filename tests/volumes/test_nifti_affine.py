import itertools

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.quaternions import quat2mat

from omnisyn.errors import InputError
from omnisyn.volumes.nifti_affine import SHEAR_TOLERANCE, check_affine, quaternion_of
from omnisyn.volumes.nifti_header import parse_header

SHAPE = (6, 7, 5)


def turned(degrees, spacing=(0.9, 1.1, 2.5), handed=1):
    angle = np.radians(degrees)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([spacing[0], spacing[1], handed * spacing[2]])
    affine[:3, 3] = (11, -22, 33)
    return affine


def header(qform=None, sform=None, **fields):
    """A nibabel header with the given forms and raw fields."""
    made = nibabel.Nifti1Header()
    made.set_data_shape(SHAPE)
    made.set_data_dtype(np.float32)
    made.set_zooms((1, 1, 1))
    if qform is not None:
        made.set_qform(qform, code=1)
    if sform is not None:
        made.set_sform(sform, code=1)
    made["vox_offset"] = 352
    made["magic"] = b"n+1"
    for name, value in fields.items():
        made[name] = value
    return made


def parse(made):
    return parse_header(made.structarr.tobytes() + b"\0" * 4, "x.nii")


def test_the_sform_goes_before_the_qform_and_the_difference_is_told():
    parsed = parse(header(qform=turned(10), sform=turned(15)))

    np.testing.assert_allclose(parsed.affine, turned(15), atol=1e-5)
    assert any("sform and qform differ" in warning for warning in parsed.warnings)


def test_forms_that_agree_give_no_warning():
    parsed = parse(header(qform=turned(10), sform=turned(10)))

    assert parsed.warnings == ()
    assert (parsed.qform_code, parsed.sform_code) == (1, 1)


def test_forms_of_which_one_mirrors_the_image_are_refused():
    with pytest.raises(InputError, match="one of them mirrors"):
        parse(header(qform=turned(10), sform=turned(10, handed=-1)))


def test_the_qform_is_used_where_the_sform_code_is_zero():
    parsed = parse(header(qform=turned(30, handed=-1)))

    np.testing.assert_allclose(parsed.affine, turned(30, handed=-1), atol=1e-5)
    assert (parsed.qform_code, parsed.sform_code) == (1, 0)


def test_without_any_form_left_and_right_are_unknown_and_read_as_nibabel_reads_them():
    made = header(pixdim=[1, 2, 3, 4, 0, 0, 0, 0])

    parsed = parse(made)

    np.testing.assert_allclose(parsed.affine, made.get_best_affine())
    assert any("left and right cannot be known" in warning for warning in parsed.warnings)


@pytest.mark.parametrize("broken", [0.0, np.nan])
def test_an_unusable_sform_gives_way_to_the_qform_with_a_warning(broken):
    made = header(qform=turned(10), sform=turned(10))
    made["srow_x"] = made["srow_y"] = made["srow_z"] = broken

    parsed = parse(made)

    np.testing.assert_allclose(parsed.affine, turned(10), atol=1e-5)
    assert any("sform is set but unusable" in warning for warning in parsed.warnings)


def test_an_unusable_sform_without_a_qform_is_refused():
    made = header(sform=turned(10))
    made["srow_x"] = made["srow_y"] = made["srow_z"] = 0

    with pytest.raises(InputError, match="neither can be used"):
        parse(made)


def test_a_pixdim_that_contradicts_the_sform_is_told_and_the_sform_used():
    parsed = parse(header(sform=turned(10), pixdim=[1, 4, 4, 4, 0, 0, 0, 0]))

    np.testing.assert_allclose(parsed.affine, turned(10), atol=1e-5)
    assert any("pixdim contradicts" in warning for warning in parsed.warnings)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_useless_pixdim_is_replaced_by_the_affine_or_refused(value):
    pixdim = [1, value, 1, 1, 0, 0, 0, 0]

    parsed = parse(header(sform=turned(0), pixdim=pixdim))
    assert any("pixdim is zero or not a number" in warning for warning in parsed.warnings)
    with pytest.raises(InputError, match="neither can be used"):
        parse(header(qform=turned(0), pixdim=pixdim))
    with pytest.raises(InputError, match="no affine"):
        parse(header(pixdim=pixdim))


def test_a_negative_pixdim_loses_its_sign_with_a_warning():
    parsed = parse(header(qform=np.eye(4), pixdim=[1, -2, 2, 2, 0, 0, 0, 0]))

    np.testing.assert_allclose(np.diag(parsed.affine), [2, 2, 2, 1])
    assert any("pixdim is negative" in warning for warning in parsed.warnings)


@pytest.mark.parametrize(("unit", "factor"), [(1, 1000.0), (2, 1.0), (3, 0.001), (0, 1.0)])
def test_lengths_are_turned_into_millimetres(unit, factor):
    parsed = parse(header(sform=turned(0), xyzt_units=unit))

    np.testing.assert_allclose(parsed.affine[:3], turned(0)[:3] * factor, rtol=1e-6)


def test_an_unknown_unit_is_refused():
    with pytest.raises(InputError, match="unknown code 5"):
        parse(header(sform=turned(0), xyzt_units=5))


@pytest.mark.parametrize(("shear", "fine"), [(0.5, True), (0.99, True), (1.01, False), (50, False)])
def test_shear_is_tolerated_up_to_a_thousandth(shear, fine):
    affine = np.eye(4)
    angle = np.arcsin(shear * SHEAR_TOLERANCE)
    affine[:3, 1] = [np.sin(angle), np.cos(angle), 0]

    if fine:
        check_affine(affine, "x.nii")
    else:
        with pytest.raises(InputError, match="sheared"):
            check_affine(affine, "x.nii")


def test_flat_infinite_and_far_affines_are_refused():
    flat, endless, far = np.eye(4), np.eye(4), np.eye(4)
    flat[:3, 2] = flat[:3, 0]
    endless[0, 3] = np.inf
    far[1, 3] = 1e9

    with pytest.raises(InputError, match="flat"):
        check_affine(flat, "x.nii")
    with pytest.raises(InputError, match="not finite"):
        check_affine(endless, "x.nii")
    with pytest.raises(InputError, match=r"entries of up to 1e\+09 mm"):
        check_affine(far, "x.nii")


@settings(max_examples=150, deadline=None)
@given(st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1))
def test_any_rotation_survives_its_quaternion(quaternion):
    affine = np.eye(4)
    affine[:3, :3] = quat2mat(quaternion)

    (b, c, d), handedness = quaternion_of(affine)

    a = np.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    assert handedness == 1
    np.testing.assert_allclose(quat2mat([a, b, c, d]), affine[:3, :3], atol=1e-7)


@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=3)))
@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_the_qform_of_all_48_orders_is_read_as_nibabel_reads_it(axes, signs):
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, axes] * signs * [1.0, 2.0, 3.0]
    made = header(qform=affine)

    parsed = parse(made)

    np.testing.assert_allclose(parsed.affine, made.get_qform(), atol=1e-6)
    np.testing.assert_allclose(parsed.affine, affine, atol=1e-6)


@pytest.mark.parametrize("degrees", [179.9, 179.99, 179.999, 180, 180.001, 180.01])
def test_a_qform_near_a_half_turn_is_read_as_nibabel_reads_it(degrees):
    made = header(qform=turned(degrees))

    np.testing.assert_allclose(parse(made).affine, made.get_qform(), atol=1e-6)


def test_a_quaternion_far_from_unit_length_is_refused():
    with pytest.raises(InputError, match="neither can be used"):
        parse(header(qform=turned(0), quatern_b=1.0, quatern_c=1.0))
