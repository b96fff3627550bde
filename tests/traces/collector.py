"""A collector of traces as the standard describes it: OTLP over HTTP, protobuf; it keeps what it is sent."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Encoded

from tests.platform import free_port

KINDS = {
    Encoded.SPAN_KIND_INTERNAL: "internal",
    Encoded.SPAN_KIND_SERVER: "server",
    Encoded.SPAN_KIND_CLIENT: "client",
}


class Span(NamedTuple):
    """A span as it arrived."""

    service: str
    instance: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, str]
    links: list[str]
    failed: bool
    nanoseconds: int


class Collector:
    """What has arrived. While `refuses`, it takes nothing."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.spans: list[Span] = []
        self.bodies: list[bytes] = []
        self.refuses = False

    async def take(self, request: web.Request) -> web.Response:
        """The one call of the protocol."""
        assert request.headers["content-type"] == "application/x-protobuf"
        body = await request.read()
        if self.refuses:
            return web.Response(status=400)
        self.bodies.append(body)
        self.spans += decoded(body)
        return web.Response(content_type="application/x-protobuf")

    def of(self, trace: str) -> list[Span]:
        """The spans of one trace."""
        return [span for span in self.spans if span.trace == trace]


def decoded(body: bytes) -> Iterable[Span]:
    """The spans of a message."""
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        whose = {a.key: a.value.string_value for a in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                assert span.end_time_unix_nano >= span.start_time_unix_nano > 0
                yield Span(
                    whose["service.name"],
                    whose["service.instance.id"],
                    span.name,
                    KINDS[span.kind],
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    {a.key: a.value.string_value or str(a.value.int_value) for a in span.attributes},
                    [link.trace_id.hex() for link in span.links],
                    span.status.code == span.status.STATUS_CODE_ERROR,
                    span.end_time_unix_nano - span.start_time_unix_nano,
                )


@asynccontextmanager
async def collecting(port: int = 0) -> AsyncGenerator[Collector]:
    """A collector that listens."""
    port = port or free_port()
    made = Collector(port)
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/traces", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield made
    finally:
        await runner.cleanup()
