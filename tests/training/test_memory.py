import subprocess
import sys

import pytest


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_freed_memory_is_kept() -> None:
    # In a process of its own: the setting stays for the life of a process.
    program = (
        "import ctypes, resource\n"
        "from omnisyn.training.memory import keep_freed_memory\n"
        "def faults():\n"
        "    library = ctypes.CDLL(None)\n"
        "    library.malloc.restype = ctypes.c_void_p\n"
        "    library.free.argtypes = [ctypes.c_void_p]\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(20):\n"
        "        block = library.malloc(8 << 20)\n"
        "        ctypes.memset(ctypes.c_void_p(block), 1, 8 << 20)\n"
        "        library.free(block)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "if keep_freed_memory():\n"
        "    faults()\n"
        "    print(faults())\n"
        "else:\n"
        "    print('other C library')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    said = result.stdout.strip()
    assert said == "other C library" or int(said) < 2048
