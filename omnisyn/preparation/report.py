"""The page of a site's preparation: what was found, what was done, and what to look at first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from statistics import median

from omnisyn.contrasts import NAMES
from omnisyn.page import (
    bullet_list,
    data_address,
    definition_list,
    document,
    heading,
    navigation,
    research_notice,
    simulated_banner,
    table,
)
from omnisyn.preparation.pictures import HISTOGRAMS, SQUARE_MM, picture_file
from omnisyn.preparation.records import PatientRecord, RegistrationRecord, SeriesRecord, SiteRecord
from omnisyn.volumes.atomic import write_text_atomic

REPORT_FILE = "report.html"
MOST_OTHERS = 24
"""Of the patients without a doubt, so many are shown in pictures: those that had moved most."""

MOST_PICTURE_BYTES = 32_000_000
"""Of all pictures in the page together; once they are spent, patients are shown without."""

Pictures = Callable[[str, str], bytes | None]
"""Patient and name (a contrast, or `HISTOGRAMS`) → the picture; None where there is none."""

_INTENDED_USE = (
    "A preparation moves and scales images. Look at the flagged patients before anything is "
    "trained or scored on them; that a patient is not flagged is no proof."
)
_DEFINITIONS = {
    "motion (mm)": "how far the registration moved the corners of the box around the head, mean of "
    "the eight; a few mm are common between two series",
    "rotation (°)": "by what angle it turned the head about one axis; of its rigid part",
    "mutual information (nat)": "how much a contrast tells of the reference at the same place: 0 "
    "where nothing. It depends on the pair of contrasts: compare before with after, not patients "
    "with each other",
    "edge overlap": "0 to 1: the share of the edges of either that lie near an edge of the other, "
    "mean of both; 1 is hardly reached, because contrasts show different edges",
    "doubt": "a sentence on what speaks against a registration or a patient; a patient with one is "
    "flagged. A doubt is a reason to look, not a verdict",
    "failed": "the patient is not in the site, for the reason that is given",
    "checkerboard": f"squares of {SQUARE_MM:g} mm show the reference and the contrast in turns: "
    "where both lie right, edges run on across the sides of the squares. Axial and coronal: the "
    "patient's right is on the left; sagittal: the face is on the left",
    "histogram": "of the voxels in the head: left as in the file, right after the scaling that all "
    "contrasts share (the 99.5 percentile of what is no air becomes 1); the last bar holds what is "
    "clipped",
}


def report_html(record: SiteRecord, pictures: Pictures) -> str:
    """The whole page: the site in figures, failed patients, flagged ones, then the others.

    All flagged patients are shown in pictures, and `MOST_OTHERS` of the others, as long as the
    pictures have no more than `MOST_PICTURE_BYTES` in all.
    """
    failed = [patient for patient in record.patients if patient.failure is not None]
    inside = [patient for patient in record.patients if patient.failure is None]
    flagged = sorted((p for p in inside if p.flags), key=lambda p: -len(p.flags))
    others = [patient for patient in inside if not patient.flags]
    shown = _Shown(pictures)
    by_motion = sorted(others, key=_motion, reverse=True)
    for patient in [*flagged, *by_motion[:MOST_OTHERS]]:
        shown.add(patient)
    body = [f"<h1>Preparation of {escape(record.site)}</h1>"]
    if record.simulated:
        body.append(simulated_banner("all patients of this site come from the simulator."))
    body.append(research_notice(_INTENDED_USE))
    body.append(definition_list({**record.options, "omnisyn": record.version}))
    parts = {
        "summary": _summary(record, inside, failed, flagged, shown.without_room),
        "failed": _failed(failed),
        "flagged": _flagged(flagged, shown),
        "others": _others(others, shown),
        "passed over": _passed_over(record.passed_over),
    }
    words = {name: list(part) for name, part in parts.items()}
    present = {name: part for name, part in words.items() if part}
    titles = _TITLES if failed or flagged else {**_TITLES, "others": "The patients"}
    body.append(navigation([*present, "definitions"]))
    for name, part in present.items():
        body += [heading(titles[name], name=name, simulated=record.simulated), *part]
    body += [heading("What the figures mean", name="definitions"), definition_list(_DEFINITIONS)]
    style = resources.files("omnisyn.preparation").joinpath("report.css").read_text("utf-8")
    return document(f"Preparation: {record.site}", body, style)


def write_report(folder: Path, record: SiteRecord) -> Path:
    """Writes the page beside the pictures that were kept (see `picture_file`).

    Args:
        folder: `ROOT/<site>/preparation`, which exists.
        record: of the site.

    Returns:
        The page.

    Raises:
        ResourceError: the disk is full or read-only.
    """

    def kept(patient: str, name: str) -> bytes | None:
        path = picture_file(folder, patient, name)
        return path.read_bytes() if path.is_file() else None

    return write_text_atomic(folder / REPORT_FILE, report_html(record, kept))


_TITLES = {
    "summary": "The site",
    "failed": "Failed: not in the site",
    "flagged": "Flagged: look at these",
    "others": "The others",
    "passed over": "Passed over",
}


class _Shown:
    """The pictures that the page has room for, as HTML by patient."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        self._left = MOST_PICTURE_BYTES
        self._figures: dict[str, str] = {}
        self.without_room = 0

    def add(self, patient: PatientRecord) -> None:
        """All pictures of a patient, or none."""
        figures = "".join(self._figures_of(patient))
        if len(figures) > self._left:
            self.without_room += 1
        else:
            self._left -= len(figures)
            self._figures[patient.identifier] = figures

    def of(self, patient: PatientRecord) -> str:
        """Empty where the patient is not shown."""
        return self._figures.get(patient.identifier, "")

    def _figures_of(self, patient: PatientRecord) -> Iterator[str]:
        for series in patient.series:
            picture = self._pictures(patient.identifier, series.contrast)
            if picture and series.registration:
                words = f"{series.contrast} and {series.registration.to}"
                yield _figure(words, data_address(picture))
        histograms = self._pictures(patient.identifier, HISTOGRAMS)
        if histograms:
            yield _figure("Histograms in the head", data_address(histograms, "image/svg+xml"))


def _figure(words: str, address: str) -> str:
    return (
        f'<figure><figcaption>{escape(words)}</figcaption><img alt="{escape(words)}" '
        f'src="{address}"></figure>'
    )


def _summary(
    record: SiteRecord,
    inside: Sequence[PatientRecord],
    failed: Sequence[PatientRecord],
    flagged: Sequence[PatientRecord],
    without_room: int,
) -> Iterable[str]:
    yield (
        f"<p>{_count(len(record.patients), 'patient')} in the source: <strong>{len(inside)} in the "
        f"site</strong>, {len(failed)} failed; {len(flagged)} of those in the site are flagged.</p>"
    )
    if without_room:
        yield (
            f'<p class="notice">For {_count(without_room, "patient")} the page has no room for '
            f"pictures, which have {MOST_PICTURE_BYTES // 1_000_000} MB in all; theirs lie beside "
            "the page, one folder a patient.</p>"
        )
    rows = []
    for name in NAMES:
        series = [each for p in inside for each in p.series if each.contrast == name]
        if not series:
            continue
        found = [each.registration for each in series if each.registration]
        motions = [registration.motion_mm for registration in found]
        cells = [
            name,
            str(len(series)),
            str(len(inside) - len(series)),
            str(len(found)),
            str(sum(registration.resampled for registration in found)),
            f"{median(motions):.1f}" if motions else "–",
            f"{max(motions):.1f}" if motions else "–",
            str(sum(bool(registration.doubts) for registration in found)),
        ]
        rows.append(_row(cells))
    columns = ("contrast", "patients", "lack it", "registered", "resampled")
    yield table((*columns, "median motion (mm)", "largest (mm)", "in doubt"), rows)


def _failed(failed: Sequence[PatientRecord]) -> Iterable[str]:
    if failed:
        yield bullet_list(f"{patient.identifier}: {patient.failure}" for patient in failed)


def _flagged(flagged: Sequence[PatientRecord], shown: _Shown) -> Iterable[str]:
    if not flagged:
        return
    yield '<p class="soft">Those with most doubts first.</p>'
    for patient in flagged:
        yield f"<h3>{escape(patient.identifier)}</h3>"
        yield f'<div class="doubts">{bullet_list(patient.flags)}</div>'
        yield from _details(patient, shown)


def _others(others: Sequence[PatientRecord], shown: _Shown) -> Iterable[str]:
    if not others:
        return
    if len(others) > MOST_OTHERS:
        yield (
            f'<p class="soft">The {MOST_OTHERS} that had moved most are shown in pictures; the '
            "pictures of the rest lie beside the page, one folder a patient.</p>"
        )
    for patient in others:
        motion = f", moved up to {_motion(patient):.1f} mm" if _registrations(patient) else ""
        contrasts = ", ".join(series.contrast for series in patient.series)
        yield (
            f"<details><summary>{escape(patient.identifier)}: {escape(contrasts)}{motion}"
            f"{'' if shown.of(patient) else ' (no picture)'}</summary>"
        )
        yield from _details(patient, shown)
        yield "</details>"


def _details(patient: PatientRecord, shown: _Shown) -> Iterable[str]:
    figures = ("motion (mm)", "rotation (°)", "mutual information (nat)", "edge overlap")
    words = ("registered by", "source")
    references = {found.to for found in _registrations(patient)}
    yield '<div class="series">'
    yield table(
        ("contrast", *figures, *words),
        (_series(each, is_reference=each.contrast in references) for each in patient.series),
    )
    yield "</div>"
    if patient.masks:
        yield f'<p class="soft">Masks: {escape(", ".join(patient.masks))}.{_overlap(patient)}</p>'
    odd = [f"{each.contrast}: {warning}" for each in patient.series for warning in each.warnings]
    odd += [f"not taken: {text}" for text in patient.left]
    if odd:
        yield bullet_list(odd)
    if shown.of(patient):
        yield f'<div class="pictures">{shown.of(patient)}</div>'


def _overlap(patient: PatientRecord) -> str:
    before, after = patient.mask_overlap_before, patient.mask_overlap_after
    if before is None or after is None:
        return ""
    return f" Those of different scans overlap (Dice): {before:.2f} → {after:.2f}."


def _series(series: SeriesRecord, *, is_reference: bool) -> str:
    size = " × ".join(str(number) for number in series.shape)
    spacing = " × ".join(f"{step:.3g}" for step in series.spacing_mm)
    source = f"{series.form}, {series.told_by}; {size}, {spacing} mm, {series.orientation}"
    found = series.registration
    if found is None:
        done = "the reference" if is_reference else "–"
        return _row([series.contrast, *["–"] * 4, done, source])
    before, after = found.mutual_information_before, found.mutual_information_after
    return _row(
        [
            series.contrast,
            f"{found.motion_mm:.1f}",
            f"{found.rotation_degrees:.1f}",
            f"{before:.3f} → {after:.3f}",
            f"{found.edge_overlap_before:.2f} → {found.edge_overlap_after:.2f}",
            f"{found.program}, {found.transform}{'' if found.resampled else ', not resampled'}",
            source,
        ]
    )


def _passed_over(passed_over: Sequence[str]) -> Iterable[str]:
    if passed_over:
        title = f"What belongs to no patient: {len(passed_over)} of the source"
        yield f"<details><summary>{title}</summary>{bullet_list(passed_over)}</details>"


def _row(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _registrations(patient: PatientRecord) -> list[RegistrationRecord]:
    return [series.registration for series in patient.series if series.registration]


def _motion(patient: PatientRecord) -> float:
    """The largest of a patient's contrasts, mm; 0 where none was registered."""
    return max((found.motion_mm for found in _registrations(patient)), default=0.0)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
