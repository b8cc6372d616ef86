import os
import signal

import pytest

from omnisyn.training.signals import StopRequests


def test_sigterm_is_a_request_and_leaves_with_143() -> None:
    with StopRequests(lambda: None) as stop:
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
        with pytest.raises(SystemExit) as left:
            stop.leave()
    assert left.value.code == 143


def test_first_interrupt_is_a_request_and_the_second_interrupts() -> None:
    with StopRequests(lambda: None) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            stop.leave()


def test_request_is_heard_at_once_and_only_once() -> None:
    heard: list[str] = []
    with StopRequests(lambda: heard.append("stop")):
        os.kill(os.getpid(), signal.SIGINT)
        assert heard == ["stop"]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert heard == ["stop"]


def test_handlers_return_to_what_they_were() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopRequests(lambda: None):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
