import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch


@pytest.fixture(scope="session")
def stand_in() -> ModuleType:
    """The module stand_in.py beside this file."""
    name = "omnisyn_training_stand_in"
    if name not in sys.modules:
        path = Path(__file__).with_name("stand_in.py")
        specification = importlib.util.spec_from_file_location(name, path)
        assert specification is not None
        assert specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        sys.modules[name] = module
        specification.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """A run and its resumption must add in the same order, in whatever process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def runs(stand_in: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run of each stage: `pretrain`, `align`, `finetune`."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("runs")
    for stage in ("pretrain", "align", "finetune"):
        stand_in.train(stage, folder / stage)
    return folder
