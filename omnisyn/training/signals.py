"""SIGTERM and Ctrl-C as a request that the loop answers between two steps."""

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn


class StopRequests:
    """Inside the block, SIGTERM and the first Ctrl-C only set `requested` and call `heard`, which
    must return at once.

    A second Ctrl-C interrupts at once. Outside the main thread, where Python allows no handlers,
    nothing is changed.
    """

    def __init__(self, heard: Callable[[], None]) -> None:
        self._heard = heard
        self._received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether one of the signals has come."""
        return self._received is not None

    def __enter__(self) -> "StopRequests":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._received == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = signal.Signals(number)
        self._heard()

    def leave(self) -> NoReturn:
        """End the way the signal asks for.

        Raises:
            KeyboardInterrupt: after Ctrl-C.
            SystemExit: 143, after SIGTERM (also where another process received it).
        """
        if self._received == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + signal.SIGTERM)
