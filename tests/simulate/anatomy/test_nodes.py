from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from omnisyn.simulate.anatomy import build_anatomy, structure_index
from omnisyn.simulate.anatomy.nodes import CRICOID_MM, LEVELS, NodeParameters, draw_nodes
from omnisyn.simulate.anatomy.staging import n_category


def metastatic(seed: int, side: int = 1) -> list[NodeParameters]:
    nodes = draw_nodes(torch.Generator().manual_seed(seed), side, 1.0)
    return [node for node in nodes if node.level != "benign"]


def test_negative_patients_have_benign_nodes_only() -> None:
    nodes = draw_nodes(torch.Generator().manual_seed(0), 1, 0.0)
    assert nodes
    assert {node.level for node in nodes} == {"benign"}


def test_positive_patients_always_have_a_metastatic_node() -> None:
    assert all(metastatic(seed) for seed in range(60))


def test_levels_are_as_frequent_as_published() -> None:
    patients = [{node.level for node in metastatic(seed)} for seed in range(300)]
    # Share among node-positive patients: 69 % RP, 70 % II of all, 85 % positive.
    for level, low, high in (("RP", 0.65, 0.98), ("II", 0.65, 0.98), ("III", 0.35, 0.75),
                             ("IB", 0.0, 0.12)):  # fmt: skip
        share = sum(level in found for found in patients) / len(patients)
        assert low <= share <= high


def test_nodes_prefer_the_side_of_the_tumour() -> None:
    right = sum(node.side < 0 for seed in range(100) for node in metastatic(seed, -1))
    left = sum(node.side > 0 for seed in range(100) for node in metastatic(seed, -1))
    assert right > 1.5 * left


def test_retropharyngeal_nodes_are_small() -> None:
    radii = [min(n.radii_mm) for s in range(100) for n in metastatic(s) if n.level == "RP"]
    assert 3.0 < sum(radii) / len(radii) < 7.0


def test_a_node_low_in_the_neck_is_below_the_cricoid() -> None:
    place = LEVELS["IV"][0]
    low = NodeParameters("IV", 1, place, (5.0, 5.0, 7.0), (0.0, 0.0, 0.0), 0.0)
    high = replace(low, level="II", centre_mm=(36.0, 4.0, CRICOID_MM + 40.0))
    assert low.finding().below_cricoid
    assert not high.finding().below_cricoid
    assert high.finding().size_mm == pytest.approx(14.0)


def test_nodes_are_painted_at_their_level_and_set_the_n_stage(patients, grid) -> None:
    left = NodeParameters("II", 1, (37.0, 4.0, -94.0), (8.0, 8.0, 10.0), (0, 0, 0), 0.6)
    right = replace(left, side=-1, centre_mm=(-37.0, 4.0, -94.0))
    for nodes, stage in (((left,), "N1"), ((left, right), "N2")):
        anatomy = build_anatomy(replace(patients[0].parameters, nodes=nodes), grid)
        assert anatomy.stage.N == stage == n_category(node.finding() for node in nodes)
        assert (anatomy.structures == structure_index("N level II node")).any()
        assert (anatomy.structures == structure_index("node necrosis")).any()
        volume = float(anatomy.nodes.sum()) * grid.voxel_ml
        assert 0.5 * len(nodes) < volume < 5.0 * len(nodes)
