"""A gateway over services that tests make up: near ones are plain ASGI functions, far ones real servers on loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, NamedTuple

import msgspec
import pytest
import uvicorn

from commonry.contracts.settings import Settings
from commonry.gateway.api import gateway
from commonry.kit.asgi import App, answer, json_reply
from commonry.kit.peers import Far, Near

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


@asynccontextmanager
async def over(services: Mapping[str, Near | Far] | None = None, **settings: Any) -> AsyncIterator[App]:
    """A gateway; services not given are echoes."""
    peers = {name: Near(name, echo(name)) for name in SERVICES} | dict(services or {})
    async with gateway(Settings(**settings), peers) as app:
        yield app


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
    server.should_exit = server.force_exit = True
    with suppress(asyncio.CancelledError, TimeoutError):
        await asyncio.wait_for(task, 5)
