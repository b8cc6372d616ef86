"""Make `import torchvision` work where its compiled extension cannot be loaded.

open_clip imports torchvision for its image transforms. With a torch built for the CPU and the
registry's torchvision built for CUDA, the extension does not load, and the import stops at
"operator torchvision::nms does not exist": torchvision describes operators that nobody declared.
Declared they need to be, not implemented; none of them is used here.
"""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path

import torch

# The operators for which torchvision's Python files register fake kernels at import, with the
# extension's own schemas.
_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


@functools.cache
def mend_torchvision() -> torch.library.Library | None:
    """Declare the operators if the extension cannot load; call it before importing open_clip.

    Returns the library that holds the declarations (they live as long as it does), or None where
    there was nothing to mend.
    """
    if extension_loads():
        return None
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]
    return library


def extension_loads() -> bool:
    """Whether torchvision's compiled operators can be loaded into this torch."""
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return False
    folder = Path(spec.origin).parent
    for library in [*folder.glob("_C*.so"), *folder.glob("_C*.pyd")]:
        try:
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
        except (OSError, RuntimeError):
            continue
        return True
    return False
