from collections import namedtuple
from pathlib import Path

import pytest

from omnisyn.errors import ResourceError
from omnisyn.preparation.fetch import space
from omnisyn.preparation.fetch.space import require_space

Usage = namedtuple("Usage", "total used free")


def test_the_disk_is_asked_before_it_is_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def disk_usage(folder: Path) -> Usage:
        asked.append(folder)
        return Usage(0, 0, 1_200_000_000)

    monkeypatch.setattr(space.shutil, "disk_usage", disk_usage)
    folder = tmp_path / "not" / "yet"

    require_space(folder, 1_200_000_000, "data.zip")
    with pytest.raises(ResourceError) as refused:
        require_space(folder, 4_900_000_000, "data.zip")

    assert asked == [tmp_path, tmp_path]
    assert str(refused.value) == (
        "data.zip: the disk has too little room (4.9 GB are needed in yet, 1.2 GB are free); "
        "free some space, or choose another folder"
    )
