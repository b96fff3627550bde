"""One connection to a server, and what is under way on it: an exchange at a time.

An answer that says it is short is handed over when it is complete; a longer one is read piece by piece, and not faster
than it is taken. Once more came than was asked for, or less than was said, the connection is not used again.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Protocol, cast

import httptools

from commonry.kit.http.messages import Fault, Origin, RawHeaders, Request

TAKEN_WHOLE = 64 * 1024
"""A body that says it is no longer than this is waited for."""
HIGH_WATER = 256 * 1024
LONGEST_HEAD = 64 * 1024
_NEVER = float("inf")
LONGEST_UPLOAD = 300.0
"""Seconds a request's body may take, however steadily it comes."""


class Home(Protocol):
    """Where connections belong: told what becomes of them."""

    origin: Origin
    busy: "set[Connection]"
    heard_at: float

    def take_back(self, connection: "Connection") -> None: ...
    def gone(self, connection: "Connection") -> None: ...


class Answered:
    """An answer: its head is there; `whole` is its body if that is too, else take `pieces`."""

    __slots__ = ("_connection", "headers", "status", "whole")

    def __init__(self, status: int, headers: RawHeaders, whole: bytes | None, connection: "Connection") -> None:
        self.status, self.headers, self.whole, self._connection = status, headers, whole, connection

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises `Fault` when it breaks off."""
        if self.whole is not None:
            yield self.whole
            return
        async for piece in self._connection.body():
            yield piece

    async def read(self) -> bytes:
        """All of the body."""
        return self.whole if self.whole is not None else b"".join([piece async for piece in self.pieces()])

    def abandon(self) -> None:
        """Nobody wants the rest: the connection is closed."""
        if self.whole is None:
            self._connection.break_off("abandoned")


Teller = Callable[[Answered | Fault], None]


def _settle(waiter: asyncio.Future[Answered], outcome: Answered | Fault) -> None:
    if waiter.done():
        return
    if isinstance(outcome, Fault):
        waiter.set_exception(outcome)
    else:
        waiter.set_result(outcome)


class Connection(asyncio.Protocol):
    """One connection, one exchange at a time."""

    def __init__(self, pool: Home) -> None:
        self._pool = pool
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._loop: asyncio.AbstractEventLoop = cast(asyncio.AbstractEventLoop, None)
        self._parser = httptools.HttpResponseParser(self)
        self._tell: Teller | None = None
        self._more: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._headers: RawHeaders = []
        self._pieces: deque[bytes] = deque()
        self._waiting, self._size, self._patience = 0, 0, 0.0
        self._head_done = self._done = self._until_close = self._comes_whole = self._is_answering = False
        self._status = 0
        self._is_paused = self._sending = self._soiled = False
        self.trouble: Fault | None = None
        self.reused = self.busy = False
        self.repeatable = False
        self.deadline = self.idle_since = 0.0

    # what the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._loop = asyncio.get_running_loop()  # asking for it each time is a call of the system
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._pool.heard_at = time.monotonic()
        if not self.busy:
            self._transport.abort()  # nobody asked: whatever this is, it is not for the next one who does
            return
        self._is_answering = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as e:
            self._soiled = True
            if not self._done:
                self.break_off(f"speaks no HTTP: {e}")
                return
        if self._head_done and self._tell is not None:
            if self._done or not self._comes_whole:
                self._answer()
        elif self._more is not None and not self._more.done():
            self._more.set_result(None)
        elif not self._head_done:
            self._size += len(data)
            if self._size > LONGEST_HEAD:
                self.break_off("has an endless head")

    def connection_lost(self, exc: Exception | None) -> None:
        if self.busy and self._head_done and self._until_close and exc is None:
            self.on_message_complete()
            if self._tell is not None:
                self._answer()
            elif self._more is not None and not self._more.done():
                self._more.set_result(None)
        self.break_off(
            f"closed the connection{f': {exc}' if exc else ''}", stale=self.reused and not self._is_answering
        )
        self._pool.gone(self)

    def pause_writing(self) -> None:
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    # what the parser tells

    def on_message_begin(self) -> None:
        if self._done:  # perhaps only the beginning of one: the next answer would be read as its end
            raise ValueError("more than one answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head_done:  # else it is a trailer
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._status = status = self._parser.get_status_code()
        if status < 200:
            return
        self._head_done = True
        if not self._parser.should_keep_alive():
            self._soiled = True
        self._until_close = status not in (204, 304)
        for name, value in self._headers:
            if name == b"content-length":
                self._until_close, self._comes_whole = False, int(value) <= TAKEN_WHOLE
            elif name == b"transfer-encoding":
                self._until_close = False

    def on_body(self, data: bytes) -> None:
        self._pieces.append(data)
        self._waiting += len(data)
        if self._waiting > HIGH_WATER and self._tell is None and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._head_done:
            self._done = True
        else:  # 1xx: only a sign of life
            self._headers = []

    # what whoever asks does

    @property
    def is_unanswered(self) -> bool:
        """Whether somebody waits for the head of an answer."""
        return self._tell is not None

    @property
    def is_closing(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._transport.is_closing()

    async def ask(self, request: Request, deadline: float) -> Answered:
        """Send and wait for the answer's head until `deadline` (of `time.monotonic`). Raises `Fault`."""
        waiter: asyncio.Future[Answered] = self._loop.create_future()
        self.begin(request, deadline, partial(_settle, waiter))
        return await waiter if isinstance(request.body, bytes) else await self._upload(request, request.body, waiter)

    def begin(self, request: Request, deadline: float, tell: Teller) -> None:
        """Send, and `tell` once: the answer, when its head is there, or the fault. A streamed body is not sent yet."""
        self._patience, body = request.patience, request.body
        start = b""
        if isinstance(body, bytes):
            start = self._start(request, len(body) if body or request.length == 0 else None) + body
        self.send(start, deadline, tell, repeatable=request.repeatable)

    def send(self, start: bytes, deadline: float, tell: Teller, *, repeatable: bool) -> None:
        """Send these bytes, all of a request or nothing of it yet, and `tell` what comes of it."""
        self.busy, self.deadline, self.repeatable, self._tell = True, deadline, repeatable, tell
        self._headers, self._size, self._waiting = [], 0, 0
        self._head_done = self._done = self._comes_whole = self._is_answering = False
        self._pool.busy.add(self)
        if start:
            self._transport.write(start)

    def _start(self, request: Request, length: int | None) -> bytes:
        origin = self._pool.origin
        said = b"" if length is None else b"content-length: %d\r\n" % length
        return b"%b %b%b HTTP/1.1\r\nhost: %b\r\n%b%b\r\n" % (
            request.method,
            origin.prefix,
            request.target,
            origin.authority,
            request.fields,
            said,
        )

    async def _upload(
        self, request: Request, pieces: AsyncIterator[bytes], waiter: asyncio.Future[Answered]
    ) -> Answered:
        sender = asyncio.ensure_future(self._send(request, pieces))
        self._sending = True
        try:
            await asyncio.wait((waiter, sender), return_when=asyncio.FIRST_COMPLETED)
            if not waiter.done():
                sender.result()
            return await waiter
        except BaseException:  # why: also when called off, half a request must not stay on the wire; it is raised again
            self.break_off("the request was not sent whole")
            if waiter.done() and not waiter.cancelled():
                waiter.exception()
            raise
        finally:
            if not sender.cancel() and not sender.cancelled():  # answered before all was read, which is its right
                sender.exception()

    async def _send(self, request: Request, pieces: AsyncIterator[bytes]) -> None:
        chunked, last = request.length is None, time.monotonic() + LONGEST_UPLOAD
        start = self._start(request, request.length)
        self._transport.write(start[:-2] + b"transfer-encoding: chunked\r\n\r\n" if chunked else start)
        async for piece in pieces:
            if piece:
                self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                self.deadline = min(max(self.deadline, time.monotonic() + request.patience), last)
            if self._drained is not None:
                await self._drained
        if chunked:
            self._transport.write(b"0\r\n\r\n")
        self._sending = False

    async def body(self) -> AsyncIterator[bytes]:
        """The pieces of a body that did not come at once."""
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._waiting -= len(piece)
                if self._is_paused and self._waiting < HIGH_WATER // 2:
                    self._is_paused = False
                    self._transport.resume_reading()
                yield piece
            if self._done:
                self._leave()
                return
            if self.trouble:
                raise self.trouble
            self._more = self._loop.create_future()
            self.deadline = time.monotonic() + self._patience
            await self._more
            self.deadline = _NEVER

    def _answer(self) -> None:
        tell, self._tell = self._tell, None
        whole = None
        if self._done:
            whole = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces.clear()
            self._leave()
        else:
            self.deadline = _NEVER  # from here on it is the reader's pace that counts
        if tell is not None:
            tell(Answered(self._status, self._headers, whole, self))

    def _leave(self) -> None:
        """The exchange is over. Serve another, if nothing speaks against it."""
        spent = self._until_close or self._sending or self._soiled or self._transport.is_closing()
        self.busy = False
        self._pool.busy.discard(self)
        if spent:
            self._transport.close()
        else:
            self._pool.take_back(self)

    def break_off(self, why: str, *, stale: bool = False) -> None:
        """End the exchange, if there is one, and the connection."""
        self._pool.busy.discard(self)
        self._transport.abort()
        if not self.busy or self._done:
            self.busy = False
            return
        self.busy = False
        self.trouble = Fault(f"{self._pool.origin.authority.decode()} {why}", stale=stale)
        tell, self._tell = self._tell, None
        if tell is not None:
            tell(self.trouble)
        if self._more is not None and not self._more.done():
            self._more.set_result(None)
        self.resume_writing()
