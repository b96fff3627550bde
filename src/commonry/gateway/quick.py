"""A read without a body, under way in the fast lane: the application is called with as little ado as it allows."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal, Protocol, cast
from urllib.parse import unquote

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from commonry.gateway.edge import ADMITTED, CANCELS, SECURITY
from commonry.gateway.far import BEGUN
from commonry.gateway.heads import Head
from commonry.kit.asgi import App, Message, RawHeaders, Scope
from commonry.kit.http.connection import Answered
from commonry.kit.http.messages import Fault, lines


class Client(Protocol):
    """The connection that a request came on, for who answers on a shorter way than the usual one."""

    transport: asyncio.Transport
    scheme: Literal["http", "https"] | None
    server_state: ServerState

    def quick_done(self) -> None:
        """It is answered."""

    def go_on(self, head: Head, target: bytes, begun: Answered | Fault | None) -> None:
        """Take the usual way: with what has come already, or from the start."""


_dated: tuple[RawHeaders, bytes] = ([], b"")


def date_line(state: ServerState) -> bytes:
    """The line with the date, which the server makes anew every second."""
    global _dated
    if state.default_headers is not _dated[0]:
        _dated = (state.default_headers, lines(state.default_headers))
    return _dated[1]


def scope_of(connection: HttpToolsProtocol, target: bytes, headers: RawHeaders) -> Scope:
    """What an application is called with for a plain GET."""
    path, _, query = target.partition(b"?")
    text = path.decode("ascii")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": connection.scheme,
        "path": unquote(text) if "%" in text else text,
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": connection.client,
        "server": connection.server,
        "state": {},
    }


class Quick:
    """A read without a body, under way: the application is called with as little ado as it allows."""

    FOR_OTHERS: frozenset[int] = frozenset()
    """Answers of these statuses are not given here."""

    def __init__(
        self,
        connection: HttpToolsProtocol,
        app: App,
        over: Callable[[], None],
        head: Head,
        target: bytes,
        begun: Answered | Fault | None,
        limits: RawHeaders | None,
    ) -> None:
        scope = scope_of(connection, target, head.headers)
        scope["head"] = head
        if begun is not None:
            scope[BEGUN] = begun
        if limits is not None:
            scope |= {ADMITTED: True, "limits": limits}
        self._begin(connection, app, over, scope)

    def _begin(self, connection: HttpToolsProtocol, app: App, over: Callable[[], None], scope: Scope) -> None:
        self._connection, self._over, self._scope = connection, over, scope
        scope[CANCELS] = self
        self._start: Message | None = None
        self.is_late = self._is_chunked = self._has_begun = self._was_asked = self._is_for_others = False
        self._left = 0
        work = cast("Coroutine[Any, Any, None]", app(scope, self._receive, self._send))
        self._task: asyncio.Task[None] = connection.loop.create_task(work)
        self._task.add_done_callback(self._done)
        connection.server_state.tasks.add(self._task)

    def cancel(self) -> None:
        """Nobody waits for the answer any more."""
        self._task.cancel()

    def hurry(self) -> None:
        """The answer has not begun in time: whoever is at it must give up, and say so."""
        if self._start is None and not self.is_late:
            self.is_late = True
            self._task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        """Answered, called off, or failed: then the edge has logged why, and all that is left is to cut it off."""
        self._connection.server_state.tasks.discard(task)
        if isinstance(begun := self._scope.pop(BEGUN, None), Answered):
            begun.abandon()
        self._scope.clear()  # it refers to this object, which refers to it: a circle that would wait to be found
        if task.cancelled() or task.exception() is not None or self._start is None or self._left:
            self._connection.transport.abort()
        self._over()

    async def _receive(self) -> Message:
        if self._was_asked:
            await asyncio.Event().wait()  # we are cancelled when the client leaves
        self._was_asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Message) -> None:
        connection = self._connection
        if message["type"] == "http.response.start":
            self._start, self._left = message, 1
            self._is_for_others = message["status"] in self.FOR_OTHERS
            return
        if self._is_for_others:
            return
        start = cast(Message, self._start)
        body, more = message.get("body", b""), message.get("more_body", False)
        if not self._has_begun:
            self._has_begun = True
            connection.transport.write(self._head(start, None if more else len(body)) + self._framed(body, more))
        elif framed := self._framed(body, more):
            connection.transport.write(framed)
        if not more:
            self._left = 0
        elif connection.flow.write_paused:
            await connection.flow.drain()

    def _head(self, start: Message, length: int | None) -> bytes:
        """Status and header lines. We know the length of a whole body; others keep theirs, or are in chunks."""
        fields = [h for h in start["headers"] if length is None or h[0] != b"content-length"]
        bare = start["status"] in (204, 304)
        self._is_chunked = length is None and not any(name == b"content-length" for name, _ in fields)
        last = b"" if bare else b"content-length: %d\r\n" % length if length is not None else b""
        last += b"transfer-encoding: chunked\r\n" if self._is_chunked else b""
        block = lines(fields) + start.get("tail", b"")
        count = len(fields) + (len(SECURITY) if start.get("tail") else 0)
        if block.count(b"\n") != count or block.count(b"\r") != count:
            raise ValueError("a header field has a line break in it")
        date = date_line(self._connection.server_state)
        return b"".join((STATUS_LINE[start["status"]], date, block, last, b"\r\n"))

    def _framed(self, body: bytes, more: bool) -> bytes:
        if not self._is_chunked:
            return body
        piece = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        return piece if more else piece + b"0\r\n\r\n"
