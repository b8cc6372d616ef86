"""What file names and headers do not say: ``prepare.toml``, written by whoever knows the data.

::

    identifiers = "pseudonyms"        # in place of the names of folders

    [contrasts]                       # words of a path or of a series → contrast, or "none"
    "*ax t1 post*" = "T1c"
    "*survey*" = "none"

    [pictures]                        # of slices that came as pictures
    spacing_mm = [3.0, 0.5, 0.5]      # between slices, rows, columns

    [sites.hospital01]                # of a source that holds several sites, one table each
    folder = "from-hospital-1"
    role = "train"
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from omnisyn.contrasts import contrast
from omnisyn.errors import InputError, OmnisynError
from omnisyn.paths import name_of
from omnisyn.settings import Settings, load_toml
from omnisyn.studies.site import Role

INSTRUCTIONS_FILE = "prepare.toml"
NONE = "none"

Millimetres = Annotated[float, Field(gt=0, le=100)]


class Pictures(Settings):
    """How slices that came as pictures lie.

    Attributes:
        spacing_mm: between slices, rows, columns; without it 1 mm is assumed, and said.
        first_slice: which end of the head the lowest number shows.
    """

    spacing_mm: tuple[Millimetres, Millimetres, Millimetres] | None = None
    first_slice: Literal["inferior", "superior"] = "inferior"


class SiteInstructions(Settings):
    """One of the sites that a source holds.

    Attributes:
        folder: below the source.
        role, scanner, hospital, credit: of the site, see ``SiteSettings``.
    """

    folder: str
    role: Role = "train"
    scanner: str | None = None
    hospital: str | None = None
    credit: str | None = None

    @field_validator("folder")
    @classmethod
    def _folder_is_below(cls, folder: str) -> str:
        path = Path(folder)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("the folder lies below the source")
        return folder


class Instructions(Settings):
    """``prepare.toml``.

    Attributes:
        identifiers: what DICOM patients are called after: the folder that holds nobody else, where
            there is one, or always a pseudonym made of the patient's number.
        contrasts: pattern (``*`` and ``?``, whatever the case) of a file's path below the source or
            of a DICOM series' description → contrast, or ``none``; the first that fits counts.
        pictures: of slices as pictures.
        sites: name → where it lies, of a source of several sites.
    """

    identifiers: Literal["folders", "pseudonyms"] = "folders"
    contrasts: dict[str, str] = Field(default_factory=dict)
    pictures: Pictures = Pictures()
    sites: dict[str, SiteInstructions] = Field(default_factory=dict)

    @field_validator("contrasts")
    @classmethod
    def _contrasts_are_known(cls, contrasts: dict[str, str]) -> dict[str, str]:
        known = {}
        for pattern, name in contrasts.items():
            try:
                known[pattern.lower()] = name if name == NONE else contrast(name).name
            except OmnisynError as error:
                raise ValueError(f'{error}, or "{NONE}"') from error
        return known

    def said(self, words: Iterable[str]) -> str | None:
        """The contrast that these words are said to be, ``none``, or None where nothing is said.

        Args:
            words: the path below the source, a description, …
        """
        lower = [text.lower() for text in words]
        for pattern, name in self.contrasts.items():
            if any(fnmatchcase(text, pattern) for text in lower):
                return name
        return None


def read_instructions(source: Path, file: Path | None = None) -> Instructions:
    """Those of a file, else those that lie in the source, else none at all.

    Raises:
        InputError: the file is missing or not valid.
    """
    if file is None:
        file = source / INSTRUCTIONS_FILE
        if not file.is_file():
            return Instructions()
    instructions = load_toml(file, Instructions)
    for name, site in instructions.sites.items():
        if not (source / site.folder).is_dir():
            raise InputError(
                f"site {name} has no folder {site.folder}",
                where=name_of(file),
                remedy=f"folders are looked for in {name_of(source)}",
            )
    return instructions
