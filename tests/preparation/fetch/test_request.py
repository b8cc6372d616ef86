import socket
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.error import URLError

import pytest

from omnisyn.errors import ResourceError, UsageError
from omnisyn.listeners import unheard
from omnisyn.preparation.fetch import request
from omnisyn.preparation.fetch.request import LONGEST_WAIT, PassingFault, Patience, answer_to
from tests.file_server import FileServer


def test_an_answer_is_read_inside_the_block_and_the_client_is_named(
    server: FileServer, content: bytes
) -> None:
    with answer_to(f"{server.address}/moved/data.zip", {"Range": "bytes=299990-"}) as answer:
        assert (answer.status, answer.read()) == (206, content[-10:])
    assert server.ranges == ["bytes=299990-"]
    assert all(client.startswith("omnisyn/") for client in server.clients)


@pytest.mark.parametrize("status", [408, 416, 425, 429, 500, 502, 503, 504])
def test_these_answers_may_pass(server: FileServer, status: int) -> None:
    server.refusals = [(status, {})]
    with pytest.raises(PassingFault) as fault, answer_to(server.address):
        pass
    assert fault.value.status == status
    assert fault.value.pause is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_these_answers_are_final(server: FileServer, status: int) -> None:
    server.refusals = [(status, {})]
    refused = pytest.raises(ResourceError, match=f"answers {status} .*--from FILE")
    with refused, answer_to(server.address):
        pass


def test_the_pause_is_a_number_or_a_date(server: FileServer) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    past = "Sun, 06 Nov 1994 08:49:37 GMT"
    pauses = []
    for said in ("120", soon, past, "soon"):
        server.refusals = [(503, {"Retry-After": said})]
        with pytest.raises(PassingFault) as fault, answer_to(server.address):
            pass
        pauses.append(fault.value.pause)
    assert pauses == [120, pytest.approx(60, abs=5), 0, None]


def _refusing(monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(request, "urlopen", refuse)


def test_who_is_offline_is_told_so_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _refusing(monkeypatch, URLError(socket.gaierror(-3, "Temporary failure in name resolution")))
    waits: list[float] = []
    patience = Patience("data.zip", 5, waits.append, unheard)
    with pytest.raises(PassingFault) as fault, answer_to("https://zenodo.org/x"):
        pass

    with pytest.raises(ResourceError) as told:
        patience.after(fault.value)

    assert str(told.value) == (
        "data.zip: it could not be fetched (this machine is offline or cannot resolve zenodo.org); "
        "check the network and run it again, or bring the file by hand and give it with --from FILE"
    )
    assert waits == []
    patience.hear(1)
    patience.after(fault.value)  # who was connected a moment ago may be so again
    assert waits == [3]


def test_a_certificate_that_is_not_trusted_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate in certificate chain"
    _refusing(monkeypatch, URLError(error))
    refused = pytest.raises(ResourceError, match=r"not trusted \(self-signed .*SSL_CERT_FILE")
    with refused, answer_to("https://zenodo.org/x"):
        pass


def test_only_http_is_asked(server: FileServer) -> None:
    for address in ("file:///etc/hostname", "ftp://127.0.0.1/x", "data.zip", "http:///x"):
        with pytest.raises(UsageError, match="none of http or https"), answer_to(address):
            pass


def test_patience_grows_is_bounded_and_ends() -> None:
    waits: list[float] = []
    notes: list[str] = []
    patience = Patience("data.zip", 4, waits.append, notes.append)
    patience.after(PassingFault("it broke off"))
    patience.after(PassingFault("it broke off", pause=10_000))
    patience.hear(1000)
    patience.after(PassingFault("it broke off"))
    patience.hear(1000)  # begun anew, and no further than before
    for _ in range(2):
        patience.after(PassingFault("it broke off"))
    with pytest.raises(ResourceError, match="4 times in a row"):
        patience.after(PassingFault("it broke off"))
    assert waits == [3, LONGEST_WAIT, 3, 9, 27]
    assert notes[0] == "data.zip: it broke off; trying again in 3 s"
