"""What the platform says about itself: metrics, JSON logs, request and trace ids.

Label values come from route templates and code, never from people: no id, e-mail or token in a label or a log line.
Trace ids follow W3C Trace Context, so that any collector can join what several processes wrote.
"""

import logging
import re
import secrets
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec
import structlog
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest

requests_seconds = Histogram(
    "commonry_request_seconds",
    "Time to answer a request, by service, method, route template and status class.",
    ["service", "method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
requests_running = Gauge("commonry_requests_running", "Requests being answered right now.", ["service"])
due_failures = Counter("commonry_due_failures_total", "Times a due row failed and was backed off.", ["queue"])
due_stuck = Gauge("commonry_due_stuck", "Due rows that keep failing and want a person's look.", ["queue"])
cache_lookups = Counter("commonry_cache_lookups_total", "Cache look-ups by what came of them.", ["cache", "outcome"])
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
    given = {name: value.decode("latin-1") for name, value in headers if name in (b"x-request-id", b"traceparent")}
    rid = given.get(b"x-request-id", "")
    trace = _TRACE.fullmatch(given.get(b"traceparent", ""))
    request_id.set(rid if _ID.fullmatch(rid) else secrets.token_hex(12))
    trace_id.set(trace[1] if trace else secrets.token_hex(16))
    return request_id.get(), trace_id.get()


def outgoing_ids() -> dict[str, str]:
    """Headers that carry the present ids to another service."""
    if not request_id.get():
        return {}
    return {REQUEST_ID: request_id.get(), "traceparent": f"00-{trace_id.get()}-{secrets.token_hex(8)}-01"}


_children: dict[tuple[str, str, str, str], Any] = {}


@contextmanager
def observed(service: str, scope: Any, status: list[int]) -> Generator[None]:
    """Count and time one request; `status[0]` is filled in by whoever sends the answer."""
    running = requests_running.labels(service)
    running.inc()
    started = time.perf_counter()
    try:
        yield
    finally:
        running.dec()
        key = (service, scope["method"], scope.get("path_template") or "unrouted", f"{status[0] // 100}xx")
        child = _children.get(key) or _children.setdefault(key, requests_seconds.labels(*key))
        child.observe(time.perf_counter() - started)
