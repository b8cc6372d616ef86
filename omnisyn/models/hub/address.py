"""Addresses on the Hugging Face hub: `hf-hub:ORG/NAME[@REVISION][#sha256=HASH]`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from omnisyn.errors import UsageError

PREFIX = "hf-hub:"

_ADDRESS = re.compile(
    r"hf-hub:(?P<repository>[\w.-]+/[\w.-]+)"
    r"(?:@(?P<revision>[\w./-]+))?"
    r"(?:#sha256=(?P<sha256>[0-9a-f]{64}))?"
)


@dataclass(frozen=True)
class HubAddress:
    """What an address means; as a text it is the address again."""

    repository: str
    """ORG/NAME."""
    revision: str | None = None
    """Branch, tag or commit; None is the newest."""
    sha256: str | None = None
    """Hash that the weights' file must have."""

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        pin = f"#sha256={self.sha256}" if self.sha256 else ""
        return f"{PREFIX}{self.repository}{revision}{pin}"


def is_hub_address(text: str) -> bool:
    """Whether `text` means a model on the hub."""
    return text.startswith(PREFIX)


def parse_hub_address(text: str) -> HubAddress:
    """Raises UsageError when `text` is no address."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!r} is no address on the hub",
            remedy="write hf-hub:ORG/NAME, then @REVISION and #sha256=HASH (64 digits) if you want",
        )
    return HubAddress(**match.groupdict())
