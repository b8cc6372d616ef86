"""Anatomy from label maps: any folder of labelled heads becomes endlessly many different ones."""

from omnisyn.simulate.label_maps.anatomy import LabelMapAnatomy, open_label_maps

__all__ = ["LabelMapAnatomy", "open_label_maps"]
