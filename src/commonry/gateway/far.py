"""A service in other processes: HTTP to its replicas in turn, both bodies streamed at the slower side's pace.

Where a connection cannot be made, nothing was sent, and the next replica is tried. After that there is no second try
here: the request may have had its effect. A client that goes away takes its request at the service with it.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from commonry.kit.asgi import Message, RawHeaders, Receive, Scope, Send
from commonry.kit.peers import Far
from commonry.kit.problems import Problem, Unavailable

HOP_BY_HOP = frozenset(
    name.encode()
    for name in "connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    "transfer-encoding upgrade".split()
)
CONNECT_SECONDS = 1.0
NOT_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class FarService:
    """The replicas of one service. Connections are opened when first needed and kept."""

    def __init__(self, peer: Far, seconds: float) -> None:
        self._name, self._urls, self._seconds = peer.name, peer.urls, seconds
        self._turn = itertools.count()
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and its answer back. Raises `Unavailable` when no replica answers."""
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

    async def _exchange(self, scope: Scope, body: "_Sent", send: Send) -> None:
        try:
            answer = await self._connected(scope, body)
        except (aiohttp.ClientError, TimeoutError) as e:
            raise body.trouble or Unavailable(f"{self._name} did not answer.") from e
        async with answer:
            await send({"type": "http.response.start", "status": answer.status, "headers": _answered(answer)})
            async for piece in answer.content.iter_any():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _connected(self, scope: Scope, body: "_Sent") -> aiohttp.ClientResponse:
        """The beginning of one replica's answer."""
        first = next(self._turn)
        for attempt in range(len(self._urls)):
            try:
                return await self._ask(self._urls[(first + attempt) % len(self._urls)], scope, body)
            except NOT_CONNECTED:
                continue
        raise Unavailable(f"{self._name} is away.")

    def _ask(self, url: str, scope: Scope, body: "_Sent") -> Awaitable[aiohttp.ClientResponse]:
        query = scope["query_string"]
        target = url + scope["raw_path"].decode("latin-1") + (f"?{query.decode('latin-1')}" if query else "")
        return self._open().request(
            "GET" if scope["method"] == "HEAD" else scope["method"],
            URL(target, encoded=True),
            headers=_passed_on(scope["headers"]),
            data=body.content(),
            allow_redirects=False,
        )

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=20),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=self._seconds),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


class _Sent:
    """A request's body on its way: small ones in one piece, others as they come. `trouble` is what ended it early."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._first = receive, b""
        self._whole, self._all_read = False, asyncio.Event()
        self.trouble: Problem | None = None

    async def begin(self) -> None:
        """Read the first piece, which is usually all there is."""
        message = await self._receive()
        self._first = message.get("body", b"")
        self._whole = not message.get("more_body")
        if self._whole:
            self._all_read.set()

    def content(self) -> Any:
        """The body as the client library takes it."""
        return (self._first or None) if self._whole else self._pieces()

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


async def _ended(task: "asyncio.Future[None]") -> None:
    """Cancel a task and wait for it. What it raised was seen before, or no longer matters."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()


def _passed_on(headers: RawHeaders) -> CIMultiDict[str]:
    dropped = _hop_by_hop(headers) | {b"host", b"expect"}
    return CIMultiDict((n.decode(), v.decode(errors="replace")) for n, v in headers if n not in dropped)


def _answered(answer: aiohttp.ClientResponse) -> RawHeaders:
    headers = [(name.lower(), value) for name, value in answer.raw_headers]
    dropped = _hop_by_hop(headers) | {b"date", b"server"}
    return [h for h in headers if h[0] not in dropped]


def _hop_by_hop(headers: RawHeaders) -> frozenset[bytes]:
    named = b",".join(value for name, value in headers if name == b"connection")
    return HOP_BY_HOP | {name.strip().lower() for name in named.split(b",")} if named else HOP_BY_HOP
