import pytest
import torch

from omnisyn.simulate.anatomy import Grid
from omnisyn.simulate.label_maps import open_label_maps
from omnisyn.simulate.label_maps.anatomy import settle_tissues
from omnisyn.simulate.label_maps.maps import BONE, DURA, SOFT, UNNAMED, VENTRICLE
from omnisyn.simulate.stream import SimulatedSlices
from omnisyn.simulate.tissues import TISSUES, tissue_index

GRID = Grid(shape=(24, 40, 40), spacing_mm=(6.0, 5.0, 5.0), centre_mm=(0.0, 10.0, 0.0))
CPU = torch.device("cpu")


@pytest.fixture
def heads(folder):
    return open_label_maps([folder])


def build(heads, seed):
    return heads.build(heads.draw(torch.Generator().manual_seed(seed)), GRID, CPU)


def test_a_head_is_made_of_known_tissues_inside_air(heads):
    head = build(heads, 1)
    assert head.labels.dtype == torch.uint8
    assert head.labels.shape == GRID.shape
    assert int(head.labels.max()) < len(TISSUES)
    shown = {TISSUES[index] for index in head.labels.unique().tolist()}
    assert {"air", "fat_subcutaneous", "muscle", "cortical_bone", "CSF"} <= shown
    assert {"white_matter", "grey_matter"} <= shown
    assert head.stage is None


def test_the_same_seed_gives_the_same_head_and_another_another(heads):
    first, again, other = (build(heads, seed) for seed in (1, 1, 2))
    assert torch.equal(first.labels, again.labels)
    assert (first.labels != other.labels).float().mean() > 0.05


def test_soft_tissue_goes_from_skin_over_fat_to_muscle(boxes):
    shape = (2, 4, 60)
    classes = torch.full(shape, SOFT, dtype=torch.uint8)
    depth = torch.arange(1, 61, dtype=torch.uint8).expand(shape).contiguous()
    labels = settle_tissues(classes, depth, boxes, grid_of(shape), generator(3))
    assert set(labels[..., 0].unique().tolist()) == {tissue_index("skin")}
    deepest = (labels[..., 20:] == tissue_index("muscle")).float().mean()
    outer = (labels[..., 1:3] == tissue_index("muscle")).float().mean()
    assert deepest > 0.3
    assert deepest > outer


def test_unnamed_labels_differ_between_heads_and_agree_within_one(boxes):
    classes = torch.full((2, 4, 6), UNNAMED, dtype=torch.uint8)
    drawn = []
    for seed in range(12):
        labels = settle_tissues(
            classes, torch.ones_like(classes), boxes, grid_of((2, 4, 6)), generator(seed)
        )
        assert len(labels.unique()) == 1
        drawn.append(TISSUES[int(labels[0, 0, 0])])
    assert set(drawn) == {"muscle", "cartilage"}


@pytest.mark.parametrize("lumped", [SOFT, BONE, DURA, VENTRICLE])
def test_nothing_stays_lumped(boxes, lumped):
    classes = torch.full((2, 4, 6), lumped, dtype=torch.uint8)
    labels = settle_tissues(
        classes, torch.ones_like(classes), boxes, grid_of((2, 4, 6)), generator(0)
    )
    assert int(labels.max()) < len(TISSUES)
    assert tissue_index("air") not in labels


def test_veins_run_through_the_sulci_and_not_through_the_ventricles(boxes):
    shape = (12, 40, 40)
    fluid, vein = tissue_index("CSF"), tissue_index("blood_venous")
    classes = torch.full(shape, fluid, dtype=torch.uint8)
    classes[:, :, 20:] = VENTRICLE
    veins = 0
    for seed in range(4):
        labels = settle_tissues(
            classes, torch.ones_like(classes), boxes, grid_of(shape), generator(seed)
        )
        veins += int((labels[:, :, :20] == vein).sum())
        assert (labels[:, :, 20:] == fluid).all()
    assert veins > 20


def test_ventricles_are_fluid_in_a_whole_head(heads, monkeypatch):
    # Without disease: what the boxes have in their middle.
    monkeypatch.setattr(
        "omnisyn.simulate.label_maps.anatomy.paint_disease",
        lambda found, classes, random: classes > 255,
    )
    head = build(heads, 1)
    assert int(head.labels[15:18, 17:25, 17:23].eq(tissue_index("CSF")).sum()) > 100


def test_heads_of_label_maps_feed_training_and_say_so(heads, small_cohort):
    source = SimulatedSlices(
        small_cohort, batch_size=2, crop=32, seed=0, anatomy=heads, visits=1, pool=1
    )
    batch = source.batch(0)
    assert batch.images.shape == (2, 6, 32, 32)
    assert bool(batch.present.any(dim=1).all())
    assert "1 label maps: boxes" in source.name
    source.close()


def grid_of(shape):
    return Grid(shape=shape, spacing_mm=(6.0, 5.0, 5.0))


def generator(seed):
    return torch.Generator().manual_seed(seed)
