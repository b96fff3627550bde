"""The gateway's HTTP/1.1: uvicorn's, made strict, with a fast lane for plain reads.

Strict: what two programs could understand differently (two lengths, a length and chunks, folded lines, no host or
two) is 400 and the end of the connection; heads have a size and a time; who does not read is cut off.

The fast lane: a GET that arrives whole, without anything unusual in its head, is not parsed again each time. Its head
is looked up (`heads`); if a fresh answer is kept it goes out at once, in one write; else the application is called
without the machinery that bodies need. Everything else goes the usual way, to the same application.
"""

import asyncio
import re
import time
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from commonry.contracts.settings import Settings
from commonry.gateway.admission import Lag
from commonry.gateway.caching.entries import Entry
from commonry.gateway.caching.question import hits
from commonry.gateway.caching.serving import ResponseCache
from commonry.gateway.edge import SECURITY, Edge, completed
from commonry.gateway.far import FarService
from commonry.gateway.forward import Services
from commonry.gateway.heads import MOST_FIELDS, Head, head_of, is_strange
from commonry.gateway.inside import Inside
from commonry.gateway.quick import Quick
from commonry.gateway.relay import Relay
from commonry.gateway.routes import route_of
from commonry.kit.asgi import problem_reply, start_of
from commonry.kit.http.connection import Answered
from commonry.kit.http.messages import Fault, lines
from commonry.kit.problems import BadRequest, HeadersTooLarge, Problem, TooSlow
from commonry.kit.telemetry import access, new_request_id

LONGEST_HEAD = 32 * 1024
"""Bytes of a head, and of whatever else comes without a byte of a body: trailers, extensions of chunks."""
KEPT_ALIVE = 75.0
"""Seconds an idle connection is kept."""
MOST_HELD = 64 * 1024
"""Bytes of further requests that may wait behind one in the fast lane."""
SWEEP_SECONDS = 1.0


class Lane(HttpToolsProtocol):
    """One client's connection."""

    edge: Edge
    cache: ResponseCache
    services: Services
    lag: Lag
    settings: Settings
    open: set["Lane"]
    """Every connection there is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_message = self._in_head = self._closing = False
        self._without_body, self._head_began, self._answered_at = 0, 0.0, 0.0
        self._was_active, self._idle_since = True, self.loop.time()
        self._stalled_at: float | None = None
        self._unsent = 0
        self._quick: Quick | Relay | None = None
        self._held = b""
        self._is_spared = self._is_admitted = False
        self._refusal: Problem | None = None

    # bytes come in

    def data_received(self, data: bytes) -> None:
        """Whatever the client sends."""
        if self._quick is not None:
            self._hold(data)
            return
        self._was_active = True
        if data[:4] == b"GET " and data[-4:] == b"\r\n\r\n" and self._is_free() and self._took(data):
            return
        self._without_body += len(data)
        super().data_received(data)
        if self._in_message and self._without_body > LONGEST_HEAD and not self.transport.is_closing():
            self.refuse(HeadersTooLarge())

    def _is_free(self) -> bool:
        """Whether nothing of another request is here, and its answer would not pile up."""
        return not (self._in_message or self.pipeline or self._stalled_at is not None or self._is_answering())

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > MOST_HELD:
            self.flow.pause_reading()

    def _took(self, data: bytes) -> bool:
        """Whether the fast lane took this request."""
        end = data.find(b"\r\n")
        head = head_of(data[end + 2 :]) if len(data) <= LONGEST_HEAD else None
        if head is None or data[end - 9 : end] != b" HTTP/1.1":
            return False
        target = data[4 : end - 9]
        if head.may_hit and (entry := self.cache.entries.get(target)) is not None and self._hit(entry, head, target):
            return True
        if not _PLAIN.fullmatch(target):
            return False
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        self._is_admitted = False
        self._quick = self._relayed(head, target) or self._usual(head, target, None)
        return True

    def _usual(self, head: Head, target: bytes, begun: Answered | Fault | None) -> Quick:
        return Quick(self, self.edge, self.quick_done, head, target, begun, is_admitted=self._is_admitted)

    def _relayed(self, head: Head, target: bytes) -> "Relay | Inside | None":
        """The request on the shortest way to its service, if it is not for keeping and nothing speaks against it."""
        personal = head.asked.is_personal
        if not head.may_be_relayed or (not personal and not self.cache.passes(target)):
            return None
        route = route_of(target)
        if route is None or (personal and self.cache.is_for_all(target)):
            return None
        client = self._peer(head)
        if self.lag.is_over or not (self._is_spared or self.edge.admission.admits_read(client)):
            return None
        self._is_admitted = True

        def otherwise(begun: Answered | Fault | None) -> None:
            self._quick = self._usual(head, target, begun)

        service = self.services[route.service]
        if isinstance(service, FarService):
            relay = Relay(self, self.edge, head, route.prefix)
            return relay if relay.begin(service, target, client, self.quick_done, otherwise) else None
        inside = Inside(self, self.edge, head, route.prefix)
        inside.begin(service.app, target, client, self.quick_done, otherwise)
        return inside

    def _peer(self, head: Head) -> str:
        return self.edge.admission.client(self.client[0] if self.client else "", head.headers)

    def _hit(self, entry: Entry, head: Head, target: bytes) -> bool:
        """Answer with what is kept, if it is fresh and for everyone."""
        began = time.monotonic()
        age = began - entry.made_at
        if not entry.is_plain or age >= entry.life.fresh or not self.cache.entries.would_hear(age):
            return False
        if self.lag.is_over or not (self._is_spared or self.edge.admission.admits_read(self._peer(head))):
            return False
        second = int(age)
        ready = entry.ready if entry.ready_for == second else self._ready(entry, target, second)
        rid = head.request_id or new_request_id()
        self.transport.write(b"".join((ready, rid.encode(), b"\r\n\r\n", entry.body)))
        seconds = time.monotonic() - began
        hits.note(entry.route, seconds)
        access.request("GET", entry.route, 200, seconds, rid, head.trace_id)
        return True

    def _ready(self, entry: Entry, target: bytes, age: int) -> bytes:
        """The head of a hit but for the request's id, made once a second."""
        if not entry.route:
            entry.route = getattr(route_of(target), "prefix", "unrouted")
        how = b"commonry; hit; ttl=%d" % (int(entry.life.fresh) - age)
        said = [(b"age", b"%d" % age), (b"cache-status", how), (b"content-length", b"%d" % len(entry.body))]
        fields = [*self.server_state.default_headers, *completed([*entry.headers(), *said])]
        entry.ready = b"%b%bx-request-id: " % (STATUS_LINE[200], lines(fields))
        entry.ready_for = age
        return entry.ready

    # what the parser tells

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_message = self._in_head = True
        self._without_body, self._head_began = 0, self.loop.time()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of its head; one that comes after the body is nothing to us."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Its head is there."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if len(self.headers) > MOST_FIELDS or size > LONGEST_HEAD:
            self._refusal = HeadersTooLarge()
            raise ValueError("too large")
        if why := is_strange(self.headers, cast(httptools.HttpRequestParser, self.parser).get_http_version()):
            self._refusal = BadRequest(why)
            raise ValueError(why)
        super().on_headers_complete()
        self._in_head = False

    def on_body(self, body: bytes) -> None:
        """A piece of its body."""
        self._without_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """It is there whole."""
        self._in_message = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """It is answered."""
        self._was_active, self._answered_at = True, self.loop.time()
        super().on_response_complete()

    # answers to what is no request

    def send_400_response(self, msg: str) -> None:
        """What cannot be read is refused with a problem document, and nothing more is read from there."""
        self.refuse(self._refusal or BadRequest(f"{BadRequest.__doc__} {msg}"))

    def refuse(self, problem: Problem) -> None:
        """Answer with this problem and close. Where another answer is under way, it is cut off instead."""
        if self._is_answering():
            if self._in_head or not self._in_message or self.pipeline or self.cycle.response_started:
                self.transport.abort()
                return
            self.cycle.disconnected = True  # whatever the application still says of this request
            self.cycle.message_event.set()
        reply = problem_reply(problem)
        extra = [(b"connection", b"close"), (b"x-request-id", new_request_id().encode()), *SECURITY]
        fields = [*self.server_state.default_headers, *start_of(reply)["headers"], *extra]
        self.transport.write(STATUS_LINE[problem.status] + lines(fields) + b"\r\n" + reply.body)
        self.transport.close()

    # time

    def look(self, now: float) -> None:
        """Now and then: close what is idle, too slow, or does not read."""
        if self._was_active:
            self._was_active, self._idle_since = False, now
        if self._stalled_at is not None:
            self._look_at_stalled(now, self._stalled_at)
        elif self._in_head:
            if now - self._head_began > self.settings.header_seconds:
                self.refuse(TooSlow())
        elif isinstance(self._quick, Quick):
            if now - self._idle_since > self.settings.answer_seconds:
                self._quick.hurry()
        elif self._quick is None and not self._is_answering():
            still_sends = self._in_message and now - self._answered_at > self.settings.header_seconds
            if still_sends or now - self._idle_since > KEPT_ALIVE:
                self.transport.close()

    def _look_at_stalled(self, now: float, since: float) -> None:
        before, self._unsent = self._unsent, self.transport.get_write_buffer_size()
        if self._unsent < before:
            self._stalled_at = now
        elif now - since > self.settings.send_seconds:
            self.transport.abort()

    def _is_answering(self) -> bool:
        """Whether a request is under way that took the usual way."""
        return self.cycle is not None and not self.cycle.response_complete  # pyright: ignore[reportUnnecessaryComparison]

    def pause_writing(self) -> None:
        """The client takes nothing at the moment."""
        self._stalled_at, self._unsent = self.loop.time(), self.transport.get_write_buffer_size()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        self._stalled_at = None
        super().resume_writing()

    # the end

    def quick_done(self) -> None:
        """The fast lane has answered: go on with what came meanwhile."""
        self._quick = None
        self._was_active = True
        if self._closing:
            self.transport.close()
        elif self._held and not self.transport.is_closing():
            held, self._held = self._held, b""
            self.flow.resume_reading()
            self.data_received(held)

    def shutdown(self) -> None:
        """The server ends: finish what is under way, take no more."""
        if self._quick is None:
            super().shutdown()
        self._closing = True

    def connection_made(self, transport: asyncio.Transport) -> None:
        """A client has come."""
        self.open.add(self)
        super().connection_made(transport)
        self._is_spared = self.edge.admission.spares(self.client[0] if self.client else "")

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, and with it its request."""
        self.open.discard(self)
        if self._quick is not None:
            self._quick.cancel()
        super().connection_lost(exc)


_PLAIN = re.compile(rb"/(?!/)[A-Za-z0-9\-._~!$&'()*+,;=:@/?%]*")
"""A path and a query of ordinary characters, so that there is nothing to parse."""


def protocol(edge: Edge, cache: ResponseCache, services: Services, settings: Settings) -> type[Lane]:
    """The protocol of a server for this application, which stands before these services."""
    told: dict[str, Any] = {"edge": edge, "cache": cache, "services": services, "settings": settings}
    told |= {"lag": edge.admission.lag, "open": set[Lane]()}
    return type("GatewayLane", (Lane,), told)


async def look_after(kind: type[Lane]) -> None:
    """Keep the time of all connections, for ever."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        hits.flush()
        now = asyncio.get_running_loop().time()
        for connection in list(kind.open):
            connection.look(now)
