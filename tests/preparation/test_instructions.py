"""prepare.toml: what is said is known, and what cannot be meant is refused."""

from pathlib import Path

import pytest

from omnisyn.errors import InputError
from omnisyn.preparation.instructions import Instructions, read_instructions


def test_the_first_pattern_that_fits_counts_whatever_the_case():
    said = Instructions(contrasts={"*POST*": "CE-T1", "*t1*": "T1", "*scout*": "none"}).said
    assert said(["Ax T1 post"]) == "T1c"
    assert said(["folder/x", "AX T1"]) == "T1"
    assert said(["Scout"]) == "none"
    assert said(["T2"]) is None


def test_a_source_without_the_file_has_no_instructions(tmp_path: Path):
    assert read_instructions(tmp_path) == Instructions()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[contrasts]\n"*a*" = "T9"', "unknown contrast 'T9'"),
        ('[sites.a]\nfolder = "gone"', "site a has no folder gone"),
        ('[sites.a]\nfolder = "../x"', "lies below the source"),
        ('[sites.a]\nfolder = "a"\nrole = "friend"', "role"),
        ("[pictures]\nspacing_mm = [0, 1, 1]", "spacing_mm"),
        ("[picture]", "did you mean 'pictures'"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, fault: str):
    (tmp_path / "a").mkdir()
    (tmp_path / "prepare.toml").write_text(text)
    with pytest.raises(InputError, match=fault):
        read_instructions(tmp_path)
