"""The little of ASGI that a pure application needs: whole answers, problems as answers, and an edge nothing escapes.

No framework: the gateway and other thin layers are written against these types. A scope is a plain dictionary, and
whoever passes a request on gives the next application a copy of its own.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
import structlog

from commonry.kit.problems import MEDIA_TYPE, InternalError, Problem

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]

log = structlog.get_logger()


class Reply(NamedTuple):
    """A whole answer, ready to be sent."""

    body: bytes
    media_type: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = {}


def json_reply(thing: Any, status: int = 200) -> Reply:
    """A struct or plain value as JSON."""
    return Reply(msgspec.json.encode(thing), "application/json", status)


def problem_reply(problem: Problem) -> Reply:
    """The problem as an RFC 9457 document."""
    return Reply(msgspec.json.encode(problem.document(), enc_hook=str), MEDIA_TYPE, problem.status, problem.headers())


def start_of(reply: Reply) -> Message:
    """The message that begins a reply."""
    headers = {"content-type": reply.media_type, "content-length": str(len(reply.body)), **reply.headers}
    return {"type": "http.response.start", "status": reply.status, "headers": raw(headers.items())}


async def answer(send: Send, reply: Reply) -> None:
    """Send a whole reply."""
    await send(start_of(reply))
    await send({"type": "http.response.body", "body": reply.body})


def raw(headers: Iterable[tuple[str, str]]) -> RawHeaders:
    """Headers as ASGI has them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]


async def failing_well(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Run an application; whatever it raises is a problem."""
    try:
        await app(scope, receive, send)
    except Problem:
        raise
    except Exception as e:  # why: what breaks in a service is a failure of that service, as one that it tells would be
        log.error("request failed", route=scope.get("path_template"), method=scope["method"], exc_info=e)
        raise InternalError from e


async def guarded(app: App, scope: Scope, receive: Receive, send: Send, has_started: Callable[[], bool]) -> None:
    """Run an application; what it raises becomes a problem document. An answer already begun can only be cut off."""
    try:
        await app(scope, receive, send)
    except Exception as e:  # why: the outermost edge; whatever broke below, the caller gets a document
        if has_started():
            log.warning("answer cut off", route=scope.get("path_template"), trouble=repr(e))
            raise
        if not isinstance(e, Problem):
            log.error("request failed", route=scope.get("path_template"), method=scope["method"], exc_info=e)
        await answer(send, problem_reply(e if isinstance(e, Problem) else InternalError()))
