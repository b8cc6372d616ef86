"""What would become of a source, from names and headers alone: which sites, of whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from omnisyn.contrasts import NAMES, contrast
from omnisyn.errors import InputError, UsageError
from omnisyn.listeners import Progress, labelled, unwatched
from omnisyn.paths import name_of
from omnisyn.preparation.external2 import is_external2
from omnisyn.preparation.find import find_patients, require_folder
from omnisyn.preparation.found import Found
from omnisyn.preparation.instructions import (
    Instructions,
    read_instructions,
)
from omnisyn.preparation.options import PrepareOptions
from omnisyn.settings import parse
from omnisyn.studies.site import (
    PUBLIC_SITE,
    ROOT_FILE,
    SITE_FILE,
    SiteSettings,
)


@dataclass(frozen=True)
class SitePlan:
    """A site that is to be made: where, what it will be, and of whom."""

    path: Path
    source: Path
    settings: SiteSettings
    found: Found


def plan(
    source: Path,
    out: Path | None,
    options: PrepareOptions,
    *,
    progress: Progress = unwatched,
) -> list[SitePlan]:
    """What ``prepare`` would make of a source, from names and headers alone. Errors as there."""
    options.check()
    require_folder(source)
    if (source / SITE_FILE).is_file():
        raise UsageError(
            "the source is a site already, of which only the cache is built", where=name_of(source)
        )
    return list(site_plans(source, out, options, progress))


def site_plans(
    source: Path, out: Path | None, options: PrepareOptions, progress: Progress
) -> Iterator[SitePlan]:
    """The sites that a source holds, one after the other. Errors as in ``prepare``."""
    if (source / ROOT_FILE).is_file():
        raise UsageError(
            "the source is a data root",
            where=name_of(source),
            remedy="prepare its sites one by one, each with its folder as the source",
        )
    if out is None:
        raise UsageError(
            "the source is no site, so a place for the new site is needed",
            where=name_of(source),
            remedy="say --out ROOT/SITE",
        )
    instructions = read_instructions(source, options.instructions)
    if not instructions.sites:
        yield _plan(source, out, instructions, options, options.properties, progress)
        return
    for name, site in instructions.sites.items():
        said = site.model_dump(exclude={"folder"}, exclude_none=True)
        yield _plan(
            source / site.folder,
            out / name,
            instructions,
            options,
            {**said, **options.properties},
            labelled(progress, f"{name}: "),
        )


def _plan(
    source: Path,
    out: Path,
    instructions: Instructions,
    options: PrepareOptions,
    properties: Mapping[str, str],
    progress: Progress,
) -> SitePlan:
    here, there = source.resolve(), out.resolve()
    if here == there or there in here.parents:
        raise InputError(
            "the source lies inside the site to be made",
            where=name_of(out),
            why="a site appears by replacing its whole folder",
            remedy="choose another --out",
        )
    if there.name == PUBLIC_SITE and not is_external2(source):
        raise InputError(
            f"{PUBLIC_SITE} is kept for the public NPC dataset (Zenodo record 13131827)",
            where=name_of(out),
            why="figures under that name must always mean the same patients",
            remedy="choose another name",
        )
    found = find_patients(
        source,
        instructions,
        subjects=options.subjects,
        sessions=options.sessions,
        brain_mask=options.brain_mask,
        progress=progress,
    )
    marks = {scan.simulated for patient in found.patients for scan in patient.scans.values()}
    if len(marks) > 1:
        raise InputError(
            "simulated and real volumes are mixed",
            where=there.name,
            why="some of them say that they are simulated, others do not",
            remedy="prepare them as two sites",
        )
    shared = [name for name in NAMES if all(name in p.scans for p in found.patients)]
    wanted = contrast(options.reference).name
    reference = wanted if any(wanted in p.scans for p in found.patients) else (
        shared or list(found.patients[0].scans)
    )[0]  # fmt: skip
    content = {
        "name": there.name,
        "role": "external" if is_external2(source) else "train",
        "simulated": marks.pop(),
        "reference": reference,
        **properties,
    }
    return SitePlan(out, source, parse(SiteSettings, content, SITE_FILE), found)
