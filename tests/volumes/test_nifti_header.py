import nibabel
import numpy as np
import pytest

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.volumes.nifti_header import MAXIMUM_VOXELS, build_header, parse_header

GEOMETRY = Geometry((6, 7, 5), np.diag([-0.5, -0.75, 3.0, 1.0]))


def changed(**fields):
    """Our own header with raw fields changed through nibabel's names."""
    header = nibabel.Nifti1Header(build_header(GEOMETRY, "float32")[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    return header.structarr.tobytes() + b"\0" * 4


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int16", "uint16"])
def test_a_built_header_is_one_that_nibabel_accepts(dtype):
    start = build_header(GEOMETRY, dtype, qform_code=2, sform_code=4)

    header = nibabel.Nifti1Header(start[:348], check=True)

    assert len(start) == 352
    assert header.get_data_shape() == GEOMETRY.shape
    assert header.get_data_dtype() == np.dtype(dtype)
    assert header.get_slope_inter() == (1.0, 0.0)
    assert header.get_xyzt_units() == ("mm", "unknown")
    assert int(header["qform_code"]) == 2
    assert int(header["sform_code"]) == 4
    np.testing.assert_array_equal(header.get_sform(), GEOMETRY.affine)
    np.testing.assert_allclose(header.get_qform(), GEOMETRY.affine, atol=1e-6)
    np.testing.assert_allclose(header.get_zooms(), GEOMETRY.spacing)


def test_a_built_header_is_read_back_as_it_was_meant():
    parsed = parse_header(build_header(GEOMETRY, "uint16", units=0), "x.nii")

    assert parsed.shape == GEOMETRY.shape
    assert parsed.voxel_type == np.dtype("<u2")
    assert parsed.file_bytes == 352 + 6 * 7 * 5 * 2
    assert (parsed.slope, parsed.intercept, parsed.units) == (1.0, 0.0, 0)
    assert parsed.warnings == ()
    np.testing.assert_array_equal(parsed.affine, GEOMETRY.affine)


@pytest.mark.parametrize(("units", "written"), [(0, 0), (1, 2), (2, 2), (3, 2)])
def test_units_are_kept_except_where_lengths_were_turned_into_mm(units, written):
    header = nibabel.Nifti1Header(build_header(GEOMETRY, "uint8", units=units)[:348])

    assert int(header["xyzt_units"]) == written


@pytest.mark.parametrize("form", ["qform_code", "sform_code"])
@pytest.mark.parametrize("code", [-1, 40000])
def test_a_form_code_that_no_standard_knows_is_refused(form, code):
    made = nibabel.Nifti2Header()
    made.set_data_shape(GEOMETRY.shape)
    made.set_sform(GEOMETRY.affine, code=1)
    made["vox_offset"], made["magic"], made[form] = 544, b"n+2", code

    with pytest.raises(InputError, match=f"its {form} is {code}"):
        parse_header(made.structarr.tobytes() + b"\0" * 4, "x.nii")


def test_an_axis_too_long_for_nifti_1_is_refused():
    with pytest.raises(InputError, match="too large for NIfTI-1"):
        build_header(Geometry((40000, 1, 1), np.eye(4)), "uint8")


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_versions_and_byte_orders_are_read(kind, order, tmp_path):
    header = kind.header_class(endianness=order)
    header.set_data_dtype(np.int16)
    image = kind(np.zeros((6, 7, 5), np.int16), GEOMETRY.affine, header)
    nibabel.save(image, tmp_path / "x.nii")

    parsed = parse_header((tmp_path / "x.nii").read_bytes()[:544], "x.nii")

    assert parsed.shape == (6, 7, 5)
    assert parsed.voxel_type == np.dtype(order + "i2")
    np.testing.assert_array_equal(parsed.affine, GEOMETRY.affine)


@pytest.mark.parametrize(
    ("dim", "reason"),
    [
        ([3, 0, 7, 5, 1, 1, 1, 1], "dimensions are"),
        ([3, 6, -7, 5, 1, 1, 1, 1], "dimensions are"),
        ([0, 6, 7, 5, 1, 1, 1, 1], "claims 0 dimensions"),
        ([9, 6, 7, 5, 1, 1, 1, 1], "claims 9 dimensions"),
        ([3, 32767, 32767, 32767, 1, 1, 1, 1], f"limit of {MAXIMUM_VOXELS}"),
        ([7, 2000, 2000, 1, 1, 1, 1, 2000], f"limit of {MAXIMUM_VOXELS}"),
    ],
)
def test_impossible_dimensions_are_refused_before_anything_is_allocated(dim, reason):
    with pytest.raises(InputError, match=reason):
        parse_header(changed(dim=dim), "x.nii")


@pytest.mark.parametrize(
    ("dim", "shape"),
    [
        ([4, 6, 7, 5, 1, 1, 1, 1], (6, 7, 5)),
        ([5, 6, 7, 5, 1, 1, 1, 1], (6, 7, 5)),
        ([2, 6, 7, 0, 0, 0, 0, 0], (6, 7, 1)),
        ([4, 6, 7, 5, 3, 1, 1, 1], (6, 7, 5, 3)),
        ([5, 6, 7, 5, 1, 3, 1, 1], (6, 7, 5, 1, 3)),
    ],
)
def test_axes_of_length_one_are_squeezed_and_others_kept(dim, shape):
    assert parse_header(changed(dim=dim), "x.nii").shape == shape


@pytest.mark.parametrize(
    ("code", "kind"),
    [(128, "RGB"), (2304, "RGBA"), (32, "complex64"), (1792, "complex128"), (1280, "uint64"),
     (1024, "int64"), (1536, "float128"), (1, "binary"), (0, "unknown"), (77, "code 77")],
)  # fmt: skip
def test_voxel_types_that_are_no_grey_image_are_refused_by_name(code, kind):
    with pytest.raises(InputError, match=f"voxels of type {kind} "):
        parse_header(changed(datatype=code), "x.nii")


def test_a_bit_count_against_the_type_is_refused():
    with pytest.raises(InputError, match="float32 with 16 bits"):
        parse_header(changed(bitpix=16), "x.nii")


@pytest.mark.parametrize("offset", [0, 100, 352.5, np.nan, np.inf, -352, 1e30])
def test_voxels_that_would_start_inside_the_header_or_nowhere_are_refused(offset):
    with pytest.raises(InputError, match="start at byte"):
        parse_header(changed(vox_offset=offset), "x.nii")


@pytest.mark.parametrize("slope", [0.0, np.nan, np.inf])
def test_a_slope_that_says_nothing_means_no_scaling(slope):
    parsed = parse_header(changed(scl_slope=slope, scl_inter=5.0), "x.nii")

    assert (parsed.slope, parsed.intercept) == (1.0, 0.0)


def test_a_useless_intercept_beside_a_good_slope_is_refused():
    with pytest.raises(InputError, match="intercept is nan"):
        parse_header(changed(scl_slope=2.0, scl_inter=np.nan), "x.nii")


def test_two_file_nifti_and_analyze_are_named():
    with pytest.raises(InputError, match="two-file NIfTI"):
        parse_header(changed(magic=b"ni1"), "x.hdr")
    with pytest.raises(InputError, match="ANALYZE"):
        parse_header(changed(magic=b""), "x.hdr")


def test_what_is_no_nifti_is_refused():
    with pytest.raises(InputError, match="no NIfTI header"):
        parse_header(b"x" * 600, "x.nii")
    with pytest.raises(InputError, match="12 bytes are too few"):
        parse_header(b"x" * 12, "x.nii")
