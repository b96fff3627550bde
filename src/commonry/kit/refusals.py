"""How a service answers when something went wrong: whatever was raised becomes a problem document.

A bad request hears of all its mistakes at once, under the names that its sender used.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, InternalServerException, ValidationException

from commonry.kit import mistakes
from commonry.kit.db import DataError
from commonry.kit.problems import (
    MEDIA_TYPE,
    BadRequest,
    InternalError,
    MethodNotAllowed,
    Mistake,
    NotFound,
    NotValid,
    Problem,
    TooLarge,
    WrongMediaType,
)

Req = Request[Any, Any, State]
Answering = Callable[[Req, Problem], Response[Any]]
"""Makes the answer to a problem."""
log = structlog.get_logger()


def problem_answer(problem: Problem) -> Response[Any]:
    """The problem as an RFC 9457 answer."""
    body = msgspec.json.encode(problem.document(), enc_hook=str)
    return Response(body, status_code=problem.status, media_type=MEDIA_TYPE, headers=problem.headers())


class _Later(Response[Any]):
    """An answer that is made while it is sent: the framework wants one at once, we must first await the body."""

    def __init__(self, error: Exception, made: Answering) -> None:
        super().__init__(None)
        self._error, self._made = error, made

    def to_asgi_response(self, app: Any, request: Any, **_: Any) -> Any:  # noqa: ARG002 why: the framework's signature
        async def respond(scope: Any, receive: Any, send: Any) -> None:
            answer = self._made(request, await _as_problem(request, self._error))
            respond_with: Any = getattr(answer, "to_asgi_response")  # noqa: B009 why: its type is partly unknown
            await respond_with(None, request)(scope, receive, send)

        return respond


def answering(
    made: Answering = lambda _, problem: problem_answer(problem),
) -> Callable[[Req, Exception], Response[Any]]:
    """What makes the answer to whatever a handler raised: a document, unless `made` makes something else of it."""
    return lambda _, error: _Later(error, made)


async def _as_problem(request: Req, error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case ValidationException():
            return await _all_mistakes(request, error)
        case DataError():
            return await _unkeepable(request)
        case InternalServerException() if "disconnected" in error.detail:
            return BadRequest("The request ended before it was complete.")  # nobody is there to read it
        case HTTPException():
            return await _from_framework(request, error)
        case RecursionError() if await _too_deep(request):
            return NotValid(Mistake("body", "is nested too deeply"))
        case _:
            log.error("request failed", path=request.url.path, method=request.method, exc_info=error)
            return InternalError()


async def _too_deep(request: Req) -> bool:
    """Whether decoding the body alone ends in a `RecursionError`."""
    try:
        msgspec.json.decode(await request.body() or b"null")
    except RecursionError:
        return True
    except msgspec.DecodeError:
        return False
    return False


async def _from_framework(request: Req, error: HTTPException) -> Problem:
    if error.status_code == 400:
        return await _all_mistakes(request, error)
    known: dict[int, type[Problem]] = {404: NotFound, 405: MethodNotAllowed, 413: TooLarge, 415: WrongMediaType}
    if error.status_code not in known:
        log.error("request failed", path=request.url.path, method=request.method, exc_info=error)
    return known.get(error.status_code, InternalError)()


async def _all_mistakes(request: Req, error: HTTPException) -> Problem:
    """Every mistake in the query and the body, under the names the caller used."""
    handler: Any = dict(request.scope).get("route_handler")
    field = handler.parsed_data_field if handler else None
    in_body = mistakes.in_body(await request.body(), field.annotation) if field else []
    told: Any = error.extra if isinstance(error.extra, list) else []
    in_query = [_told(handler, one) for one in told if one.get("key") != "data" and one.get("source") != "body"]
    return NotValid(*in_query, *in_body) if in_query or in_body else NotValid(Mistake("body", error.detail))


def _told(handler: Any, one: Mapping[str, Any]) -> Mistake:
    source = getattr(one.get("source"), "value", "query")
    field = handler.parsed_fn_signature.parameters.get(one["key"].split(".")[0])
    alias = field and field.kwarg_definition and getattr(field.kwarg_definition, source, None)
    said = mistakes.in_words(one["message"], field.annotation) if field else one["message"]
    return Mistake(f"{source}.{alias or one['key']}", said)


async def _unkeepable(request: Req) -> Problem:
    """PostgreSQL refused a value: say where the NUL is, or that a number or text is out of range."""
    try:
        found = list(mistakes.with_nul(msgspec.json.decode(await request.body() or b"null")))
    except msgspec.DecodeError:
        found = []
    found += [Mistake(f"query.{k}", mistakes.NO_NUL) for k, v in request.query_params.items() if "\0" in v]
    return NotValid(*found or [Mistake("body", "a value is out of the range that can be kept")])
