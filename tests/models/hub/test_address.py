import pytest

from omnisyn.errors import UsageError
from omnisyn.models.hub.address import HubAddress, is_hub_address, parse_hub_address

HASH = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("hf-hub:org/name", HubAddress("org/name")),
        ("hf-hub:org/na.me-1@v2/x", HubAddress("org/na.me-1", "v2/x")),
        (f"hf-hub:org/name#sha256={HASH}", HubAddress("org/name", sha256=HASH)),
        (f"hf-hub:org/name@v1#sha256={HASH}", HubAddress("org/name", "v1", HASH)),
    ],
)
def test_address_is_split_into_its_parts_and_put_together_again(
    text: str, address: HubAddress
) -> None:
    assert parse_hub_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "hf-hub:name",
        "hf-hub:",
        "hf-hub:a/b/c",
        "hf-hub:a/b@",
        "hf-hub:a/b#",
        "hf-hub:a/b#sha256=12",
        f"hf-hub:a/b#sha256={HASH}0",
        f"hf-hub:a/b#sha256={HASH}@v1",
    ],
)
def test_malformed_address_is_refused(text: str) -> None:
    assert is_hub_address(text)
    with pytest.raises(UsageError, match="no address on the hub"):
        parse_hub_address(text)
