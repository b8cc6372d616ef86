"""`python -m benchmarks [NAME …]`: every table, or only those named."""

import sys

from benchmarks import files, help_time, slices, synthesis, training
from benchmarks.machine import describe_machine
from benchmarks.table import print_table

TABLES = {
    "help": ("Help, CPU seconds", help_time.rows),
    "files": ("Volumes read and written, beside other libraries", files.rows),
    "slices": ("One slice, both recipes", slices.rows),
    "synthesis": ("A volume, shipped weights", synthesis.rows),
    "training": ("Training steps, both recipes", training.rows),
}


def main() -> None:
    """Run the tables that are asked for."""
    names = sys.argv[1:] or list(TABLES)
    unknown = sorted(set(names) - set(TABLES))
    if unknown:
        sys.exit(f"no benchmark named {', '.join(unknown)}; there are {', '.join(TABLES)}")
    print(describe_machine())
    for name in names:
        title, rows = TABLES[name]
        print_table(title, rows())


if __name__ == "__main__":
    main()
