"""Sends spans to an OTLP/HTTP collector, many at a time, from a thread of its own. Imported only where traces are on.

OpenTelemetry's SDK says how a span looks on the wire and sends it. A collector that is away or slow costs the spans
that would have to wait too long, which are counted, and a line in the log when that begins and one when it is over.
"""

import logging
import os
import socket
import threading
from collections import deque
from functools import cache
from importlib.metadata import version

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from commonry.kit.traces import Place, Span, dropped

MOST = 4096
"""Spans that may wait; more are dropped."""
BATCH = 512
EVERY = 1.0
"""Seconds between two rounds, unless a batch is full before."""
PATIENCE = 5.0
"""Seconds for one batch, tries included."""
LAST_WORDS = 2.0
"""Seconds that the end of the process waits for what is not sent yet."""

KINDS = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER, "client": SpanKind.CLIENT}
SCOPE = InstrumentationScope("commonry", version("commonry"))
SAMPLED = TraceFlags(TraceFlags.SAMPLED)

log = structlog.get_logger()


class Collector:
    """A `kit.traces.Sink`."""

    def __init__(self, url: str) -> None:
        for why in ("too_many", "not_taken"):
            dropped.labels(why)
        # Its library would print what we count and tell once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
        self._exporter = OTLPSpanExporter(endpoint=f"{url.rstrip('/')}/v1/traces", timeout=PATIENCE)
        self._waiting: deque[Span] = deque()
        self._wake, self._is_over, self._is_away = threading.Event(), False, False
        self._thread = threading.Thread(target=self._work, name="traces", daemon=True)
        self._thread.start()

    def add(self, span: Span) -> None:
        """Note a span that is over. Never waits."""
        if len(self._waiting) >= MOST:
            dropped.labels("too_many").inc()
            return
        self._waiting.append(span)
        if len(self._waiting) == BATCH:
            self._wake.set()

    def close(self) -> None:
        """Send what is left, if that is quick."""
        self._is_over = True
        self._wake.set()
        self._thread.join(LAST_WORDS)
        self._exporter.shutdown()

    def _work(self) -> None:
        while not self._is_over:
            self._wake.wait(EVERY)
            self._wake.clear()
            while self._waiting:
                self._send([self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))])

    def _send(self, spans: list[Span]) -> None:
        try:
            is_taken = self._exporter.export([_as_sdk(span) for span in spans]) is SpanExportResult.SUCCESS
        except Exception as e:  # why: the thread outlives whatever the library makes of a collector's answer
            log.warning("spans not sent", trouble=repr(e))
            is_taken = False
        if not is_taken:
            dropped.labels("not_taken").inc(len(spans))
        if is_taken == self._is_away:
            self._is_away = not is_taken
            log.warning("the collector of traces is away" if self._is_away else "the collector of traces is back")


def _as_sdk(span: Span) -> ReadableSpan:
    return ReadableSpan(
        span.name,
        context=_context(span.place, is_remote=False),
        parent=_context(span.above, is_remote=span.kind == "server") if span.above else None,
        resource=_resource(span.service),
        attributes=span.attributes | ({"error.type": span.failure} if span.failure else {}),
        links=[Link(_context(place, is_remote=True)) for place in span.links],
        kind=KINDS[span.kind],
        status=Status(StatusCode.ERROR) if span.failure else Status(StatusCode.UNSET),
        start_time=span.began,
        end_time=span.ended,
        instrumentation_scope=SCOPE,
    )


def _context(place: Place, *, is_remote: bool) -> SpanContext:
    return SpanContext(int(place.trace, 16), int(place.span, 16), is_remote, SAMPLED)


@cache  # one a service
def _resource(service: str) -> Resource:
    return Resource(
        {
            "service.namespace": "commonry",
            "service.name": service,
            "service.version": version("commonry"),
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
        }
    )
