"""P7: a body of any size passes through the gateway, and none of it stays there.

A gateway in a process of its own before a service that counts what it gets and pours what it is asked for; both are
watched while 1 GiB goes through, at full speed and at the pace of whoever is slow. This file is also that service.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from commonry.kit.asgi import answer, json_reply
from tests.platform import OWNERS, Process, free_port

pytestmark = pytest.mark.timeout(300)
GIB, MIB = 2**30, 2**20
GROWTH = 20 * MIB
PIECE = bytes(256 * 1024)
PAUSES, PAUSE = 8, 0.25
"""How often a slow side stops, and for how many seconds."""


class Through(NamedTuple):
    """A gateway, and the service behind it."""

    gateway: Process
    service: Process


@pytest.fixture(scope="module")
def through(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Through]:
    folder = tmp_path_factory.mktemp("uploads")
    ours = {k: v for k, v in os.environ.items() if not k.startswith("COMMONRY_")}
    behind = _process("service", ["uvicorn", f"{__name__}:sink", "--log-level", "error", "--port"], ours, folder)
    urls = {f"COMMONRY_{name.upper()}_URL": behind.url for name in OWNERS}
    told = ours | urls | {"COMMONRY_MAX_BODY": str(2 * GIB), "COMMONRY_SERVICE_TOKEN": "a token for this test"}
    gateway = _process("gateway", ["commonry", "serve", "gateway", "--port"], told, folder)
    both = Through(gateway, behind)
    try:
        for process in (behind, gateway):  # in this order, or the gateway leaves the service alone for a moment
            process.start()
            process.wait()
        yield both
    finally:
        for process in both:
            process.kill()


def _process(name: str, command: list[str], env: dict[str, str], folder: Path) -> Process:
    port = free_port()
    whole = [sys.executable, "-m", *command, str(port)]
    return Process(name, whole, env, folder / f"{name}.out", f"http://127.0.0.1:{port}")


class Watch:
    """A process's memory while the block lasts: `growth` is the most it had above what it began with."""

    def __init__(self, process: Process) -> None:
        assert process.running is not None
        self._process, self.growth = psutil.Process(process.running.pid), 0

    async def __aenter__(self) -> "Watch":
        self._first, self._began = self._process.memory_info().rss, time.monotonic()
        self._task = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        self.seconds = time.monotonic() - self._began

    async def _look(self) -> None:
        while True:
            self.growth = max(self.growth, self._process.memory_info().rss - self._first)
            await asyncio.sleep(0.02)


async def connected(process: Process) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(process.url.rpartition(":")[2]))


async def upload(process: Process, size: int, pace: str, *, chunked: bool = False) -> bytes:
    """Send so many bytes; the answer's body."""
    reader, writer = await connected(process)
    framing = "transfer-encoding: chunked" if chunked else f"content-length: {size}"
    writer.write(f"POST /api/v1/items?pace={pace} HTTP/1.1\r\nhost: test\r\n{framing}\r\n\r\n".encode())
    for _ in range(size // len(PIECE)):
        if chunked:
            writer.write(b"%x\r\n" % len(PIECE))
        writer.write(PIECE)
        if chunked:
            writer.write(b"\r\n")
        await writer.drain()
    if chunked:
        writer.write(b"0\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head + await reader.read(1000)
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    body = await reader.readexactly(int(length.split(b":")[1]))
    writer.close()
    return body


async def download(process: Process, size: int, *, slowly: bool) -> int:
    """Ask for so many bytes; how many came."""
    reader, writer = await connected(process)
    writer.write(f"GET /api/v1/items?size={size} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    assert b"content-length" in head.lower()
    came, pauses = 0, 0
    while piece := await reader.read(2**20):
        came += len(piece)
        if slowly and pauses < PAUSES and came > size // (2 * PAUSES) * pauses:
            pauses += 1
            await asyncio.sleep(PAUSE)
    writer.close()
    return came


async def test_1_gib_goes_up_and_the_gateway_does_not_grow(through: Through) -> None:
    """1 GB streamed to a sink does not grow the gateway by more than 20 MiB."""
    await upload(through.gateway, 64 * MIB, "full")  # whatever is made once is made
    async with Watch(through.gateway) as watched:
        body = await upload(through.gateway, GIB, "full")
    print(f"{GIB / MIB / watched.seconds:.0f} MiB/s, {watched.growth / MIB:.1f} MiB more")
    assert body == b'{"size":%d}' % GIB
    assert watched.growth < GROWTH


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_service_that_reads_slowly_slows_the_client_down(through: Through, *, chunked: bool) -> None:
    """The same while the sink stops reading again and again, with a length and in chunks."""
    size = GIB if not chunked else GIB // 4
    async with Watch(through.gateway) as watched:
        body = await upload(through.gateway, size, "slow", chunked=chunked)
    print(f"{size / MIB / watched.seconds:.0f} MiB/s, {watched.growth / MIB:.1f} MiB more")
    assert body == b'{"size":%d}' % size
    assert watched.seconds > PAUSES * PAUSE, "the sink did stop"
    assert watched.growth < GROWTH


@pytest.mark.parametrize("slowly", [False, True])
async def test_1_gib_comes_down_and_the_gateway_does_not_grow(through: Through, *, slowly: bool) -> None:
    """An answer of the same size, at full speed and to a client who stops reading now and then: no more than 20 MiB."""
    async with Watch(through.gateway) as watched, Watch(through.service) as service:
        came = await download(through.gateway, GIB, slowly=slowly)
    print(f"{GIB / MIB / watched.seconds:.0f} MiB/s, {watched.growth / MIB:.1f} MiB more, {service.growth / MIB:.1f}")
    assert came == GIB
    assert watched.growth < GROWTH


async def test_what_is_held_would_be_seen(through: Through) -> None:
    """The negative control: a service that keeps what it gets grows, and is seen to."""
    async with Watch(through.service) as watched:
        await upload(through.gateway, 64 * MIB, "kept")
    assert watched.growth > 2 * GROWTH


async def sink(scope: Any, receive: Any, send: Any) -> None:
    """The service: counts what is sent to it, gives as much as it is asked for, is otherwise well."""
    query = dict(part.split("=") for part in scope["query_string"].decode().split("&") if part)
    if scope["method"] == "POST":
        size, pauses, more = 0, 0, True
        kept: list[bytes] = []
        while more:
            message = await receive()
            if query["pace"] == "kept":
                kept.append(message["body"])
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
            if query["pace"] == "slow" and pauses < PAUSES and size > 16 * MIB * pauses:
                pauses += 1
                await asyncio.sleep(PAUSE)
        await answer(send, json_reply({"size": size}))
        return
    if "size" not in query:
        await answer(send, json_reply({"status": "ok"}))
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", query["size"].encode())]})
    async for piece in _poured(int(query["size"])):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _poured(size: int) -> AsyncIterator[bytes]:
    while size > 0:
        yield PIECE[:size]
        size -= len(PIECE)
