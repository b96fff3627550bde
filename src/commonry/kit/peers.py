"""Talking to another service, near (in this process) or far (over HTTP), without knowing which.

A `Peer` carries bytes; a `Client` on top of it speaks structs and raises the other side's problems as our own. Every
call has a timeout; a peer that cannot be reached or does not answer in time is `Unavailable`.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, cast
from urllib.parse import quote, urlencode

import msgspec

from commonry.kit import deadlines, traces
from commonry.kit.auth import SERVICE_HEADER
from commonry.kit.http.messages import Fault, Request, lines
from commonry.kit.problems import Unavailable, from_answer
from commonry.kit.replicas import Replicas
from commonry.kit.telemetry import outgoing_ids

T = TypeVar("T")
TIMEOUT = 3.0
"""Seconds one call may take unless its caller says otherwise."""


class Answer(NamedTuple):
    """What came back: status, headers (lower-case names), the whole body."""

    status: int
    headers: dict[str, str]
    body: bytes


class Peer(Protocol):
    """One service, wherever it runs."""

    name: str

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: str,
        body: bytes,
        headers: Mapping[str, str],
        timeout: float,
        repeatable: bool = False,
    ) -> Answer: ...


class Near:
    """A service in this process: its ASGI application is called directly."""

    def __init__(self, name: str, app: Any) -> None:
        self.name, self.app = name, app

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: str,
        body: bytes,
        headers: Mapping[str, str],
        timeout: float,
        repeatable: bool = False,  # noqa: ARG002 why: nothing is lost on the way here
    ) -> Answer:
        """Run the application on a request made up here. Raises `Unavailable` after `timeout` seconds."""
        sent: list[Any] = []
        over = asyncio.Event()

        async def send(message: Any) -> None:
            sent.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                over.set()

        try:
            async with asyncio.timeout(timeout):
                await self.app(_scope(method, path, query, headers), _receiver(body, over), send)
        except TimeoutError as e:
            raise Unavailable(f"{self.name} did not answer in time.") from e
        names = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in sent[0]["headers"]}
        return Answer(sent[0]["status"], names, b"".join(m.get("body", b"") for m in sent[1:]))


def _scope(method: str, path: str, query: str, headers: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(k.lower().encode(), v.encode("latin-1", "replace")) for k, v in headers.items()],
        "client": ("127.0.0.1", 0),
        "server": ("near", 0),
        "state": {},
    }


def _receiver(body: bytes, over: asyncio.Event) -> Any:
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Any:
        if message := next(messages, None):
            return message
        await over.wait()  # the caller stays connected until it has the whole answer
        return {"type": "http.disconnect"}

    return receive


class Far:
    """A service in other processes: HTTP to one of its replicas (`kit.replicas`)."""

    def __init__(self, name: str, urls: Sequence[str]) -> None:
        self.name, self.replicas = name, Replicas(name, urls)

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: str,
        body: bytes,
        headers: Mapping[str, str],
        timeout: float,
        repeatable: bool = False,
    ) -> Answer:
        """Ask one replica. Raises `Unavailable` when none takes the request or the answer is late or cut off."""
        fields = lines((n.encode("latin-1"), v.encode("latin-1", "replace")) for n, v in headers.items())
        target = quote(path, safe=_SAFE).encode() + (b"?" + query.encode() if query else b"")
        sized = len(body) if body or method not in ("GET", "HEAD", "DELETE") else None
        asked = Request(method.encode(), target, fields, body, sized, repeatable or method in ("GET", "HEAD"))
        try:
            await self.replicas.refresh()
            async with asyncio.timeout(timeout):
                got = await self.replicas.ask(asked, time.monotonic() + timeout)
                return Answer(got.status, {k.decode(): v.decode("latin-1") for k, v in got.headers}, await got.read())
        except (Fault, TimeoutError) as e:
            is_away = isinstance(e, Fault) and not e.sent
            raise Unavailable(f"{self.name} is away." if is_away else f"{self.name} did not answer.") from e

    async def close(self) -> None:
        """Close the connections."""
        self.replicas.close()


class Traced:
    """A peer each call to which is a span."""

    def __init__(self, peer: Peer) -> None:
        self.name, self._peer = peer.name, peer

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: str,
        body: bytes,
        headers: Mapping[str, str],
        timeout: float,
        repeatable: bool = False,
    ) -> Answer:
        """Ask it, as a span that the other side knows of."""
        with traces.span(f"{method} {self.name}", kind="client") as span:
            told = {"traceparent": str(span.place)} if span.place else {}
            span.tell({"peer.service": self.name, "http.request.method": method, "url.template": traces.template(path)})
            got = await self._peer.call(
                method,
                path,
                query=query,
                body=body,
                headers={**headers, **told},
                timeout=timeout,
                repeatable=repeatable,
            )
            span.tell({"http.response.status_code": got.status}, failure=str(got.status) if got.status >= 500 else "")
            return got


_SAFE = "/:@!$&'()*+,;=-._~%"


class Some(msgspec.Struct):
    """A page of any list."""

    data: list[Any]
    next_cursor: str | None = None


class Client:
    """The base of typed clients: one method a call, in the words of the service it speaks to."""

    def __init__(self, peer: Peer, service_token: str) -> None:
        self.peer, self._service_token = Traced(peer) if traces.is_on() else peer, service_token

    async def ask(
        self,
        method: str,
        path: str,
        answer: type[T],
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        token: str | None = None,
        key: str | None = None,
        client: str = "",
        kind: str = "application/json",
        if_match: str | None = None,
        timeout: float = TIMEOUT,
        repeatable: bool = False,
    ) -> T:
        """One call as the service itself, or as a person when `token` is given. Raises the other side's problem.

        An answer that is to be `bytes` is given as it came. A body of bytes is sent as it is, as of this `kind`.
        `client` is the address of whom it is asked for.
        `repeatable` says of a call that changes something that doing it twice does no harm.
        """
        timeout = deadlines.left(timeout)
        if timeout <= 0:
            raise Unavailable(f"There was no time left to ask {self.peer.name}.")
        headers = outgoing_ids() | ({"content-type": kind} if body is not None else {})
        headers |= {"authorization": f"Bearer {token}"} if token else {SERVICE_HEADER: self._service_token}
        headers |= {"idempotency-key": key} if key else {}
        headers |= {"commonry-client": client} if client else {}
        headers |= {"if-match": if_match} if if_match else {}
        said = urlencode({k: v for k, v in (query or {}).items() if v is not None})
        sent = body if isinstance(body, bytes) else msgspec.json.encode(body) if body is not None else b""
        headers[deadlines.HEADER] = deadlines.said(timeout)
        got = await self.peer.call(
            method,
            path,
            query=said,
            body=sent,
            headers=headers,
            timeout=timeout,
            repeatable=repeatable or key is not None,
        )
        if got.status >= 400:
            raise from_answer(got.status, got.body)
        if answer is bytes:
            return cast("T", got.body)
        return msgspec.json.decode(got.body or b"null", type=answer)

    async def every(self, path: str, *, token: str, query: Mapping[str, Any] | None = None) -> list[Any]:
        """All of a list that a person may see, page after page."""
        found: list[Any] = []
        cursor: str | None = None
        while True:
            asked = dict(query or {}) | {"limit": 100, "cursor": cursor}
            some = await self.ask("GET", path, Some, query=asked, token=token)
            found += some.data
            cursor = some.next_cursor
            if cursor is None:
                return found
