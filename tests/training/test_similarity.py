import io
from pathlib import Path

import matplotlib.image
import pytest

from omnisyn.models.generator import PROMPTS
from omnisyn.training import similarity
from omnisyn.training.similarity import (
    read_similarity,
    similarity_picture,
    similarity_table,
    write_similarity,
)

SHOWN = {
    "T1": [0.125, -0.5, *([0.0] * 10)],
    "T2 fat-suppressed": [round(-0.9 + 0.1 * each, 3) for each in range(12)],
}


def test_table_is_read_back_as_it_was_written() -> None:
    assert read_similarity(similarity_table(SHOWN)) == SHOWN


def test_table_names_every_contrast_with_and_without_fat_suppression() -> None:
    first, second, *rows = similarity_table(SHOWN).splitlines()
    assert first.split()[-2:] == ["plain", "fat-suppressed"]
    assert second.split()[-12:] == list(PROMPTS[:6]) * 2
    assert len({len(line) for line in (first, second, *rows)}) == 1


def test_tsv_has_a_row_per_kind_of_image_and_a_column_per_prompt(tmp_path: Path) -> None:
    write_similarity(tmp_path, SHOWN, simulated=True)
    rows = [line.split("\t") for line in (tmp_path / "similarity.tsv").read_text().splitlines()]
    assert rows[0] == ["image", *PROMPTS]
    assert {row[0]: [float(word) for word in row[1:]] for row in rows[1:]} == SHOWN
    assert (tmp_path / "similarity.png").read_bytes() == similarity_picture(SHOWN, simulated=True)


def test_picture_is_a_png_that_says_what_is_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = similarity_picture(SHOWN, simulated=True)
    assert matplotlib.image.imread(io.BytesIO(picture)).shape[1] == pytest.approx(946)
    titles: list[str] = []
    monkeypatch.setattr(
        "matplotlib.axes.Axes.set_title", lambda _, title, **__: titles.append(title)
    )
    for simulated in (True, False):
        similarity.similarity_picture(SHOWN, simulated=simulated)
    assert ["SIMULATED" in title for title in titles] == [True, False]


def test_every_cell_holds_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    cells: dict[tuple[int, int], str] = {}
    monkeypatch.setattr(
        "matplotlib.axes.Axes.text", lambda _, x, y, words, **__: cells.update({(y, x): words})
    )
    similarity_picture(SHOWN, simulated=False)
    assert len(cells) == 24
    assert cells[0, 1] == "−0.50"
    assert cells[1, 11] == "0.20"
