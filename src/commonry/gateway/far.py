"""A service in other processes: HTTP to one of its replicas, both bodies streamed at the slower side's pace.

Which replica, and whether another is tried, is `kit.replicas`' business; here it is said what may be repeated: reading,
and what carries an Idempotency-Key. A client that goes away takes its request at the service with it.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator

from commonry.gateway.edge import CANCELS, HOP_BY_HOP_BACK, too_late
from commonry.gateway.heads import Head, and_named
from commonry.kit import deadlines
from commonry.kit.asgi import Message, RawHeaders, Receive, Scope, Send
from commonry.kit.http.connection import Answered, Teller
from commonry.kit.http.messages import Fault, Request, lines
from commonry.kit.peers import Far
from commonry.kit.problems import Problem, Unavailable
from commonry.kit.replica import Begun

BEGUN = "begun"
"""In a scope: what a service has answered to it already, or the fault."""


class FarService:
    """The replicas of one service."""

    def __init__(self, peer: Far, seconds: float) -> None:
        self.replicas, self._name, self._seconds = peer.replicas, peer.name, seconds
        self._deadline_line = b"%b: %b\r\n" % (deadlines.RAW_HEADER, deadlines.said(seconds).encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and its answer back. Raises `Unavailable` when no replica answers."""
        if CANCELS in scope:
            return await self._exchange(scope, _NO_BODY, send)
        body = _Sent(receive)
        await body.begin()
        upstream = asyncio.ensure_future(self._exchange(scope, body, send))
        leaving = asyncio.ensure_future(body.client_left())
        try:
            await asyncio.wait((upstream, leaving), return_when=asyncio.FIRST_COMPLETED)
            if upstream.done():
                upstream.result()
        finally:
            await _ended(upstream)
            await _ended(leaving)

    def read(self, target: bytes, fields: bytes, tell: Teller) -> Begun | None:
        """Send a read without waiting for its answer, if all is well; see `Replicas.read`."""
        return self.replicas.read(target, fields + self._deadline_line, self._seconds, tell)

    async def _exchange(self, scope: Scope, body: "_Sent", send: Send) -> None:
        try:
            answered = scope.pop(BEGUN, None)  # somebody began this request, and leaves the rest to us
            if answered is None:
                answered = await self.replicas.ask(self._request(scope, body), time.monotonic() + self._seconds)
            elif isinstance(answered, Fault):
                raise answered
        except Fault as e:
            if body.trouble:
                raise body.trouble from e
            soon = max(1, math.ceil(self.replicas.wait()))
            raise Unavailable(f"{self._name} does not answer.", retry_after=soon) from e
        except asyncio.CancelledError as e:
            raise too_late(scope, e, self._name) from e
        except ConnectionResetError:
            return  # the client's own: there is nobody to answer
        await _passed_back(answered, send)

    def _request(self, scope: Scope, body: "_Sent") -> Request:
        head: Head = scope["head"]
        fields = b"%b%b%b" % (head.fields, lines(scope["own"]), self._deadline_line)
        query = scope["query_string"]
        target = b"%b?%b" % (scope["raw_path"], query) if query else scope["raw_path"]
        reads = scope["method"] in ("GET", "HEAD")
        method = b"GET" if reads else scope["method"].encode()
        safe = reads or (body.is_whole and head.is_keyed)
        length = body.length(head.headers) if head.has_body else None
        return Request(method, target, fields, body.content(), length, safe, self._seconds)

    async def close(self) -> None:
        """Close the connections."""
        self.replicas.close()


class _Sent:
    """A request's body on its way: small ones in one piece, others as they come. `trouble` is what ended it early."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._first = receive, b""
        self.is_whole, self._all_read = False, asyncio.Event()
        self.trouble: Problem | None = None

    async def begin(self) -> None:
        """Read the first piece, which is usually all there is."""
        message = await self._receive()
        self._first = message.get("body", b"")
        self.is_whole = not message.get("more_body")
        if self.is_whole:
            self._all_read.set()

    def length(self, headers: RawHeaders) -> int | None:
        """Of the body, as far as it is known beforehand."""
        if self.is_whole and self._first:
            return len(self._first)
        return next((int(value) for name, value in headers if name == b"content-length"), None)

    def content(self) -> bytes | AsyncIterator[bytes]:
        """The body as the client takes it."""
        return self._first if self.is_whole else self._pieces()

    async def _pieces(self) -> AsyncIterator[bytes]:
        yield self._first
        more = True
        while more:
            message = await self._next()
            more = bool(message.get("more_body"))
            yield message.get("body", b"")
        self._all_read.set()

    async def _next(self) -> Message:
        try:
            message = await self._receive()
        except Problem as e:
            self.trouble = e
            raise
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("the client left before its request was complete")
        return message

    async def client_left(self) -> None:
        """Returns when the client has gone. Only once the body is read can this be heard beside it."""
        await self._all_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


_NO_BODY = _Sent(_nothing)
_NO_BODY.is_whole = True


async def _passed_back(answered: Answered, send: Send) -> None:
    dropped = and_named(HOP_BY_HOP_BACK, answered.headers)
    headers = [h for h in answered.headers if h[0] not in dropped]
    await send({"type": "http.response.start", "status": answered.status, "headers": headers})
    if answered.whole is not None:
        await send({"type": "http.response.body", "body": answered.whole})
        return
    is_over = False
    try:
        async for piece in answered.pieces():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        is_over = True
    finally:
        if not is_over:
            answered.abandon()
    await send({"type": "http.response.body", "body": b""})


async def _ended(task: "asyncio.Future[None]") -> None:
    """Cancel a task and wait for it. What it raised was seen before, or no longer matters."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()
