"""The image-text similarity of an align run: as text, as TSV and as a picture."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from omnisyn.contrasts import NAMES
from omnisyn.models.generator import PROMPTS
from omnisyn.volumes.atomic import write_bytes_atomic, write_text_atomic

Similarity = Mapping[str, Sequence[float]]
"""By the prompt that fits the images (their contrast and fat state): the mean cosine of these
images with each of the twelve prompts, in the order of `PROMPTS`."""

_LABEL = max(map(len, PROMPTS)) + 2
_COLUMN = 7
_DOTS_PER_INCH = 110


def similarity_table(similarity: Similarity) -> str:
    """The matrix as text: a row per kind of image, a column per prompt."""
    half = _COLUMN * len(NAMES)
    lines = [
        f"{'mean cosine':<{_LABEL}}{'plain':>{half}}{'fat-suppressed':>{half}}",
        "image \\ text".ljust(_LABEL) + "".join(f"{name:>{_COLUMN}}" for name in NAMES) * 2,
    ]
    for shown, cosines in similarity.items():
        lines.append(f"{shown:<{_LABEL}}" + "".join(f"{each:>z{_COLUMN}.3f}" for each in cosines))
    return "\n".join(lines)


def read_similarity(table: str) -> Similarity:
    """The matrix that `similarity_table` wrote, to its three decimals.

    A run keeps the table of its best validation, and nothing else of it, until the export.
    """
    return {
        line[:_LABEL].strip(): [float(word) for word in line[_LABEL:].split()]
        for line in table.splitlines()[2:]
    }


def write_similarity(folder: Path, similarity: Similarity, simulated: bool) -> None:
    """Write similarity.tsv and similarity.png into `folder`."""
    lines = ["\t".join(("image", *PROMPTS))]
    for shown, cosines in similarity.items():
        lines.append("\t".join((shown, *(f"{each:z.3f}" for each in cosines))))
    write_text_atomic(folder / "similarity.tsv", "\n".join(lines) + "\n")
    write_bytes_atomic(folder / "similarity.png", similarity_picture(similarity, simulated))


def similarity_picture(similarity: Similarity, simulated: bool) -> bytes:
    """The matrix as PNG, the numbers in the cells; the cell where images meet their own text is
    framed. `simulated` images are called so in the title."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    canvas = Figure(figsize=(8.6, 0.42 * len(similarity) + 2.6), dpi=_DOTS_PER_INCH)
    FigureCanvasAgg(canvas)
    panel = canvas.subplots()
    # The whole range of a cosine, so that pictures of several runs can be compared.
    panel.imshow(list(similarity.values()), cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    for row, (shown, cosines) in enumerate(similarity.items()):
        for column, cosine in enumerate(cosines):
            colour = "white" if abs(cosine) > 0.6 else "black"
            words = f"{cosine:z.2f}".replace("-", "−")
            panel.text(column, row, words, ha="center", va="center", fontsize=8, color=colour)
        corner = (PROMPTS.index(shown) - 0.5, row - 0.5)
        panel.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="black", linewidth=1.6))
    panel.set_xticks(range(len(PROMPTS)), PROMPTS, rotation=45, ha="right", fontsize=8)
    panel.set_yticks(range(len(similarity)), list(similarity), fontsize=8)
    panel.set_xlabel("text", fontsize=9)
    panel.set_ylabel("images that show", fontsize=9)
    whose = "SIMULATED validation patients" if simulated else "validation patients"
    panel.set_title(f"Image–text similarity: mean cosine, {whose}", fontsize=10)
    canvas.tight_layout(pad=0.6)
    stream = io.BytesIO()
    canvas.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
