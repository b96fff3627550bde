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
ENOUGH = 4 * 2**30

if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH:
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None
