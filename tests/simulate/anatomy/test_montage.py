from __future__ import annotations

from omnisyn.simulate.anatomy import STRUCTURES, structure_index
from omnisyn.simulate.anatomy.montage import draw_montage


def test_montage_names_every_listed_structure_once(patients) -> None:
    anatomy = patients[0].anatomy
    figure = draw_montage(anatomy)
    named = [text.get_text() for axes in figure.axes for text in axes.texts]
    present = {
        s.name
        for s in STRUCTURES
        if s.listed and (anatomy.structures == structure_index(s.name)).any()
    }
    assert len(present) > 60
    assert sorted(named) == sorted(present)


def test_montage_says_that_it_is_simulated_and_the_stage(patients) -> None:
    anatomy = patients[0].anatomy
    title = draw_montage(anatomy).get_suptitle()
    assert "Simulated" in title
    assert anatomy.stage.T in title
