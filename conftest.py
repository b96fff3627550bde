"""What holds for every test; what one folder of tests needs stays in that folder's own conftest.py.

Dozens of databases live for seconds here. In memory they cost no waiting for a disk; that processes may be killed
without losing anything acknowledged is shown all the same, because the kernel keeps what they wrote.
"""

import os
import shutil
import tempfile
from pathlib import Path

pytest_plugins = ["tests.needs", "tests.platform", "tests.redis_cluster"]

MEMORY = Path("/dev/shm")  # noqa: S108 why: Linux' folder in memory, used only where there is plenty
ENOUGH = 12 * 2**30
"""Bytes. A whole run uses about half of that."""


def _free() -> int:
    """Bytes that may be written there before memory runs out, of which the folder's own limit says nothing."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    return min(shutil.disk_usage(MEMORY).free, available)


if "TMPDIR" not in os.environ and MEMORY.is_dir() and _free() > ENOUGH:
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None
