"""A TCP proxy that goes wrong on demand, in a thread of its own: slow, silent, refusing, resetting, cutting off.

It passes bytes on and understands only so much of them that it can say which requests came, and when the first answer
did. While it is a `hole`, connections are taken and nothing passes in either direction; what was sent before arrives
after, as with TCP over a line that was dead for a while, unless the sender has given up.
"""

import asyncio
import re
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, Literal, NamedTuple, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
Mode = Literal["pass", "hole", "refuse", "reset"]
_REQUEST = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.1\r\n")
_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: close with a reset."""


class Seen(NamedTuple):
    """A request that reached the server, or the beginning of its answer, which comes back."""

    at: float
    what: str
    is_answer: bool


class Proxy:
    """Stands before the server at `url`."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        self._mode: Mode = "pass"
        self.latency = 0.0
        """Seconds that every piece takes, there and back."""
        self.connections = 0
        self.seen: list[Seen] = []
        self._open: set[asyncio.StreamWriter] = set()
        self._loop, self._passing = asyncio.new_event_loop(), asyncio.Event()
        self._passing.set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._done(asyncio.start_server(self._connected, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def become(self, mode: Mode) -> None:
        """Behave like this from now on, also to connections there are."""
        self._done(self._become(mode))

    def cut(self) -> None:
        """End every connection with a reset."""
        self._loop.call_soon_threadsafe(self._cut)

    def requests(self, since: float, until: float) -> list[str]:
        """What was sent between these instants of `time.monotonic`, and reached the server then or later."""
        return [s.what for s in self.seen if since <= s.at < until and not s.is_answer]

    def answered(self, since: float, what: str) -> float:
        """When the first answer to this request after that instant began; infinite if none did."""
        return min((s.at for s in self.seen if s.at >= since and s.is_answer and s.what == what), default=float("inf"))

    def end(self) -> None:
        self._done(self._become("refuse"))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _done(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _become(self, mode: Mode) -> None:
        self._mode = mode
        self._passing.clear() if mode == "hole" else self._passing.set()
        if mode in ("refuse", "reset"):
            self._cut()
        if mode == "refuse":
            self._server.close()
        elif not self._server.is_serving():
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    def _cut(self) -> None:
        for writer in list(self._open):
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        came = monotonic()
        with suppress(OSError):
            if self._mode == "reset":
                self._cut()
                return
            await self._passing.wait()
            there, back = await asyncio.open_connection(*self._target)
            self._open.add(back)
            asked, waited = [""], monotonic() - came  # what comes first came with the connection, and waited as long
            await asyncio.gather(
                self._pumped(reader, back, writer, asked, waited), self._pumped(there, writer, back, asked, 0.0)
            )
        self._open.discard(writer)
        writer.transport.abort()

    async def _pumped(
        self,
        reader: asyncio.StreamReader,
        to: asyncio.StreamWriter,
        behind: asyncio.StreamWriter,
        asked: list[str],
        waited: float,
    ) -> None:
        """Pass on what comes until it ends; then so does the other direction. The first piece `waited` seconds."""
        try:
            while piece := await reader.read(2**16):
                sent, waited = monotonic() - waited, 0.0
                await asyncio.sleep(self.latency)
                await self._passing.wait()
                if behind.is_closing() or reader.at_eof():
                    break  # whoever sent this has left meanwhile
                self._note(piece, asked, sent)
                to.write(piece)
                await to.drain()
        finally:
            self._open.discard(to)
            to.close()

    def _note(self, piece: bytes, asked: list[str], sent: float) -> None:
        """See a request, or an answer to what was asked last on this connection."""
        if found := _REQUEST.match(piece):
            asked[0] = f"{found[1].decode()} {found[2].decode()}"
            self.seen.append(Seen(sent, asked[0], is_answer=False))
        elif piece.startswith(b"HTTP/1.1 "):
            self.seen.append(Seen(monotonic(), asked[0], is_answer=True))


@contextmanager
def before(url: str) -> Iterator[Proxy]:
    """A proxy for as long as the block lasts."""
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.end()
