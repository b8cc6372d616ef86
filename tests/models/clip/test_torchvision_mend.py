import pytest
import torch

from omnisyn.models.clip import torchvision_mend
from omnisyn.models.clip.torchvision_mend import extension_loads, mend_torchvision


def test_torchvision_and_open_clip_import_after_the_mend() -> None:
    mend_torchvision()
    import open_clip
    import torchvision

    assert open_clip.image_transform.__module__ == "open_clip.transform"
    assert torchvision.ops.nms.__module__ == "torchvision.ops.boxes"
    assert torch.ops.torchvision.nms.default is not None


def test_nothing_is_mended_where_the_extension_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision_mend, "extension_loads", lambda: True)
    assert mend_torchvision.__wrapped__() is None


def test_mending_twice_is_mending_once() -> None:
    assert mend_torchvision() is mend_torchvision()


def test_missing_torchvision_has_no_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision_mend, "find_spec", lambda name: None)
    assert extension_loads() is False


def test_file_that_is_no_library_does_not_load(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    class Spec:
        origin = str(tmp_path / "__init__.py")

    (tmp_path / "_C.so").write_bytes(b"no library")
    monkeypatch.setattr(torchvision_mend, "find_spec", lambda name: Spec)
    assert extension_loads() is False
