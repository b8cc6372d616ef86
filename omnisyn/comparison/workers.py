"""One process a device: each takes the next job as soon as it is free.

With a single device everything happens in this process.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import queue
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch

from omnisyn.comparison.bench import Bench, Setting
from omnisyn.errors import OmnisynError, ResourceError
from omnisyn.listeners import Note

Job = tuple[str, tuple[Any, ...]]
"""A method of `Bench`, and its arguments."""

_PATIENCE_S = 1.0


@dataclass(frozen=True)
class _Answer:
    number: int
    result: Any = None
    fault: OmnisynError | None = None


def carry_out(
    setting: Setting, devices: Sequence[str], jobs: Sequence[Job], note: Note
) -> list[Any]:
    """Do the jobs; gives their results in the jobs' order.

    Raises:
        OmnisynError: of the first job that failed.
        ResourceError: a process was killed.
    """
    if len(devices) == 1:
        with closing(Bench(setting, devices[0], note)) as bench:
            return [getattr(bench, method)(*arguments) for method, arguments in jobs]
    # Processes on one CPU share its cores, instead of each asking for all of them.
    threads = max(1, torch.get_num_threads() // max(1, list(devices).count("cpu")))
    context = multiprocessing.get_context("spawn")
    waiting, answers, notes = context.Queue(), context.Queue(), context.Queue()
    for entry in (*enumerate(jobs), *[None] * len(devices)):
        waiting.put(entry)
    processes = [
        context.Process(
            target=_work, args=(setting, device, threads, waiting, answers, notes), daemon=True
        )
        for device in devices
    ]
    for process in processes:
        process.start()
    try:
        return _gathered(len(jobs), processes, answers, lambda: _tell(notes, note))
    finally:
        for process in processes:
            # A run in it writes its checkpoint and ends.
            process.terminate()
        for process in processes:
            process.join()
        _tell(notes, note)


def _work(
    setting: Setting, device: str, threads: int, waiting: Any, answers: Any, notes: Any
) -> None:
    torch.set_num_threads(threads)
    end_with_parent()
    with closing(Bench(setting, device, lambda line: notes.put(f"{device}: {line}"))) as bench:
        while (entry := waiting.get()) is not None:
            number, (method, arguments) = entry
            try:
                answers.put(_Answer(number, getattr(bench, method)(*arguments)))
            except OmnisynError as fault:
                answers.put(_Answer(number, fault=fault))
    answers.close()
    answers.join_thread()


def end_with_parent() -> None:
    """See to it that this process ends as by SIGTERM when the one that began it is gone.

    Else it would go on in the folder of a comparison whose command was killed, and hold off the
    next one.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def _gathered(
    count: int, processes: Sequence[Any], answers: Any, listen: Callable[[], None]
) -> list[Any]:
    results: dict[int, Any] = {}
    while len(results) < count:
        listen()
        try:
            answer = answers.get(timeout=_PATIENCE_S)
        except queue.Empty:
            killed = [process for process in processes if process.exitcode not in (None, 0)]
            if killed:
                raise ResourceError(
                    "a process of the comparison ended before its work was done",
                    why=f"exit code {killed[0].exitcode}",
                    remedy="run the command again: it goes on where it stopped",
                ) from None
            continue
        if answer.fault is not None:
            raise answer.fault
        results[answer.number] = answer.result
    return [results[number] for number in range(count)]


def _tell(notes: Any, note: Note) -> None:
    while True:
        try:
            note(notes.get_nowait())
        except queue.Empty:
            return
