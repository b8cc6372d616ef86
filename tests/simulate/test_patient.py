import numpy as np
import pytest
import torch
from scipy import ndimage

from omnisyn.simulate import patient as module
from omnisyn.simulate.cohort import load_cohort
from omnisyn.simulate.patient import simulate_patient
from omnisyn.simulate.tissues import tissue_index


def _simulate(profile, anatomy, seed=0, **more):
    return simulate_patient(profile, torch.Generator().manual_seed(seed), anatomy=anatomy, **more)


@pytest.fixture
def plain_profile(small_profile):
    """No fat suppression, no motion: what a tissue's mean should show."""
    scanner = small_profile.scanners[0]
    protocols = {
        name: protocol.model_copy(update={"fat_suppressed": 0.0})
        for name, protocol in scanner.protocols.items()
    }
    effects = small_profile.effects.model_copy(update={"motion_probability": 0.0})
    return small_profile.model_copy(
        update={
            "scanners": (scanner.model_copy(update={"protocols": protocols}),),
            "effects": effects,
        }
    )


def test_every_contrast_looks_as_its_name_says(plain_profile, ellipsoids):
    patient = _simulate(plain_profile, ellipsoids)

    def level(contrast, tissue):
        # The middle slices, away from the coil's ends; fat's own pixels are half another tissue.
        middle = slice(5, 11)
        inside = patient.tissues[middle] == tissue_index(tissue)
        return float(patient.images[contrast][middle][inside].quantile(0.7))

    assert level("T1", "fat_subcutaneous") > level("T1", "white_matter") > level("T1", "CSF")
    assert level("T2", "CSF") > level("T2", "grey_matter") > level("T2", "muscle")
    assert level("FLAIR", "CSF") < 0.5 * level("FLAIR", "grey_matter")
    assert level("PD", "grey_matter") > level("PD", "white_matter")
    assert level("MRA", "blood_arterial") > level("MRA", "muscle")
    enhancement = [
        level("T1c", tissue) / level("T1", tissue) for tissue in ("NPC", "muscle", "white_matter")
    ]
    assert enhancement[0] > 1.1 * enhancement[1] > 1.1 * enhancement[2] * 0.95


def test_a_patient_is_on_the_model_grid_with_its_maps(small_profile, ellipsoids):
    patient = _simulate(small_profile, ellipsoids, contrasts=("T1",))
    assert patient.images["T1"].shape == patient.tissues.shape == (16, 72, 72)
    assert patient.geometry.slices_shape == (16, 72, 72)
    assert patient.geometry.orientation == "LPS"
    assert patient.geometry.slice_spacing == pytest.approx((9.5, 230 / 72, 230 / 72))
    assert patient.tissues.dtype == torch.uint8
    for mask in (patient.tumour, patient.nodes, patient.head):
        assert mask.dtype == torch.bool
        assert mask.any()
    # The tumour's head frame place, (10, 0, -50) mm to the left, back and up, in RAS+.
    voxels = patient.geometry.from_slices(patient.tumour.numpy())
    centre = np.argwhere(voxels).mean(axis=0)
    world = patient.geometry.affine[:3, :3] @ centre + patient.geometry.affine[:3, 3]
    assert world == pytest.approx([-10, 0, -50], abs=8)


def test_the_head_mask_fills_the_cavities(small_profile, ellipsoids):
    patient = _simulate(small_profile, ellipsoids, contrasts=("T1",))
    cavity = (patient.tissues == tissue_index("air")) & patient.head
    assert cavity.any()
    assert not patient.head[:, 0].any()


def test_the_generator_decides_everything(small_profile, ellipsoids):
    first, again = (_simulate(small_profile, ellipsoids, seed=4) for _ in range(2))
    other = _simulate(small_profile, ellipsoids, seed=5)
    for name in first.images:
        assert torch.equal(first.images[name], again.images[name])
        assert not torch.equal(first.images[name], other.images[name])


def test_asking_for_fewer_contrasts_does_not_change_the_others(small_profile, ellipsoids):
    whole = _simulate(small_profile, ellipsoids)
    part = _simulate(small_profile, ellipsoids, contrasts=("T2",))
    assert tuple(part.images) == ("T2",)
    assert torch.equal(part.images["T2"], whole.images["T2"])


def test_brain_extraction_keeps_the_brain_only(small_profile, ellipsoids):
    profile = small_profile.model_copy(update={"brain_extracted": 1.0})
    patient = _simulate(profile, ellipsoids, contrasts=("T1", "T2"))
    assert patient.plan.brain_extracted
    for image in patient.images.values():
        assert image[~patient.head].abs().max() == 0
        assert image[patient.tissues == tissue_index("muscle")].abs().max() == 0
        assert image[patient.tissues == tissue_index("white_matter")].min() > 0


def test_t1c_repeats_the_times_and_the_thickness_of_t1(small_profile, ellipsoids):
    effects = small_profile.effects.model_copy(update={"thickness_share": (0.3, 1.0)})
    profile = small_profile.model_copy(update={"effects": effects})
    plan = _simulate(profile, ellipsoids, contrasts=("T1", "T1c", "T2")).plan
    acquisitions, series = plan.acquisitions, plan.series
    assert acquisitions["T1"].echo_time_ms == acquisitions["T1c"].echo_time_ms
    assert series["T1"].thickness_share == series["T1c"].thickness_share
    assert series["T1"].thickness_share != series["T2"].thickness_share
    assert acquisitions["T1"].agent is None
    assert acquisitions["T1c"].agent is not None


def test_thinner_series_mix_tissues_less_and_change_nothing_else(plain_profile, ellipsoids):
    effects = plain_profile.effects
    thick, thin = (
        _simulate(
            plain_profile.model_copy(
                update={"effects": effects.model_copy(update={"thickness_share": (share, share)})}
            ),
            ellipsoids,
        )
        for share in (1.0, 0.2)
    )
    assert torch.equal(thick.tissues, thin.tissues)
    assert thick.plan.acquisitions == thin.plan.acquisitions
    # Through the plane a pixel of the middle layer's fluid holds other tissue, where a slice is
    # thick.
    fluid = thick.tissues == tissue_index("CSF")
    lowest = [float(each.images["T2"][fluid].quantile(0.1)) for each in (thick, thin)]
    assert lowest[1] > 1.02 * lowest[0]


def test_values_are_finite_and_not_negative(small_profile, ellipsoids):
    for image in _simulate(small_profile, ellipsoids, seed=9).images.values():
        assert bool(torch.isfinite(image).all())
        assert float(image.min()) >= 0


PROFILES = load_cohort("hospitals").profiles | load_cohort("anywhere").profiles


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_shipped_profile_gives_images_with_signal_in_the_head(name, ellipsoids):
    profile = PROFILES[name].model_copy(update={"matrix": 48, "slices": (10, 10)})
    patient = _simulate(profile, ellipsoids)
    assert tuple(patient.images) == profile.contrasts
    for image in patient.images.values():
        assert bool(torch.isfinite(image).all())
        # Coarse pixels at the rim hold some of the head, and its fat is displaced into them.
        near = ndimage.binary_dilation(patient.head, np.ones((1, 5, 5), dtype=bool))
        outside = image[~torch.from_numpy(near)]
        assert len(outside) > 0
        assert image[patient.head].mean() > 3 * outside.mean()


def test_a_profile_may_keep_the_sinuses_of_its_brain_only_patients(small_profile):
    """The extraction by itself: a strip of vein beside the brain stays, or goes with the skull."""
    labels = torch.zeros(1, 40, 40, dtype=torch.uint8)
    labels[0, 5:35, 5:35] = tissue_index("cortical_bone")
    labels[0, 8:32, 8:32] = tissue_index("blood_venous")
    labels[0, 10:30, 10:30] = tissue_index("white_matter")
    without, kept = (module._brain(labels, (3.0, 1.0, 1.0), sinuses) for sinuses in (False, True))
    vein = labels == tissue_index("blood_venous")
    bone = labels == tissue_index("cortical_bone")
    assert not (without & vein).any()
    assert (kept & vein).sum() == vein.sum()
    assert not (kept & bone).any()
    profile = small_profile.model_copy(update={"brain_extracted": 1.0, "sinuses_kept": 1.0})
    view = module.draw_field_of_view(profile, torch.Generator().manual_seed(1))
    assert module.draw_exam_plan(profile, view, torch.Generator().manual_seed(1)).sinuses_kept
    plain = profile.model_copy(update={"sinuses_kept": 0.0})
    assert not module.draw_exam_plan(plain, view, torch.Generator().manual_seed(1)).sinuses_kept


@pytest.mark.parametrize(
    ("tissue", "stays"),
    [
        ("CSF", True),
        ("glioma_enhancing", True),
        ("glioma_necrosis", True),
        ("metastasis_brain", True),
        ("MS_lesion", True),
        ("cortical_bone", False),
    ],
)
def test_brain_extraction_keeps_wide_ventricles_and_tumours_whole(tissue, stays):
    labels = torch.zeros(1, 60, 60, dtype=torch.uint8)
    labels[0, 5:55, 5:55] = tissue_index("white_matter")
    labels[0, 15:45, 15:45] = tissue_index(tissue)
    kept = module._brain(labels, (3.0, 1.0, 1.0), False)
    inside = labels == tissue_index(tissue)
    assert bool(kept[inside].all()) is stays


def test_brain_extraction_leaves_fluid_away_from_the_brain_outside():
    labels = torch.zeros(1, 60, 60, dtype=torch.uint8)
    labels[0, 5:55, 5:55] = tissue_index("CSF")
    labels[0, 5:55, 5:30] = tissue_index("white_matter")
    kept = module._brain(labels, (3.0, 1.0, 1.0), False)
    assert bool(kept[0, 30, 5:35].all())
    assert not kept[0, 30, 38:].any()
