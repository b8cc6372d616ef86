import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from omnisyn.errors import InputError
from omnisyn.settings import Settings, dump_toml, load_toml, parse


class Coil(Settings):
    channels: int


class Scanner(Settings):
    vendor: str
    field_tesla: float = 1.5
    coil: Coil | None = None


def test_what_was_dumped_is_loaded_again(tmp_path: Path) -> None:
    path = tmp_path / "scanner.toml"
    for scanner in (Scanner(vendor="A", coil=Coil(channels=8)), Scanner(vendor="B")):
        path.write_text(dump_toml(scanner), encoding="utf-8")
        assert load_toml(path, Scanner) == scanner


@pytest.mark.parametrize(
    ("mapping", "line"),
    [
        ({"vendr": "A"}, r"scanner\.toml: unknown key 'vendr'; did you mean 'vendor'\?"),
        ({"vendor": "A", "coil": {"chanels": 8}}, r"'coil\.chanels'; did you mean 'channels'\?"),
        ({"vendor": "A", "zzz": 1}, "'zzz'; known: vendor, field_tesla, coil, channels"),
        ({"field_tesla": 3}, "'vendor' is not valid .*required"),
        ({"vendor": "A", "field_tesla": "three"}, "'field_tesla' is not valid .*number"),
    ],
)
def test_a_wrong_mapping_is_refused_with_the_key_and_the_nearest_name(
    mapping: dict[str, object], line: str
) -> None:
    with pytest.raises(InputError, match=line):
        parse(Scanner, mapping, where="scanner.toml")


def test_a_file_that_is_missing_or_no_toml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scanner.toml"
    with pytest.raises(InputError, match=r"scanner\.toml: cannot be read \(No such file"):
        load_toml(path, Scanner)
    for content in (b"vendor = ", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"scanner\.toml: is not valid TOML"):
            load_toml(path, Scanner)


def test_settings_cannot_be_changed() -> None:
    scanner = Scanner(vendor="A")
    with pytest.raises(ValidationError, match="frozen"):
        scanner.vendor = "B"  # type: ignore[misc]


def test_a_file_that_is_a_pipe_or_too_deep_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(InputError, match=r"pipe\.toml: cannot be read \(not a regular file"):
        load_toml(tmp_path / "pipe.toml", Scanner)
    path = tmp_path / "scanner.toml"
    for content in ("vendor = " + "[" * 50000 + "]" * 50000, "vendor = " + "9" * 5000):
        path.write_text(content)
        with pytest.raises(InputError, match=r"scanner\.toml: is not valid TOML"):
            load_toml(path, Scanner)


def test_a_file_says_only_what_differs_from_its_base(tmp_path: Path) -> None:
    (tmp_path / "first.toml").write_text('vendor = "A"\nfield_tesla = 1.5\n[coil]\nchannels = 8\n')
    (tmp_path / "second.toml").write_text('base = "first"\nfield_tesla = 3.0\n')
    (tmp_path / "third.toml").write_text('base = "second"\nvendor = "C"\n')

    def find(name: str) -> Path:
        return tmp_path / f"{name}.toml"

    third = load_toml(tmp_path / "third.toml", Scanner, find)
    assert third == Scanner(vendor="C", field_tesla=3.0, coil=Coil(channels=8))
    with pytest.raises(InputError, match="unknown key 'base'"):
        load_toml(tmp_path / "third.toml", Scanner)
