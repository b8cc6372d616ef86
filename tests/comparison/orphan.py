"""A worker that does nothing but live, for the test of what ends it."""

import os
import time

from omnisyn.comparison.workers import end_with_parent


def wait_as_a_worker() -> None:
    end_with_parent()
    print(os.getpid(), flush=True)
    time.sleep(120)
