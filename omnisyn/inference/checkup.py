"""What an installation is and can: the facts that `omnisyn doctor` tells."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from omnisyn import paths
from omnisyn.errors import ModelError
from omnisyn.inference.sidecar import versions
from omnisyn.listeners import unheard
from omnisyn.models.device import choose_device
from omnisyn.models.weights import list_weights, verify_weights

WHOLE = "whole"


def examine(cache: Path | None = None) -> dict[str, dict[str, str]]:
    """Sections of facts: versions, devices, cache, data, weights.

    In the section `weights` each shipped set is `whole`, or its fault stands there.
    """
    folder = paths.cache_dir(cache)
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return {
        "versions": versions(),
        "devices": _devices(),
        "cache": {
            "folder": str(folder),
            "writable": "yes" if os.access(there, os.W_OK) else "no",
        },
        "data": {"root": str(paths.data_root() or "the embedded simulation")},
        "weights": _weights(),
    }


def _devices() -> dict[str, str]:
    found = {
        "auto": str(choose_device("auto", unheard)),
        "cpu": f"{os.cpu_count()} cores, {torch.get_num_threads()} threads",
    }
    for index in range(torch.cuda.device_count()):
        found[f"cuda:{index}"] = torch.cuda.get_device_name(index)
    return found


def _weights() -> dict[str, str]:
    try:
        names = [card.name for card in list_weights()]
    except ModelError as fault:
        return {"(cards)": str(fault)}
    states = {}
    for name in names:
        try:
            verify_weights(name)
            states[name] = WHOLE
        except ModelError as fault:
            states[name] = str(fault)
    return states or {"(none)": "no weights ship with this installation"}
