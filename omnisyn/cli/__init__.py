"""The command line: one thin file per command, each parse → call `omnisyn.api` → print.

Nothing here, and nothing imported at the top of these files, may import numpy, torch or any other
heavy library: `omnisyn COMMAND --help` answers before any of them would have loaded.
"""

from omnisyn.cli.entry import main

__all__ = ["main"]
