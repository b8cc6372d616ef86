"""`python -m benchmarks [NAME …] [--data ROOT]`: every table, or only those named."""

import argparse
import sys
from pathlib import Path

from benchmarks import familiarity, files, help_time, slices, synthesis, training, uncertainty
from benchmarks.machine import describe_machine
from benchmarks.table import print_table

TABLES = {
    "help": ("Help, CPU seconds", help_time.rows),
    "files": ("Volumes read and written, beside other libraries", files.rows),
    "slices": ("One slice, both recipes", slices.rows),
    "synthesis": ("A volume, shipped weights", synthesis.rows),
    "training": ("Training steps, both recipes", training.rows),
}
# They need patients whose truth is known, and say nothing about speed: only when they are named.
TABLES_OF_DATA = {
    "uncertainty": ("Signs of uncertainty, how they order the errors", uncertainty.rows),
    "familiarity": ("Foreign images noticed, and false alarms", familiarity.rows),
}


def main() -> None:
    """Run the tables that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--data", type=Path, help="folder of patients with known truth")
    options = parser.parse_args()
    names = options.names or list(TABLES)
    unknown = sorted(set(names) - set(TABLES) - set(TABLES_OF_DATA))
    if unknown:
        known = ", ".join([*TABLES, *TABLES_OF_DATA])
        sys.exit(f"no benchmark named {', '.join(unknown)}; there are {known}")
    print(describe_machine())
    for name in names:
        if name in TABLES:
            title, rows = TABLES[name]
            print_table(title, rows())
        else:
            title, rows_of = TABLES_OF_DATA[name]
            print_table(title, rows_of(options.data))


if __name__ == "__main__":
    main()
