"""Passing a request on to the service that answers it, near or far, and its answer back.

Both ways are streamed: no body is ever held whole. Near, the service's ASGI application is called with a scope of its
own; far, see `far`. Either has `answer_seconds` to begin its answer; a body that is still coming in stretches that.
"""

import asyncio
from collections.abc import Mapping

from commonry.gateway.edge import CANCELS, too_late
from commonry.gateway.far import FarService
from commonry.kit.asgi import App, Message, Receive, Scope, Send
from commonry.kit.peers import Far, Near
from commonry.kit.problems import Unavailable

LONGEST_BODY = 300.0
"""Seconds a body may take to come in, however steadily it does."""


class NearService:
    """A service in this process."""

    def __init__(self, peer: Near, seconds: float) -> None:
        self._peer, self._seconds = peer, seconds

    @property
    def app(self) -> App:
        """The service's application, which is there once it has been built."""
        return self._peer.app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run its application. Raises `Unavailable` when it does not begin to answer in time."""
        inner: Scope = scope | {"state": {}, "method": "GET" if scope["method"] == "HEAD" else scope["method"]}
        if CANCELS in scope:
            await self._in_time_kept_by_others(inner, receive, send)
            scope["path_template"] = inner.get("path_template") or scope.get("path_template")
            return
        patience = Patience(self._seconds)
        try:
            async with patience.timeout:
                await self._peer.app(inner, patience.receiving(receive), patience.sending(send))
        except TimeoutError as e:
            raise Unavailable(f"{self._peer.name} did not answer in time.") from e
        finally:
            scope["path_template"] = inner.get("path_template") or scope.get("path_template")

    async def _in_time_kept_by_others(self, inner: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._peer.app(inner, receive, send)
        except asyncio.CancelledError as e:
            raise too_late(inner, e, self._peer.name) from e

    async def close(self) -> None:
        """Nothing to close: whoever built the service ends it."""


class Patience:
    """A time-out until the answer begins. Each piece of the request's body starts it anew, up to `LONGEST_BODY`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = asyncio.get_running_loop().time() + LONGEST_BODY
        self.timeout = asyncio.timeout(seconds)

    def receiving(self, receive: Receive) -> Receive:
        async def watched() -> Message:
            message = await receive()
            if message.get("more_body"):
                soon = asyncio.get_running_loop().time() + self._seconds
                self.timeout.reschedule(min(soon, self._last))
            return message

        return watched

    def sending(self, send: Send) -> Send:
        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.timeout.reschedule(None)
            await send(message)

        return watched


Services = Mapping[str, NearService | FarService]


def upstreams(peers: Mapping[str, Near | Far], seconds: float) -> Services:
    """How to reach each service."""
    return {n: NearService(p, seconds) if isinstance(p, Near) else FarService(p, seconds) for n, p in peers.items()}
