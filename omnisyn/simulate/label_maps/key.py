"""A key says which label of a map is which tissue. It is a TOML file beside the maps, or ours."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from omnisyn.errors import InputError
from omnisyn.paths import name_of
from omnisyn.settings import Settings, load_toml
from omnisyn.simulate.tissues import TISSUES

KEY_FILE = "labels.toml"
LABELS = 1024
"""Labels of a map are whole numbers below this."""


def _known_tissue(name: str) -> str:
    if name not in TISSUES:
        raise ValueError(f"there is no tissue {name!r}; there are {', '.join(sorted(TISSUES))}")
    return name


def _three_ways(letters: str) -> str:
    axes = [axis for axis in ("LR", "AP", "SI") for letter in letters if letter in axis]
    if len(letters) != 3 or sorted(axes) != ["AP", "LR", "SI"]:
        raise ValueError("it must be one letter each of L or R, A or P, and S or I")
    return letters


Orientation = Annotated[str, AfterValidator(_three_ways)]
TissueName = Annotated[str, AfterValidator(_known_tissue)]
Label = Annotated[int, Field(ge=0, lt=LABELS)]
Labels = tuple[Label, ...]


class Unnamed(Settings):
    """Labels of unknown meaning: every head draws one of the ``tissues`` for each of them."""

    labels: Labels
    tissues: Annotated[tuple[TissueName, ...], Field(min_length=1)]


class LabelKey(Settings):
    """What the labels of a set of maps mean. A label that the key does not list is refused.

    Attributes:
        name: of the set.
        credit: whom to thank, and where a user gets the maps.
        files: patterns of their names.
        orientation: which way the array's three axes point, as in ``"RAS"``; only where the files
            do not say it truly.
        tissues: tissue → its labels. Air is ``air``.
        ventricles: labels (of CSF) that disease enlarges and in which choroid plexus hangs.
        chiasm: labels of the optic chiasm; below it the fluid of the sella becomes pituitary.
        soft: labels that lump the soft tissue outside the skull: told apart by their depth under
            the skin and by chance.
        bone: labels that lump cortex and marrow of bone: told apart by their depth.
        unnamed: labels of unknown meaning.
    """

    name: str
    credit: str
    files: Annotated[tuple[str, ...], Field(min_length=1)]
    orientation: Orientation | None = None
    tissues: dict[TissueName, Labels]
    ventricles: Labels = ()
    chiasm: Labels = ()
    soft: Labels = ()
    bone: Labels = ()
    unnamed: tuple[Unnamed, ...] = ()

    @model_validator(mode="after")
    def _each_label_once(self) -> LabelKey:
        listed = [label for labels in self.tissues.values() for label in labels]
        listed += [*self.soft, *self.bone]
        listed += [label for group in self.unnamed for label in group.labels]
        twice = sorted({label for label in listed if listed.count(label) > 1})
        if twice:
            raise ValueError(f"label {twice[0]} has two meanings")
        stray = set(self.ventricles) - set(self.tissues.get("CSF", ()))
        if stray:
            raise ValueError(f"the ventricle {min(stray)} is not among the labels of CSF")
        if nameless := set(self.chiasm) - set(listed):
            raise ValueError(f"the chiasm {min(nameless)} is not among the labels of a tissue")
        return self


def shipped_keys() -> tuple[LabelKey, ...]:
    """The keys of the public sets that are described in docs/label-maps.md."""
    folder = resources.files(__package__) / "keys"
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".toml"))
    keys = []
    for name in names:
        with resources.as_file(folder / name) as path:
            keys.append(load_toml(path, LabelKey))
    return tuple(keys)


def keyed_files(folder: Path) -> list[tuple[Path, LabelKey]]:
    """The label maps of a folder with their keys, by name.

    The folder's own ``labels.toml`` goes before ours, which are known by the names of the files.

    Raises:
        InputError: no folder, a malformed key, or no file that a key knows.
    """
    if not folder.is_dir():
        raise InputError("there is no folder of label maps", where=name_of(folder))
    own = folder / KEY_FILE
    keys = (load_toml(own, LabelKey),) if own.is_file() else shipped_keys()
    found = {path: key for key in keys for pattern in key.files for path in folder.glob(pattern)}
    if not found:
        raise InputError(
            "the folder holds no label map that a key knows",
            where=name_of(folder),
            why="no file is named " + ", ".join(p for key in keys for p in key.files),
            remedy=f"say in a {KEY_FILE} beside the maps which label is which tissue",
        )
    return sorted(found.items())
