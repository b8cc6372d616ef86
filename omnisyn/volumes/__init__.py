"""Volumes: voxels with an exact geometry, read with every check and written whole.

`read_volume` takes a NIfTI file or a DICOM series, `write_volume` makes a .nii.gz with its
sidecar; `normalize` holds the one intensity rule, `atomic` the way every file is written.
Nothing here knows torch.
"""

from omnisyn.volumes.read import read_labels, read_mask, read_volume
from omnisyn.volumes.volume import Provenance, Volume
from omnisyn.volumes.write import write_volume

__all__ = ["Provenance", "Volume", "read_labels", "read_mask", "read_volume", "write_volume"]
