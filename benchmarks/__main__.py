"""`python -m benchmarks [NAME …]`: every table, or only those named.

Those that need data take options of their own (see their `--help`): `real`, `real-curves`,
`realism`, `adaptation`, `uncertainty`, `familiarity`, `embedding`, `protocols`,
`simulation` and `registration`.
"""

import sys

from benchmarks import (
    adaptation,
    embedding,
    familiarity,
    files,
    help_time,
    protocols,
    realism,
    registration,
    simulation,
    slices,
    synthesis,
    training,
    uncertainty,
)
from benchmarks.machine import describe_machine
from benchmarks.real import command as real
from benchmarks.real import curves as real_curves
from benchmarks.table import print_table

TABLES = {
    "help": ("Help, CPU seconds", help_time.rows),
    "files": ("Volumes read and written, beside other libraries", files.rows),
    "slices": ("One slice, both recipes", slices.rows),
    "synthesis": ("A volume, shipped weights", synthesis.rows),
    "training": ("Training steps, both recipes", training.rows),
}
COMMANDS = {
    "real": real.main,
    "real-curves": real_curves.main,
    "realism": realism.main,
    "adaptation": adaptation.main,
    "uncertainty": uncertainty.main,
    "familiarity": familiarity.main,
    "embedding": embedding.main,
    "protocols": protocols.main,
    "simulation": simulation.main,
    "registration": registration.main,
}


def main() -> None:
    """Run the tables or the command that are asked for."""
    if sys.argv[1:2] and sys.argv[1] in COMMANDS:
        COMMANDS[sys.argv[1]](sys.argv[2:])
        return
    names = sys.argv[1:] or list(TABLES)
    unknown = sorted(set(names) - set(TABLES))
    if unknown:
        sys.exit(
            f"no benchmark named {', '.join(unknown)}; there are {', '.join([*TABLES, *COMMANDS])}"
        )
    print(describe_machine())
    for name in names:
        title, rows = TABLES[name]
        print_table(title, rows())


if __name__ == "__main__":
    main()
