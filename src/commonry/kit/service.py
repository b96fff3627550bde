"""One way to build every service: routes plus health, metrics, problems, ids, and what handlers may ask for.

Handlers take what they need by name: `caller` (401 without a valid token), `visitor` (or nobody), `db`, `once` (the
Idempotency-Key, see there), and whatever the service adds. Routes under `/internal` answer to other services only.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar

import msgspec
from litestar import Litestar, MediaType, Request, Response, get
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import ValidationException
from litestar.types import ControllerRouterHandler

from commonry.kit import deadlines, idempotency, openapi, traces
from commonry.kit.auth import SERVICE_HEADER, Caller, Door
from commonry.kit.backlog import Fact, watching
from commonry.kit.db import Database, Tx
from commonry.kit.problems import Mistake, NotFound, NotValid, WrongMediaType
from commonry.kit.refusals import Answering, Req, answering, problem_answer
from commonry.kit.telemetry import adopt_ids, metrics_page, observed

T = TypeVar("T")


class Service(NamedTuple):
    """A built service: its application, the loops to keep running beside it, and whether it can work.

    `loops` do due work; `watch` only looks at what there is to do, and runs even where nobody does any.
    """

    name: str
    app: Any
    loops: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()
    ready: Callable[[], Awaitable[bool]] | None = None
    watch: Callable[[], Coroutine[Any, Any, None]] | None = None


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
    facts: Sequence[Fact] = (),
    max_body: int = 2 * 2**20,
    asked: Mapping[str, Callable[..., Awaitable[Any]]] | None = None,
    refused: Answering = lambda _, problem: problem_answer(problem),
) -> Service:
    """A service of these routes.

    `offers` are more that handlers may take by name, `asked` what is made for each request that takes it, `facts` what
    its metrics tell, `refused` makes the answer to what a handler raised.
    """
    given = {"db": db, **(offers or {})}
    constant = {key: Provide(_always(thing), use_cache=True, sync_to_thread=False) for key, thing in given.items()}
    made = {
        "caller": Provide(_caller),
        "visitor": Provide(_visitor),
        "once": Provide(_once),
        "key": Provide(request_key),
        **{name: Provide(make) for name, make in (asked or {}).items()},
    }
    app = Litestar(
        [*routes, _healthz, _readyz, _metrics, _openapi],
        dependencies=constant | made,
        exception_handlers={Exception: answering(refused)},
        openapi_config=None,  # `kit.openapi` makes the document
        state=State({"name": name, "door": door, "db": db, "ready": ready}),
        request_class=StrictRequest,
        request_max_body_size=max_body,
        logging_config=None,
    )
    return Service(
        name, _observe(name, traces.served(name, app)), loops, ready, watching(db, facts) if db and facts else None
    )


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
