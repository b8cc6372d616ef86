from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from omnisyn.errors import InputError
from omnisyn.inference.embedder import ScanEmbedding
from omnisyn.inference.embedding_file import PatientEmbedding, read_embedding, write_embedding

LEVELS = {"level1": 3, "level2": 5}


def scan(seed: int) -> ScanEmbedding:
    draws = np.random.default_rng(seed)
    return ScanEmbedding(
        volume={level: draws.random(n, dtype=np.float32) for level, n in LEVELS.items()},
        slices={level: draws.random((4, n), dtype=np.float32) for level, n in LEVELS.items()},
        positions_mm=draws.random((4, 3), dtype=np.float32),
        head_mm2=draws.random(4, dtype=np.float32),
    )


@pytest.fixture
def embedding(tmp_path: Path) -> PatientEmbedding:
    described = {"Patient": "Ä1", "Levels": LEVELS, "Scans": {"T2": {}, "T1": {}}}
    path = tmp_path / "x.safetensors"
    return PatientEmbedding(path, "Ä1", {"T2": scan(1), "T1": scan(2)}, described)


def test_what_is_written_is_read_back(embedding: PatientEmbedding) -> None:
    write_embedding(embedding)
    back = read_embedding(embedding.path)
    assert (back.path, back.patient) == (embedding.path, "Ä1")
    assert back.description == embedding.description
    assert list(back.scans) == ["T2", "T1"]
    for name, there in embedding.scans.items():
        for level in LEVELS:
            np.testing.assert_array_equal(back.scans[name].volume[level], there.volume[level])
            np.testing.assert_array_equal(back.scans[name].slices[level], there.slices[level])
        np.testing.assert_array_equal(back.scans[name].positions_mm, there.positions_mm)
        np.testing.assert_array_equal(back.scans[name].head_mm2, there.head_mm2)


def test_other_programs_find_the_tensors_by_name(embedding: PatientEmbedding) -> None:
    write_embedding(embedding)
    tensors = safetensors.numpy.load_file(embedding.path)
    kinds = ("volume/level1", "volume/level2", "slices/level1", "slices/level2")
    names = (*kinds, "positions_mm", "head_mm2")
    assert set(tensors) == {f"{scan}/{name}" for scan in ("T1", "T2") for name in names}
    np.testing.assert_array_equal(
        tensors["T1/slices/level2"], embedding.scans["T1"].slices["level2"]
    )


def test_the_same_gives_the_same_bytes(embedding: PatientEmbedding) -> None:
    write_embedding(embedding)
    first = embedding.path.read_bytes()
    write_embedding(embedding, overwrite=True)
    assert embedding.path.read_bytes() == first


def test_nothing_is_replaced_unless_asked_for(embedding: PatientEmbedding) -> None:
    write_embedding(embedding)
    with pytest.raises(InputError, match="exists already"):
        write_embedding(embedding)


@pytest.mark.parametrize("content", [b"", b"no tensors at all", None, "cut"])
def test_other_files_are_refused(embedding: PatientEmbedding, content: bytes | str | None) -> None:
    write_embedding(embedding)
    if content == "cut":
        embedding.path.write_bytes(embedding.path.read_bytes()[:-9])
    elif content is None:
        safetensors.numpy.save_file({"x": np.zeros(3)}, embedding.path)
    else:
        embedding.path.write_bytes(content)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no file of embeddings") as told:
        read_embedding(embedding.path)
    assert str(embedding.path.parent) not in str(told.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file of embeddings"):
        read_embedding(tmp_path / "none.safetensors")
