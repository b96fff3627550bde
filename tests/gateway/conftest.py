"""A gateway over services that tests make up: near ones are plain ASGI functions, far ones real servers on loopback."""

import asyncio
import re
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, NamedTuple
from unittest import mock

import msgspec
import pytest
import uvicorn
import uvloop

from commonry.cli import listening
from commonry.contracts.settings import Settings
from commonry.gateway.api import Door, gateway
from commonry.kit.asgi import App, answer, json_reply
from commonry.kit.cache import Cache
from commonry.kit.peers import Far, Near


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """These tests run on the loop that the gateway runs on."""
    return {"uvloop": uvloop.new_event_loop}


SERVICES = ("users", "inventory", "bookings", "payments")


class Got(NamedTuple):
    """What came back from a call."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


def echo(name: str) -> App:
    """A service that tells what it was asked."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        told = {
            "service": name,
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode(),
            "headers": [(n.decode(), v.decode("latin-1")) for n, v in scope["headers"]],
            "size": len(body),
        }
        await answer(send, json_reply(told))

    return app


async def ask(
    app: App,
    method: str,
    path: str,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    body: Iterable[bytes] = (),
    *,
    leave: asyncio.Event | None = None,
    **scope: Any,
) -> Got:
    """Call an application as a server would. When `leave` is set the client hangs up."""
    pieces = list(body)
    sent: list[Any] = []
    given = list(headers.items() if isinstance(headers, Mapping) else headers)
    bare, _, query = path.partition("?")

    async def receive() -> Any:
        if pieces:
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}
        if not receive_state["ended"]:
            receive_state["ended"] = True
            if not list(body):
                return {"type": "http.request", "body": b"", "more_body": False}
        await (leave or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    receive_state = {"ended": False}

    async def send(message: Any) -> None:
        sent.append(message)

    whole = {
        "type": "http",
        "method": method,
        "path": bare,
        "raw_path": bare.encode(),
        "query_string": query.encode(),
        "headers": [(n.lower().encode(), v.encode("latin-1")) for n, v in given],
        "scheme": "http",
        "client": ("192.0.2.7", 5000),
        "server": ("test", 80),
        "http_version": "1.1",
        "root_path": "",
    }
    await app(whole | scope, receive, send)
    if not sent:
        return Got(0, {}, b"")
    names = {n.decode(): v.decode("latin-1") for n, v in sent[0]["headers"]}
    return Got(sent[0]["status"], names, b"".join(m.get("body", b"") for m in sent[1:]))


def among_echoes(services: Mapping[str, Near | Far] | None) -> dict[str, Near | Far]:
    """All services; those not given are echoes."""
    return {name: Near(name, echo(name)) for name in SERVICES} | dict(services or {})


@asynccontextmanager
async def over(
    services: Mapping[str, Near | Far] | None = None, *, cache: Cache | None = None, **settings: Any
) -> AsyncIterator[App]:
    """A gateway; services not given are echoes."""
    async with gateway(Settings(**settings), among_echoes(services), cache) as app:
        yield app


async def until(is_so: Callable[[], Any], seconds: float = 5.0) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not is_so():
            await asyncio.sleep(0.001)


class Wire:
    """A client's connection to a server, in raw bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, of_head: bool = False, seconds: float = 5.0) -> Got:
        """The next answer, an interim one too."""
        async with asyncio.timeout(seconds):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *fields = head[:-4].split(b"\r\n")
            pairs = [(n.decode().lower(), v.decode("latin-1")) for n, _, v in (f.partition(b": ") for f in fields)]
            status = int(re.fullmatch(rb"HTTP/1\.1 (\d{3}) ?.*", first)[1])  # type: ignore[index]
            bare = of_head or status < 200 or status in (204, 304)
            return Got(status, Fields(pairs), b"" if bare else await self._body(dict(pairs)))

    async def _body(self, fields: dict[str, str]) -> bytes:
        if fields.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += await self.reader.readexactly(size)
                assert await self.reader.readexactly(2) == b"\r\n"
            assert await self.reader.readexactly(2) == b"\r\n"
            return body
        if "content-length" in fields:
            return await self.reader.readexactly(int(fields["content-length"]))
        return await self.reader.read()

    async def rest(self, seconds: float = 5.0) -> bytes:
        """Whatever comes until the server closes. Begun before something is sent, nothing is lost to a reset."""
        got = b""
        async with asyncio.timeout(seconds):
            with suppress(ConnectionResetError):
                while piece := await self.reader.read(65536):
                    got += piece
        return got

    def close(self) -> None:
        self.writer.transport.abort()


class Fields(dict[str, str]):
    """Header fields by name; `pairs` has all of them in order."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


class Opened(NamedTuple):
    """A gateway that listens."""

    app: Door
    server: uvicorn.Server
    serving: "asyncio.Task[None]"
    port: int

    @property
    def lanes(self) -> list[Any]:
        """The server's side of every connection."""
        return list(self.app.protocol.open)

    async def connect(self, *, receive_buffer: int = 0, limit: int = 2**24) -> Wire:
        """A client's connection. With a small buffer it is soon felt that nobody reads."""
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        return Wire(*await asyncio.open_connection(sock=sock, limit=limit))

    async def spoken(self, *pieces: bytes) -> Got:
        """What one connection answers to these bytes."""
        wire = await self.connect()
        try:
            for piece in pieces:
                await wire.send(piece)
            return await wire.answer()
        finally:
            wire.close()

    def stop(self) -> None:
        """As a signal would."""
        self.server._stop(signal.SIGTERM)  # type: ignore[attr-defined]


@asynccontextmanager
async def opened(
    services: Mapping[str, Near | Far] | None = None, *, cache: Cache | None = None, **settings: Any
) -> AsyncIterator[Opened]:
    """A gateway behind the real server, on a port of its own."""
    servers: list[uvicorn.Server] = []
    startup = uvicorn.Server.startup

    async def noted(self: uvicorn.Server, sockets: Any = None) -> None:
        servers.append(self)
        await startup(self, sockets)

    bound, ready = listening.bind("127.0.0.1", 0), asyncio.Event()
    async with gateway(Settings(**settings), among_echoes(services), cache) as app:
        with mock.patch.object(uvicorn.Server, "startup", noted), mock.patch.object(listening, "STOPPING", ()):
            serving = asyncio.ensure_future(listening.serve(app, bound, ready.set))
            await asyncio.wait_for(ready.wait(), 10)
        door = Opened(app, servers[0], serving, bound.getsockname()[1])
        try:
            yield door
        finally:
            await _ended(servers[0], serving)
            await until(lambda: not door.lanes)


@pytest.fixture
async def door() -> AsyncIterator[App]:
    """A gateway over echoes."""
    async with over() as app:
        yield app


@pytest.fixture
async def served() -> AsyncIterator[Callable[[App], Awaitable[str]]]:
    """Runs an application as a real server; gives its URL."""
    async with AsyncExitStack() as stack:

        async def serve(app: App) -> str:
            config = uvicorn.Config(app, port=0, lifespan="off", log_config=None, timeout_keep_alive=75)
            server = uvicorn.Server(config)
            task = asyncio.ensure_future(server.serve())
            stack.push_async_callback(_ended, server, task)
            while not server.started:
                await asyncio.sleep(0.005)
            return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

        yield serve


async def _ended(server: uvicorn.Server, task: asyncio.Future[None]) -> None:
    """Cut everything off, at once."""
    task.cancel()
    await asyncio.wait((task,))
    for listener in server.servers:
        listener.close()
    for connection in list(server.server_state.connections):
        connection.transport.abort()  # type: ignore[union-attr]
    for request in list(server.server_state.tasks):
        request.cancel()
    await asyncio.sleep(0)
