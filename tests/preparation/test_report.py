"""The page of a preparation: what to look at first, self-contained, and of bounded size."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from omnisyn.preparation import report
from omnisyn.preparation.pictures import HISTOGRAMS, picture_file
from omnisyn.preparation.records import PatientRecord, RegistrationRecord, SeriesRecord, SiteRecord
from omnisyn.preparation.report import MOST_OTHERS, report_html, write_report

PNG, SVG = b"\x89PNG of ", b"<svg of "


def patient(
    identifier: str, motion: float = 1.0, *, doubts: tuple[str, ...] = (), **known: object
) -> PatientRecord:
    """With a T1 as reference and a T2 that was registered to it."""
    found = RegistrationRecord(
        to="T1",
        program="sitk",
        transform="rigid",
        file="T2_to_T1.tfm",
        resampled=True,
        motion_mm=motion,
        rotation_degrees=2.25,
        mutual_information_before=0.4,
        mutual_information_after=0.6,
        edge_overlap_before=0.2,
        edge_overlap_after=0.5,
        doubts=doubts,
    )
    one, other = (
        SeriesRecord(
            contrast=name,
            form="DICOM",
            told_by="the words of its description",
            shape=(256, 256, 40),
            spacing_mm=(0.9, 0.9, 4.0),
            orientation="LPS",
            registration=registration,
        )
        for name, registration in (("T1", None), ("T2", found))
    )
    return PatientRecord.model_validate({"identifier": identifier, "series": (one, other), **known})


def site(*patients: PatientRecord, **known: object) -> SiteRecord:
    return SiteRecord.model_validate(
        {
            "site": "hospital-a",
            "simulated": False,
            "version": "0.1.0",
            "options": {"transform": "rigid"},
            "patients": patients,
            **known,
        }
    )


def drawn(patient: str, name: str) -> bytes | None:
    if name == "T1":
        return None
    return (SVG if name == HISTOGRAMS else PNG) + f"{patient} {name}".encode()


def address(identifier: str, name: str) -> str:
    """The picture of `drawn` as it stands in the page."""
    content = drawn(identifier, name)
    assert content is not None
    return report.data_address(content, "image/svg+xml" if name == HISTOGRAMS else "image/png")


def test_failed_patients_come_first_then_flagged_ones_then_the_others() -> None:
    record = site(
        patient("fine"),
        patient("odd", doubts=("moved by 23 mm",)),
        patient("odder", doubts=("moved by 9 mm", "edges overlap less than before")),
        PatientRecord(identifier="lost", failure="the gzip stream is cut short"),
    )
    page = report_html(record, drawn)
    reasons = (
        "lost: the gzip stream is cut short",
        "<h3>odder</h3>",
        "T2: edges overlap less than before",
        "<h3>odd</h3>",
        "T2: moved by 23 mm",
        "<summary>fine: T1, T2, moved up to 1.0 mm</summary>",
    )
    places = [page.index(words) for words in reasons]
    assert places == sorted(places)
    assert "4 patients in the source: <strong>3 in the site</strong>, 1 failed; 2 of" in page


def test_doubts_about_a_patient_flag_it_too() -> None:
    odd = PatientRecord(identifier="p1", doubts=("the mask lies in air",))
    page = report_html(site(odd), drawn)
    assert "<h3>p1</h3>" in page
    assert "the mask lies in air" in page
    assert "<details>" not in page


def test_the_summary_counts_by_contrast() -> None:
    alone = patient("p3")
    record = site(
        patient("p1", 1.0),
        patient("p2", 4.0, doubts=("moved",)),
        PatientRecord(identifier="p3", series=alone.series[:1]),
    )
    page = report_html(record, drawn)

    def row(*cells: str) -> str:
        return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"

    assert row("T1", "3", "0", "0", "0", "–", "–", "0") in page
    assert row("T2", "2", "1", "2", "2", "2.5", "4.0", "1") in page
    assert "FLAIR" not in page


def test_a_patient_is_told_whole() -> None:
    record = site(patient("p1", 3.25, masks=("tumour",), left=("a second T1",)))
    page = report_html(record, drawn)
    for words in (
        "256 × 256 × 40, 0.9 × 0.9 × 4 mm, LPS",
        "the reference",
        "sitk, rigid",
        "0.400 → 0.600",
        "0.20 → 0.50",
        "Masks: tumour.",
        "not taken: a second T1",
        address("p1", "T2"),
        address("p1", HISTOGRAMS),
    ):
        assert words in page


def test_the_page_says_options_definitions_and_research_use() -> None:
    page = report_html(site(patient("p1"), passed_over=("a localizer",)), drawn)
    assert "<dt>transform</dt><dd>rigid</dd>" in page
    assert "Research use only." in page
    assert "<li>a localizer</li>" in page
    for word in ("mutual information (nat)", "edge overlap", "motion (mm)", "doubt"):
        assert f"<dt>{word}</dt>" in page
    assert set(re.findall(r'href="#([^"]+)"', page)) == set(re.findall(r'id="([^"]+)"', page))


@pytest.mark.parametrize("simulated", [True, False])
def test_simulated_is_said_exactly_where_it_is(simulated: bool) -> None:
    page = report_html(site(patient("p1"), simulated=simulated), drawn)
    assert ("SIMULATED DATA" in page) is simulated
    assert ("SIMULATED" in page) is simulated


def test_nothing_is_fetched_and_foreign_words_are_escaped() -> None:
    record = site(patient("p1", doubts=("<script>alert(1)</script>",), left=("<b>",)))
    page = report_html(record, drawn)
    assert "<script" not in page
    assert "<b>" not in page
    assert not re.search(r"https?:|@import|url\(|<link", page)
    assert all(each.startswith("data:image/") for each in re.findall(r'src="([^"]+)"', page))


def test_of_many_patients_all_flagged_ones_and_the_most_moved_others_are_shown() -> None:
    others = [patient(f"p{number:03d}", number / 100) for number in range(300)]
    flagged = [patient(f"odd{number}", doubts=("moved",)) for number in range(30)]
    page = report_html(site(*others, *flagged), drawn)
    shown = [each for each in others if address(each.identifier, "T2") in page]
    assert shown == others[-MOST_OTHERS:]
    assert all(address(each.identifier, "T2") in page for each in flagged)
    assert page.count("(no picture)") == 300 - MOST_OTHERS
    assert f"The {MOST_OTHERS} that had moved most are shown" in page
    assert len(page) < 1_000_000


def test_the_pictures_have_a_bound_and_the_page_says_when_it_is_met(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = site(*(patient(f"odd{number}", doubts=("moved",)) for number in range(5)))
    monkeypatch.setattr(report, "MOST_PICTURE_BYTES", 1_000_000)
    page = report_html(record, lambda patient, name: b"0" * 250_000 if name == "T2" else None)
    assert page.count("<figure>") == 2
    assert "For 3 patients the page has no room for pictures, which have 1 MB in all" in page
    assert all(f"<h3>odd{number}</h3>" in page for number in range(5))


def test_the_page_is_written_beside_the_pictures_that_were_kept(tmp_path: Path) -> None:
    kept: Mapping[str, bytes] = {"T2": PNG, HISTOGRAMS: SVG}
    for name, content in kept.items():
        path = picture_file(tmp_path, "p1", name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    page = write_report(tmp_path, site(patient("p1"), patient("p2")))
    assert page == tmp_path / "report.html"
    text = page.read_text("utf-8")
    assert text.count("<figure>") == 2
    assert report.data_address(PNG) in text
    assert str(tmp_path) not in text


def test_an_empty_site_has_a_page() -> None:
    failed = PatientRecord(identifier="lost", failure="no contrast")
    page = report_html(site(failed), drawn)
    assert "1 patient in the source: <strong>0 in the site</strong>, 1 failed" in page
