"""Procedural head and neck: label maps that differ in every patient.

`draw_anatomy` draws the random numbers, `build_anatomy` applies them to a `Grid`.
"""

from omnisyn.simulate.anatomy.build import Anatomy, build_anatomy
from omnisyn.simulate.anatomy.grid import Grid
from omnisyn.simulate.anatomy.head import LabelledHead
from omnisyn.simulate.anatomy.parameters import HeadParameters, draw_anatomy
from omnisyn.simulate.anatomy.staging import Stage
from omnisyn.simulate.anatomy.structures import STRUCTURES, structure_index
from omnisyn.simulate.anatomy.tumour import TumourSettings

__all__ = [
    "STRUCTURES",
    "Anatomy",
    "Grid",
    "HeadParameters",
    "LabelledHead",
    "Stage",
    "TumourSettings",
    "build_anatomy",
    "draw_anatomy",
    "structure_index",
]
