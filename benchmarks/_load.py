"""Load from wrk: one thread, a closed loop over given requests for a fixed time. Anything but success is an error."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

SCRIPT = Path(__file__).with_name("_load.lua")
DIVIDER = b"\x1e"


class Answers(NamedTuple):
    """What came back."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float


class LoadFailed(Exception):
    """Some requests did not succeed, so that whatever was measured means nothing."""


def get(path: str) -> bytes:
    """A whole request."""
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()


def patch(path: str, token: str, body: bytes) -> bytes:
    """A whole request with JSON, from somebody who is signed in."""
    head = (
        f"PATCH {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def keep(file: Path, requests: Iterable[bytes]) -> Path:
    """Write requests down for `send`."""
    file.write_bytes(DIVIDER.join(requests))
    return file


def send(url: str, requests: Path, connections: int, seconds: int) -> Answers:
    """Send the requests in turn, over and over. Raises `LoadFailed` unless every one succeeds."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=10s", "-s", str(SCRIPT), url]
    command += ["--", str(requests)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    last = (done.stdout.strip().splitlines() or [""])[-1]
    if done.returncode or not last.startswith("{"):
        raise LoadFailed(f"wrk did not work: {done.stderr.strip() or done.stdout.strip()}")
    said = json.loads(last)
    broken, refused = said.pop("broken"), said.pop("refused")
    if broken or refused or not said["requests"]:
        raise LoadFailed(f"of {said['requests']} requests {refused} were refused and {broken} broke off")
    return Answers(**said)
