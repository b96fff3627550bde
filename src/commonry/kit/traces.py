"""Spans: what was done for a request or a step of a saga, by whom, for how long, and as part of what.

Off until `kit.exporting` switches them on; until then a span is one shared object that does nothing. On, one is noted
when it ends, and sent by a thread of its own (`kit/otlp.py`), for which no request waits. Which traces are sent is
decided by their ids alone, so that every process decides alike; what callers say about that in a header is not heard.
"""

import re
import time
from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import Any, Literal, NamedTuple, Protocol, Self

from prometheus_client import Counter

from commonry.kit.telemetry import new_span_id, new_trace_id, outgoing_ids, request_id, set_ids, trace_id

dropped = Counter(
    "commonry_spans_dropped_total", "Spans that were not sent: too many waited, or the collector took none.", ["why"]
)

Kind = Literal["internal", "server", "client"]
SILENT = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that are asked for all the time, by those who look after us."""

_SAID = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Place(NamedTuple):
    """A span's place: its trace's id and its own, in hex."""

    trace: str
    span: str

    def __str__(self) -> str:
        """As a W3C `traceparent`."""
        return f"00-{self.trace}-{self.span}-01"


def place(said: str | None) -> Place | None:
    """The place that a `traceparent` names, None if it is not well formed."""
    found = _SAID.fullmatch(said) if said else None
    return Place(found[1], found[2]) if found else None


class Sink(Protocol):
    """Where spans go that are over."""

    def add(self, span: "Span") -> None: ...


class Recorder(NamedTuple):
    """What makes spans real: where they go, how many of all traces, and whose they are when nobody says."""

    sink: Sink
    bound: int
    process: str

    def wants(self, trace: str) -> bool:
        """Whether this trace is sent, by the last 64 bits of its id."""
        return int(trace[16:], 16) < self.bound


_recorder: Recorder | None = None
_current: ContextVar["Span | None"] = ContextVar("span", default=None)


class Span:
    """Something that is being done, for as long as the `with` block lasts."""

    def __init__(self, service: str, name: str, kind: Kind, place: Place, above: Place | None) -> None:
        self.service, self.name, self.kind, self.place, self.above = service, name, kind, place, above
        self.attributes: dict[str, str | int] = {}
        self.links: list[Place] = []
        self.failure = ""
        self.began, self.ended = time.time_ns(), 0
        self._token: Token[Span | None] | None = None

    def tell(self, attributes: Mapping[str, str | int], *, failure: str = "") -> None:
        """More about it. Never a person's id, address, or token."""
        self.attributes |= attributes
        self.failure = failure or self.failure

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._token:
            _current.reset(self._token)
        if kind is not None:
            self.failure = kind.__name__  # what an exception says may name people
        self.ended = time.time_ns()
        if _recorder:
            _recorder.sink.add(self)


class Nothing:
    """A span that is not made."""

    place = None

    def tell(self, attributes: Mapping[str, str | int], *, failure: str = "") -> None:
        """Nobody listens."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


_NOTHING = Nothing()


def is_on() -> bool:
    """Whether spans are made at all."""
    return _recorder is not None


def span(name: str, *, service: str = "", kind: Kind = "internal", above: Place | None = None) -> Span | Nothing:
    """A span below `above`, else below the one that is under way, else the first of this task's trace.

    If the one under way is of another trace, each of the two links to the other.
    """
    if _recorder is None:
        return _NOTHING
    now = _current.get()
    above = above or (now.place if now else None)
    trace = above.trace if above else trace_id.get() or new_trace_id()
    if not _recorder.wants(trace):
        return _NOTHING
    made = Span(service or (now.service if now else _recorder.process), name, kind, Place(trace, new_span_id()), above)
    if now and now.place.trace != trace:
        made.links.append(now.place)
        now.links.append(made.place)
    return made


def note(service: str, at: tuple[str, str], above: Place | None, route: str, status: int, seconds: float) -> None:
    """A GET that was answered without a task of its own, at this place; it took so long until now."""
    if _recorder is None or not _recorder.wants(at[0]):
        return
    it = Span(service, "GET", "server", Place(*at), above)
    it.ended = it.began
    it.began -= int(seconds * 1e9)
    answered(it, "GET", route, status)
    _recorder.sink.add(it)


def outgoing() -> dict[str, str]:
    """Headers that carry the present ids to another service, whose part will be below the span that is under way."""
    now = _current.get()
    return outgoing_ids() if now is None else outgoing_ids() | {"traceparent": str(now.place)}


def origin() -> str:
    """The `traceparent` for what outlives this request. It is that of our caller, who is there when we are killed."""
    now = _current.get()
    if now:
        return str(now.above or now.place)
    return str(Place(trace_id.get() or new_trace_id(), new_span_id()))


def resume(said: str | None) -> Place | None:
    """From now on, this task's logs and calls belong to the trace of this `traceparent`; the place in it."""
    found = place(said)
    if found:
        set_ids(request_id.get(), found.trace)
    return found


def served(service: str, app: Any) -> Any:
    """The application, each of whose requests is a span under its caller's; it itself while traces are off."""
    return _serving(service, app) if is_on() else app


def _serving(service: str, app: Any) -> Any:
    async def serving(scope: Any, receive: Any, send: Any) -> None:
        status = [500]

        async def note(message: Any) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
            await send(message)

        with request(service, scope["method"], scope["path"], _caller(scope["headers"])) as it:
            try:
                await app(scope, receive, note)
            finally:
                answered(it, scope["method"], scope.get("path_template") or "unrouted", status[0])

    return serving


def request(service: str, method: str, path: str, caller: Place | None) -> Span | Nothing:
    """A span for a request to us, below its caller's."""
    return _NOTHING if path in SILENT else span(method, service=service, kind="server", above=caller)


def answered(it: Span | Nothing, method: str, route: str, status: int) -> None:
    """Tell of a request to us how it was answered."""
    if not isinstance(it, Span):
        return
    it.name = f"{method} {route}"
    told: dict[str, str | int] = {
        "http.request.method": method,
        "http.route": route,
        "http.response.status_code": status,
    }
    it.tell(told, failure=str(status) if status >= 500 else "")


def _caller(headers: list[tuple[bytes, bytes]]) -> Place | None:
    said = next((value for name, value in headers if name == b"traceparent"), b"")
    return place(said.decode("latin-1"))


def template(path: str) -> str:
    """A path of our own without the ids in it."""
    return _ID.sub("{id}", path)


def record_to(sink: Sink, share: float, process: str) -> None:
    """From now on spans are made of this share of all traces. To be said before anything is built."""
    global _recorder
    _recorder = Recorder(sink, round(share * 2**64), process)


def stop() -> None:
    """From now on none are made."""
    global _recorder
    _recorder = None
