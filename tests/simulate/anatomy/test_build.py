from __future__ import annotations

from dataclasses import replace

import numpy
import pytest
import torch
from scipy import ndimage

from omnisyn.simulate.anatomy import (
    STRUCTURES,
    Grid,
    build_anatomy,
    draw_anatomy,
    structure_index,
)
from omnisyn.simulate.tissues import TISSUES, tissue_index

DISEASE = {"NPC", "N level II node", "NPC necrosis", "node necrosis"}
LISTED = [s.name for s in STRUCTURES if s.listed and s.name not in DISEASE]
PAIRED = [
    "maxillary sinus", "lateral pterygoid", "medial pterygoid", "masseter", "temporalis",
    "parotid", "submandibular gland", "vitreous", "lens", "optic nerve", "orbital fat",
    "parapharyngeal fat", "torus tubarius", "fossa of Rosenmueller", "carotid artery",
    "jugular vein", "petrous bone", "caudate", "putamen", "thalamus", "hippocampus",
    "lateral ventricle", "cerebellar white matter", "sternocleidomastoid", "turbinate",
]  # fmt: skip


def count(anatomy, name: str) -> int:
    return int((anatomy.structures == structure_index(name)).sum())


def centre(anatomy, name: str) -> tuple[float, float, float]:
    found = (anatomy.structures == structure_index(name)).nonzero().double().mean(0)
    return tuple(found.tolist())


def test_every_listed_structure_is_in_every_head(healthy_heads) -> None:
    for head in healthy_heads:
        assert [name for name in LISTED if count(head.anatomy, name) == 0] == []


def test_every_tissue_of_a_structure_is_its_own(healthy_heads) -> None:
    anatomy = healthy_heads[0].anatomy
    for name in ("cortex", "CSF", "vitreous", "mandible"):
        tissue = next((s.tissue for s in STRUCTURES if s.name == name), None)
        if tissue is not None:
            found = anatomy.labels[anatomy.structures == structure_index(name)]
            assert found.unique().tolist() == [tissue_index(tissue)]
    assert int(anatomy.labels.max()) < len(TISSUES)
    assert (anatomy.labels[anatomy.structures == 0] == 0).all()


@pytest.mark.parametrize("name", PAIRED)
def test_paired_structures_lie_on_both_sides(healthy_heads, name: str) -> None:
    for head in healthy_heads:
        found = head.anatomy.structures == structure_index(name)
        middle = centre(head.anatomy, "brainstem")[2]
        columns = found.nonzero()[:, 2].double()
        assert (columns > middle).any()
        assert (columns < middle).any()


def test_axes_are_inferior_to_superior_anterior_to_posterior_right_to_left(
    healthy_heads,
) -> None:
    anatomy = healthy_heads[0].anatomy
    assert centre(anatomy, "mandible")[0] < centre(anatomy, "vitreous")[0]
    assert centre(anatomy, "vitreous")[0] < centre(anatomy, "corpus callosum")[0]
    assert centre(anatomy, "lens")[1] < centre(anatomy, "vitreous")[1]
    assert centre(anatomy, "vitreous")[1] < centre(anatomy, "cerebellar cortex")[1]


def test_a_left_tumour_lies_in_high_columns(grid) -> None:
    for seed in range(40):
        parameters = draw_anatomy(torch.Generator().manual_seed(seed))
        assert parameters.tumour is not None
        if parameters.tumour.side > 0 and parameters.tumour.volume_ml < 6.0:
            break
    anatomy = build_anatomy(parameters, grid)
    columns = anatomy.tumour.nonzero()[:, 2].double().mean()
    assert columns > centre(anatomy, "clivus")[2]


def test_airway_is_one_space_from_nose_to_hypopharynx(healthy_heads) -> None:
    airway = ["nasal airway", "nasopharyngeal airway", "oropharyngeal airway",
              "hypopharyngeal airway"]  # fmt: skip
    values = [structure_index(name) for name in airway]
    for head in healthy_heads:
        structures = head.anatomy.structures.numpy()
        parts, _ = ndimage.label(numpy.isin(structures, values))
        sizes = numpy.bincount(parts.ravel())[1:]
        largest = parts == 1 + sizes.argmax()
        assert set(structures[largest]) == set(values)
        assert sizes.max() / sizes.sum() > 0.95


def test_brain_has_plausible_volumes(healthy_heads, grid) -> None:
    for head in healthy_heads:
        cerebrum = sum(count(head.anatomy, n) for n in ("cortex", "insula", "white matter"))
        grey = count(head.anatomy, "cortex") / cerebrum
        assert 700 < cerebrum * grid.voxel_ml < 1500
        assert 0.35 < grey < 0.75
        assert (
            70
            < 4.0
            + sum(count(head.anatomy, n) for n in ("cerebellar cortex", "cerebellar white matter"))
            * grid.voxel_ml
            < 220
        )


def test_head_is_closed_by_skin_and_surrounded_by_air(healthy_heads) -> None:
    structures = healthy_heads[0].anatomy.structures
    around = torch.zeros_like(structures, dtype=torch.bool)
    background = structures == 0
    around[:, :, 1:] |= background[:, :, :-1]
    around[:, :, :-1] |= background[:, :, 1:]
    covers = structures[around & ~background]
    allowed = [structure_index(n) for n in ("skin", "auricle", "ear canal", "nasal cartilage",
                                            "nasal airway")]  # fmt: skip
    assert torch.isin(covers, torch.tensor(allowed, dtype=torch.uint8)).double().mean() > 0.98


def test_same_seed_gives_the_same_patient(patients, grid) -> None:
    again = build_anatomy(draw_anatomy(torch.Generator().manual_seed(11)), grid)
    assert torch.equal(again.structures, patients[0].anatomy.structures)
    assert again.stage == patients[0].anatomy.stage


def test_two_patients_differ(patients) -> None:
    first, second = patients[0].anatomy.labels, patients[1].anatomy.labels
    head = (first > 0) | (second > 0)
    assert (first != second)[head].double().mean() > 0.2


def test_the_same_head_on_a_finer_grid_is_the_same_head(healthy_heads, grid) -> None:
    finer = replace(grid, shape=(96, 239, 239), spacing_mm=(2.5, 1.0, 1.0))
    fine = build_anatomy(healthy_heads[0].parameters, finer).labels[:, ::2, ::2]
    coarse = healthy_heads[0].anatomy.labels
    head = coarse > 0
    assert (fine == coarse)[head].double().mean() > 0.8


def test_tilt_turns_the_field_and_not_the_head(healthy_heads, grid) -> None:
    tilted = Grid(grid.shape, grid.spacing_mm, grid.centre_mm, (15.0, 0.0, 0.0))
    turned = build_anatomy(healthy_heads[0].parameters, tilted)
    straight = healthy_heads[0].anatomy
    assert count(turned, "vitreous") == pytest.approx(count(straight, "vitreous"), rel=0.1)
    lift = [centre(a, "vitreous")[0] - centre(a, "fourth ventricle")[0] for a in (straight, turned)]
    assert abs(lift[1] - lift[0]) * grid.spacing_mm[0] > 10.0
