import numpy as np
import pytest
from scipy import ndimage

from omnisyn.simulate.label_maps import disease
from omnisyn.simulate.label_maps.maps import BONE, DURA, SOFT, VENTRICLE
from omnisyn.simulate.tissues import tissue_index


@pytest.fixture
def random():
    return np.random.default_rng(5)


def changed_from(boxes, classes):
    """What the changed voxels were before, and what they are now."""
    where = classes != boxes.classes
    return set(boxes.classes[where].tolist()), set(classes[where].tolist())


def test_ventricles_grow_into_the_brain_alone(boxes):
    classes = boxes.classes.copy()
    disease.enlarge_ventricles(boxes, classes, 2)
    before, now = changed_from(boxes, classes)
    assert before == {tissue_index("white_matter")}
    assert now == {VENTRICLE}
    grown = ndimage.binary_dilation(boxes.ventricles, iterations=2)
    assert ((classes == VENTRICLE) == grown & ~boxes.ventricles).all()


def test_lesions_lie_in_white_matter_and_have_a_tissue_of_disease(boxes, random):
    classes = boxes.classes.copy()
    disease.scatter_lesions(boxes, classes, 30, random)
    before, now = changed_from(boxes, classes)
    assert before == {tissue_index("white_matter")}
    names = ("MS_lesion", "oedema_brain", "metastasis_brain")
    assert now <= {tissue_index(name) for name in names}
    assert tissue_index("MS_lesion") in now


def test_plexus_hangs_in_the_ventricles_alone(boxes, random):
    classes = boxes.classes.copy()
    disease.hang_choroid_plexus(boxes, classes, random)
    painted = classes == tissue_index("choroid_plexus")
    assert painted.any()
    assert not (painted & ~boxes.ventricles).any()


def test_a_brain_tumour_is_one_piece_that_spares_fluid_and_bone(boxes, random):
    classes = boxes.classes.copy()
    mask = disease.grow_brain_tumour(boxes, classes, random)
    assert mask.any()
    assert ndimage.label(mask)[1] == 1
    before, _ = changed_from(boxes, classes)
    assert before <= {tissue_index("white_matter"), tissue_index("grey_matter")}


def test_oedema_lies_about_a_brain_tumour_and_mostly_in_white_matter(boxes):
    around, grey = 0, 0
    oedema = tissue_index("oedema_brain")
    for seed in range(12):
        classes = boxes.classes.copy()
        mask = disease.grow_brain_tumour(boxes, classes, np.random.default_rng(seed))
        found = (classes == oedema) & ~mask
        around += int(found.sum())
        grey += int((found & (boxes.classes == tissue_index("grey_matter"))).sum())
        # One piece with the tumour.
        assert ndimage.label(found | mask, np.ones((3, 3, 3)))[1] == 1
        assert not (mask & (classes == boxes.classes)).any()
    assert around > 500
    assert grey < 0.2 * around


def test_a_cavity_is_fluid_in_the_place_of_brain(boxes, random):
    classes = boxes.classes.copy()
    disease.cut_cavity(boxes, classes, random)
    before, now = changed_from(boxes, classes)
    assert tissue_index("grey_matter") in before
    assert before <= {tissue_index("grey_matter"), tissue_index("white_matter")}
    assert now == {tissue_index("CSF")}
    assert ndimage.label(classes != boxes.classes, np.ones((3, 3, 3)))[1] <= 3


def test_every_change_comes_to_some_heads(boxes, monkeypatch):
    names = [
        "enlarge_ventricles",
        "hang_choroid_plexus",
        "scatter_lesions",
        "grow_brain_tumour",
        "cut_cavity",
        "grow_nasopharyngeal_tumour",
    ]
    seen = []
    for name in names:
        whole = getattr(disease, name)
        monkeypatch.setattr(
            disease, name, lambda *about, name=name, whole=whole: seen.append(name) or whole(*about)
        )
    for seed in range(60):
        before = len(seen)
        classes = boxes.classes.copy()
        disease.paint_disease(boxes, classes, np.random.default_rng(seed))
        assert len(seen) - before <= len(names)
    assert set(seen) == set(names)
    assert all(seen.count(name) < 60 for name in names)


def test_growth_takes_the_cheap_way_round_a_barrier():
    costs = np.ones((1, 9, 9), dtype=np.float32)
    costs[0, 4, :8] = np.inf
    time = disease.arrival(costs, (0, 3, 0), 30.0)
    assert time[0, 3, 4] == 4
    assert np.isinf(time[0, 4, 0])
    # Straight through it would be two steps; round the end it is seven there and seven back,
    # and two aslant.
    assert time[0, 5, 0] == 17


def test_growth_ends_where_its_time_is_over():
    time = disease.arrival(np.ones((1, 1, 20), dtype=np.float32), (0, 0, 0), 5.0)
    assert np.isfinite(time).sum() == 6


def test_growth_in_tissue_of_one_kind_is_nearly_round():
    time = disease.arrival(np.ones((31, 31, 31), dtype=np.float32), (15, 15, 15), 12.0)
    offsets = np.stack(np.indices(time.shape)) - 15
    distance = np.sqrt((offsets**2).sum(axis=0))
    assert np.isfinite(time[distance < 10]).all()
    assert not np.isfinite(time[distance > 14]).any()


def with_airway(boxes, back_mm):
    """The boxes with an airway in soft tissue, 45 mm below the commissure and so far behind it."""
    classes = boxes.classes.copy()
    low, back, side = (
        int(place + offset / 3)
        for place, offset in zip(boxes.origin, (-45, back_mm, 0), strict=True)
    )
    region = (slice(low - 4, low + 5), slice(back - 9, back + 10), slice(side - 12, side + 13))
    classes[region] = SOFT
    classes[low - 2 : low + 3, back - 2 : back + 3, side - 2 : side + 3] = tissue_index("air")
    return classes


def test_a_nasopharyngeal_tumour_grows_from_an_airway_below_and_in_front(boxes, random):
    classes = with_airway(boxes, -20)
    before = classes.copy()
    mask = disease.grow_nasopharyngeal_tumour(boxes, classes, random)
    assert mask.any()
    assert not (mask & (before == tissue_index("air"))).any()
    assert set(before[mask].tolist()) <= {SOFT, BONE, DURA}
    assert set(classes[mask].tolist()) <= {tissue_index("NPC"), tissue_index("NPC_necrosis")}


def test_no_nasopharyngeal_tumour_grows_from_air_elsewhere(boxes, random):
    # Far behind, and in the air around the head.
    for classes in (with_airway(boxes, 30), boxes.classes.copy()):
        assert not disease.grow_nasopharyngeal_tumour(boxes, classes, random).any()


def test_the_same_seed_paints_the_same_disease(boxes):
    painted = []
    for _ in range(2):
        classes = boxes.classes.copy()
        disease.paint_disease(boxes, classes, np.random.default_rng(11))
        painted.append(classes)
    assert np.array_equal(*painted)
