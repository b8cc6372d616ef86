"""Settings are typed values read from TOML: an unknown key or a wrong type is an error.

Every settings class of the house derives from :class:`Settings`.
"""

import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

from omnisyn.errors import InputError
from omnisyn.paths import open_regular


class Settings(BaseModel):
    """A frozen, validated set of values; keys that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


SettingsType = TypeVar("SettingsType", bound=Settings)


def parse(
    model: type[SettingsType], mapping: Mapping[str, Any], where: object = None
) -> SettingsType:
    """Validate a mapping.

    Raises:
        InputError: a key is unknown (the nearest is offered), missing, or of the wrong type.
    """
    try:
        return model.model_validate(dict(mapping))
    except ValidationError as error:
        faults = error.errors()
        # A misspelt key is also a missing one; its spelling is what helps.
        first = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
        key = ".".join(str(part) for part in first["loc"]) or "(top level)"
        if first["type"] == "extra_forbidden":
            known = _known_keys(model)
            nearest = get_close_matches(str(first["loc"][-1]), known, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(known)}"
            raise InputError(f"unknown key {key!r}", where=where, remedy=hint) from None
        raise InputError(f"{key!r} is not valid", where=where, why=first["msg"]) from None


def load_toml(
    path: Path, model: type[SettingsType], find_base: Callable[[str], Path] | None = None
) -> SettingsType:
    """Read and validate a TOML file.

    Args:
        path: of the file.
        model: what it holds.
        find_base: name → path of another file of this kind. With it, a file that has the key
            `base` says only what differs from the file so named, table by table. It raises
            InputError for a name that it does not know.

    Raises:
        InputError: the file is missing, is not TOML, or does not fit.
    """
    return parse(model, _read_with_base(path, find_base), where=path.name)


def _read_with_base(path: Path, find_base: Callable[[str], Path] | None) -> dict[str, Any]:
    content = read_toml(path)
    if find_base is None or "base" not in content:
        return content
    below = find_base(str(content.pop("base")))
    return merged(_read_with_base(below, find_base), content)


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The base with the changes written over it, table by table."""
    result = dict(base)
    for key, value in changes.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = merged(below, value)
        result[key] = value
    return result


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        InputError: the file is missing or is not TOML.
    """
    try:
        with open_regular(path) as file:
            return tomllib.load(file)
    except OSError as error:
        raise InputError("cannot be read", where=path.name, why=error.strerror) from None
    except (ValueError, RecursionError) as error:
        raise InputError("is not valid TOML", where=path.name, why=str(error)) from None


def dump_toml(settings: Settings) -> str:
    """The settings as TOML text that :func:`load_toml` reads back; None values are left out."""
    return tomli_w.dumps(settings.model_dump(mode="json", exclude_none=True))


def _known_keys(model: type[BaseModel]) -> list[str]:
    """The keys of a settings class and of the classes nested in it."""
    keys: list[str] = []
    for name, field in model.model_fields.items():
        keys.append(name)
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        for candidate in candidates:
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                keys.extend(_known_keys(candidate))
    return keys
