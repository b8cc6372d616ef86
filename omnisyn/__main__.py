"""`python -m omnisyn` is the command `omnisyn`."""

import sys

from omnisyn.cli import main

if __name__ == "__main__":
    sys.exit(main())
