"""Processes that run while something is measured, and how much processor time they have used.

Every process ends with this one, however this one ends.
"""

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1
LONGEST_START = 30.0


@contextmanager
def running(
    command: list[str], output: Path, *, port: int, says: str = "", env: Mapping[str, str] | None = None
) -> Iterator[int]:
    """A process that listens on a loopback port, ready when its output holds `says`; its pid."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("COMMONRY_")}
    with output.open("wb") as written:
        process = subprocess.Popen(
            command,
            env=ours | dict(env or {}),
            stdout=written,
            stderr=written,
            preexec_fn=_ending_with_us,  # noqa: PLW1509 why: it calls one function of libc
        )
    try:
        _await_ready(process, output, port, says)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(process: "subprocess.Popen[bytes]", output: Path, port: int, says: str) -> None:
    deadline = time.monotonic() + LONGEST_START
    while process.poll() is None and time.monotonic() < deadline:
        if _listens(port) and says in output.read_text(errors="replace"):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args} does not start:\n{output.read_text(errors='replace')[-2000:]}")


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def free_port() -> int:
    """A port nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time these processes and all below them have used, those that have ended included."""
    total = 0.0
    for pid in pids:
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])  # user, system, and the same of children that have ended
    return total


def _ending_with_us() -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
