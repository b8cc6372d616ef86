"""CPU seconds until `omnisyn --help` and every `omnisyn COMMAND --help` have answered."""

import resource

from benchmarks.machine import run_omnisyn
from benchmarks.table import Row
from omnisyn.cli.verbs import VERBS

_REPEATS = 3
LIMIT_S = 0.3


def _cpu_seconds(arguments: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run_omnisyn(*arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def rows() -> list[Row]:
    """The least of a few runs for every command."""
    commands = [[], *([name] for name in VERBS)]
    found = []
    for command in commands:
        seconds = min(_cpu_seconds([*command, "--help"]) for _ in range(_REPEATS))
        name = " ".join(["omnisyn", *command, "--help"])
        found.append(Row(f"`{name}`", seconds, "s CPU", f"limit {LIMIT_S} s"))
    return found
