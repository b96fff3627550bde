"""What the platform says about itself: metrics, JSON logs, request and trace ids.

Label values come from route templates and code, never from people: no id, e-mail or token in a label or a log line.
Trace ids follow W3C Trace Context, so that any collector can join what several processes wrote.
"""

import asyncio
import atexit
import logging
import random
import re
import secrets
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any

import msgspec
import structlog
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Upper bounds of the buckets in which times to answer are counted; one more is for all that is longer."""

requests_seconds = Histogram(
    "commonry_request_seconds",
    "Time to answer a request, by service, method, route template and status class.",
    ["service", "method", "route", "status"],
    buckets=SECONDS,
)
requests_running = Gauge("commonry_requests_running", "Requests being answered right now.", ["service"])
due_failures = Counter("commonry_due_failures_total", "Times a due row failed and was backed off.", ["queue"])
due_stuck = Gauge("commonry_due_stuck", "Due rows that keep failing and want a person's look.", ["queue"])
cache_lookups = Counter("commonry_cache_lookups_total", "Cache look-ups by what came of them.", ["cache", "outcome"])
refused = Counter(
    "commonry_refused_total", "Requests turned away at the door: the limit that was reached, or overload.", ["why"]
)
loop_late = Gauge("commonry_loop_late_seconds", "How late the gateway's event loop is, at least, these 150 ms.")
cached_bytes = Gauge("commonry_cached_bytes", "Bytes of answers that this gateway keeps in memory.")
cache_purges = Counter("commonry_cache_purges_total", "Messages that something changed which answers may be about.")
breaker_open = Gauge(
    "commonry_breaker_open", "1 while nothing is sent to a replica, or to `all` of a service.", ["service", "replica"]
)
upstream_tries = Counter(
    "commonry_upstream_tries_total",
    "Requests sent once more: passed on (nothing had been sent), repeated, or hedged (the first was slow).",
    ["service", "why"],
)
pool_waiting = Gauge("commonry_database_pool_waiting", "Requests waiting for a database connection.", ["service"])

REQUEST_ID = "x-request-id"
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_TRACE = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")

request_id: ContextVar[str] = ContextVar("request_id", default="")
trace_id: ContextVar[str] = ContextVar("trace_id", default="")


def metrics_page() -> bytes:
    """All metrics of this process in Prometheus' text format."""
    return generate_latest(REGISTRY)


def set_up_logs(level: str) -> None:
    """One JSON object a line on standard error, with the ids of the request being answered."""
    access.enabled = logging.getLevelNamesMapping()[level.upper()] <= logging.INFO
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_ids,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dump),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )


class AccessLog:
    """A line for every request, as the log has them, written a moment later, many at a time."""

    KEPT, SECONDS = 500, 0.2

    def __init__(self) -> None:
        self.enabled = False
        self._lines: list[str] = []
        self._second, self._stamp = 0, ""
        atexit.register(self.flush)

    def request(self, method: str, route: str, status: int, seconds: float, rid: str, trace: str) -> None:
        """Note one request."""
        if not self.enabled:
            return
        # Nothing in here needs escaping: methods and routes are the code's, ids are checked when they are adopted.
        self._lines.append(
            f'{{"method":"{method}","route":"{route}","status":{status},"ms":{seconds * 1000:.2f},"event":"request",'
            f'"level":"info","timestamp":"{self._now()}","request_id":"{rid}","trace_id":"{trace}"}}\n'
        )
        if len(self._lines) == 1:
            self._later()
        elif len(self._lines) >= self.KEPT:
            self.flush()

    def _now(self) -> str:
        second, ms = divmod(int(time.time() * 1000), 1000)
        if second != self._second:
            self._second = second
            self._stamp = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._stamp}.{ms:03d}Z"

    def _later(self) -> None:
        try:
            asyncio.get_running_loop().call_later(self.SECONDS, self.flush)
        except RuntimeError:  # no loop, nothing to wait with
            self.flush()

    def flush(self) -> None:
        """Write what is noted."""
        if self._lines:
            lines, self._lines = self._lines, []
            with suppress(OSError, ValueError):  # nobody reads our log any more
                sys.stderr.buffer.write("".join(lines).encode())
                sys.stderr.buffer.flush()


access = AccessLog()


def _dump(event: Any, **_: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=repr)


def _add_ids(_: Any, __: str, event: Any) -> Any:
    if rid := request_id.get():
        event["request_id"] = rid
    if tid := trace_id.get():
        event["trace_id"] = tid
    return event


def adopt_ids(headers: list[tuple[bytes, bytes]]) -> tuple[str, str]:
    """The request's ids: the caller's where they are well formed, else new ones. Sets the context variables."""
    rid = trace = ""
    for name, value in headers:
        if name == b"x-request-id":
            said = value.decode("latin-1")
            rid = said if _ID.fullmatch(said) else ""
        elif name == b"traceparent":
            found = _TRACE.fullmatch(value.decode("latin-1"))
            trace = found[1] if found else ""
    rid, trace = rid or new_request_id(), trace or new_trace_id()
    set_ids(rid, trace)
    return rid, trace


def set_ids(rid: str, trace: str) -> None:
    """From now on, in this task, logs and calls carry these ids."""
    request_id.set(rid)
    trace_id.set(trace)


_process, _numbers = secrets.token_hex(8), count(1)


def new_request_id() -> str:
    """An id that no other request has: this process's own random part, and a number."""
    return f"{_process}{next(_numbers):08x}"


def new_trace_ids() -> tuple[str, str]:
    """A trace's and a span's id: 128 and 64 random bits in hex. Nothing is protected by them."""
    both = f"{random.getrandbits(192):048x}"
    return both[:32], both[32:]


def new_trace_id() -> str:
    """A trace's id alone."""
    return f"{random.getrandbits(128):032x}"


def new_span_id() -> str:
    """A span's id alone."""
    return f"{random.getrandbits(64):016x}"


def outgoing_ids() -> dict[str, str]:
    """Headers that carry the present ids to another service."""
    if not request_id.get():
        return {}
    return {REQUEST_ID: request_id.get(), "traceparent": f"00-{trace_id.get()}-{new_span_id()}-01"}


@cache  # few: services, methods, route templates and status classes
def timer(service: str, method: str, route: str, status: str) -> Any:
    """The child of `requests_seconds` with these labels."""
    return requests_seconds.labels(service, method, route, status)


def observe_many(child: Any, counts: list[int], seconds: float) -> None:
    """So many observations in each bucket of `SECONDS` and beyond, `seconds` together."""
    child._sum.inc(seconds)  # noqa: SLF001 why: the library takes them one by one only, which costs more than the answer
    for bucket, number in zip(child._buckets, counts, strict=True):  # noqa: SLF001
        if number:
            bucket.inc(number)


@cache
def running(service: str) -> Any:
    """The child of `requests_running` of this service."""
    return requests_running.labels(service)


@contextmanager
def observed(service: str, scope: Any, status: list[int]) -> Generator[None]:
    """Count and time one request; `status[0]` is filled in by whoever sends the answer."""
    gauge = running(service)
    gauge.inc()
    started = time.perf_counter()
    try:
        yield
    finally:
        gauge.dec()
        route = scope.get("path_template") or "unrouted"
        timer(service, scope["method"], route, f"{status[0] // 100}xx").observe(time.perf_counter() - started)
