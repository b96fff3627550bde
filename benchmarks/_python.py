"""Which Python runs what is measured: the system's, as nginx and HAProxy are the system's, where it is of our version.

Distributions build Python with profile-guided optimisation, as the official images do; a version manager often does
not, which costs a third. `BENCH_PYTHON=own` measures the environment's own.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
TRY = "import sys, uvloop, httptools, msgspec, commonry; print(sys.version.split()[0], sys.version_info[:2])"


class Python(NamedTuple):
    """A program, what it must be told to find our packages, and how to name it in the results."""

    program: str
    env: dict[str, str]
    name: str


@cache
def python() -> Python:
    """The system's, if it is of our version and runs our packages; else the environment's."""
    own = Python(sys.executable, {}, f"{sys.version.split()[0]}, the environment's")
    system = shutil.which("python3", path="/usr/bin:/bin")
    if system is None or os.environ.get("BENCH_PYTHON") == "own":
        return own
    env = {"PYTHONPATH": os.pathsep.join([sysconfig.get_path("purelib"), str(ROOT / "src"), str(ROOT)])}
    tried = subprocess.run([system, "-c", TRY], env=os.environ | env, capture_output=True, text=True, check=False)
    version, _, minor = tried.stdout.strip().partition(" ")
    return Python(system, env, f"{version}, the system's") if minor == str(sys.version_info[:2]) else own
