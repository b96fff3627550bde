"""One way to build every service: routes plus health, metrics, problems, ids, and what handlers may ask for.

Handlers take what they need by name: `caller` (401 without a valid token), `visitor` (or nobody), `db`, `once` (the
Idempotency-Key, see there), and whatever the service adds. Routes under `/internal` answer to other services only.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar

import msgspec
import structlog
from litestar import Litestar, MediaType, Request, Response, get
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException, InternalServerException, ValidationException
from litestar.types import ControllerRouterHandler

from commonry.kit import deadlines, idempotency, mistakes, openapi
from commonry.kit.auth import SERVICE_HEADER, Caller, Door
from commonry.kit.db import Database, DataError, Tx
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
from commonry.kit.telemetry import adopt_ids, metrics_page, observed

T = TypeVar("T")
Req = Request[Any, Any, State]
log = structlog.get_logger()


class Service(NamedTuple):
    """A built service: its application, the loops to keep running beside it, and whether it can work."""

    name: str
    app: Any
    loops: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()
    ready: Callable[[], Awaitable[bool]] | None = None


class Once:
    """Runs a creating request's work in one transaction, once per Idempotency-Key, then replays its answer."""

    def __init__(self, db: Database, key: idempotency.Key | None) -> None:
        self.db, self.key = db, key

    async def __call__(
        self, work: Callable[[Tx], Awaitable[Any]], *, location: str | None = None, status: int = 201
    ) -> Response[Any]:
        """The answer to `work`'s result as JSON; `location` is filled with the result's id."""

        async def in_transaction(tx: Tx) -> Response[Any]:
            if self.key and (kept := await idempotency.claim(tx, self.key)):
                return _replay(kept)
            made = await work(tx)
            headers = {"location": location.format(id=made.id)} if location else {}
            answer = msgspec.json.encode(made)
            if self.key:
                await idempotency.keep(tx, self.key, status, headers, answer)
            return json_answer(answer, status, headers)

        return await self.db.transact(in_transaction)


def _replay(kept: idempotency.Kept) -> Response[Any]:
    headers = (kept.headers or {}) | {"idempotency-replayed": "true"}
    return json_answer(kept.answer or b"", kept.status or 200, headers)


def json_answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[Any]:
    """An answer whose JSON is made already."""
    return Response(body, status_code=status, media_type=MediaType.JSON, headers=dict(headers or {}))


# A plain function would be run in a thread, which costs more than the call it guards.
async def only_services(connection: ASGIConnection[Any, Any, Any, Any], _: Any) -> None:
    """Guard of internal routes: to anyone but our own services they do not exist."""
    if not connection.app.state.door.is_service(connection.headers.get(SERVICE_HEADER)):
        raise NotFound


async def _caller(request: Req) -> Caller:
    return await request.app.state.door.someone(request.headers.get("authorization"))


async def _visitor(request: Req) -> Caller | None:
    return await request.app.state.door.who(request.headers.get("authorization"))


async def _once(request: Req) -> Once:
    db: Database = request.app.state.db
    return Once(db, await request_key(request))


async def request_key(request: Req) -> idempotency.Key | None:
    """The request's Idempotency-Key, scoped to its caller; raises `NotValid` for an empty or overlong one."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 1 <= len(key) <= 255 or not key.isprintable():
        raise NotValid(Mistake("header.Idempotency-Key", "must be 1 to 255 printable characters"))
    caller = await _visitor(request)
    secret = request.app.state.door.secret_for("idempotency")
    asked = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
    digest = idempotency.fingerprint(request.method, asked, await request.body(), secret=secret)
    return idempotency.Key(str(caller.id) if caller else "anyone", key, digest)


def build(
    name: str,
    routes: Sequence[ControllerRouterHandler],
    *,
    door: Door,
    db: Database | None = None,
    offers: Mapping[str, Any] | None = None,
    loops: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
    ready: Callable[[], Awaitable[bool]] | None = None,
    max_body: int = 2 * 2**20,
) -> Service:
    """A service of these routes. `offers` are further things handlers may take by name."""
    given = {"db": db, **(offers or {})}
    constant = {key: Provide(_always(thing), use_cache=True, sync_to_thread=False) for key, thing in given.items()}
    asked = {
        "caller": Provide(_caller),
        "visitor": Provide(_visitor),
        "once": Provide(_once),
        "key": Provide(request_key),
    }
    app = Litestar(
        [*routes, _healthz, _readyz, _metrics, _openapi],
        dependencies=constant | asked,
        exception_handlers={Exception: _to_problem},
        openapi_config=None,  # `kit.openapi` makes the document
        state=State({"name": name, "door": door, "db": db, "ready": ready}),
        request_class=StrictRequest,
        request_max_body_size=max_body,
        logging_config=None,
    )
    return Service(name, _observe(name, app), loops, ready)


def _always(thing: Any) -> Callable[[], Any]:
    return lambda: thing


def _observe(name: str, app: Any) -> Any:
    """Pure ASGI around the application: ids in, status and time out."""

    async def observing(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        status = [500]
        adopt_ids(scope["headers"])
        before = deadlines.adopt(scope["headers"])

        async def note(message: Any) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
            await send(message)

        try:
            with observed(name, scope, status):
                await app(scope, receive, note)
        finally:
            deadlines.back_to(before)

    return observing


def problem_answer(problem: Problem) -> Response[Any]:
    """The problem as an RFC 9457 answer."""
    body = msgspec.json.encode(problem.document(), enc_hook=str)
    return Response(body, status_code=problem.status, media_type=MEDIA_TYPE, headers=problem.headers())


class StrictRequest(Request[Any, Any, State]):
    """A request whose JSON is taken at its word: decoded straight into the handler's type, numbers are no dates."""

    async def json(self) -> Any:
        """The body as the handler's type. Raises `WrongMediaType`, and `ValidationException` for all that is wrong."""
        _refuse_other_media(self.headers.get("content-type"), self.headers.get("content-encoding"))
        try:
            kind: Any = self.scope["route_handler"].parsed_data_field
            return _decoder(kind.annotation).decode(await self.body())
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as e:
            raise ValidationException from e


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _refuse_other_media(said: str | None, encoding: str | None) -> None:
    """JSON in UTF-8 is what we read; without a word about it, it is taken for that."""
    kind, _, rest = (said or "application/json").lower().partition(";")
    charset = rest.partition("charset=")[2].strip(' "') or "utf-8"
    if kind.strip() != "application/json" or charset != "utf-8" or encoding not in (None, "identity"):
        raise WrongMediaType("Send JSON: Content-Type: application/json, in UTF-8 and not compressed.")


class _Later(Response[Any]):
    """An answer that is made while it is sent: the framework wants one at once, we must first await the body."""

    def __init__(self, error: Exception) -> None:
        super().__init__(None)
        self._error = error

    def to_asgi_response(self, app: Any, request: Any, **_: Any) -> Any:  # noqa: ARG002 why: the framework's signature
        async def respond(scope: Any, receive: Any, send: Any) -> None:
            answer = problem_answer(await _as_problem(request, self._error))
            respond_with: Any = getattr(answer, "to_asgi_response")  # noqa: B009 why: its type is partly unknown
            await respond_with(None, request)(scope, receive, send)

        return respond


def _to_problem(_: Req, error: Exception) -> Response[Any]:
    return _Later(error)


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


@get("/healthz", include_in_schema=False)
async def _healthz() -> dict[str, str]:
    return {"status": "ok"}


@get("/readyz", include_in_schema=False)
async def _readyz(request: Req) -> Response[Any]:
    ready = request.app.state.ready
    good = True if ready is None else await ready()
    return Response({"status": "ok" if good else "not ready"}, status_code=200 if good else 503)


@get("/metrics", include_in_schema=False, media_type="text/plain; version=0.0.4")
async def _metrics() -> bytes:
    return metrics_page()


@get("/internal/openapi.json", include_in_schema=False)
async def _openapi(request: Req) -> dict[str, Any]:
    return openapi.document(request.app)
