"""The gateway's HTTP/1.1: `strict`, with a fast lane for plain reads.

A GET that arrives whole, without anything unusual in its head, is not parsed again each time. Its head is looked up
(`heads`). If a fresh answer is kept it goes out at once, in one write; one that is not for keeping takes the shortest
way to its service (`relay`, `inside`); else the application is called without the machinery that bodies need
(`quick`). Everything else goes the usual way, to the same application.
"""

import asyncio
import re
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from commonry.contracts.settings import Settings
from commonry.gateway.admission import Lag
from commonry.gateway.caching.entries import Entry
from commonry.gateway.caching.serving import ResponseCache
from commonry.gateway.edge import Edge, completed
from commonry.gateway.far import FarService
from commonry.gateway.forward import Services
from commonry.gateway.heads import Head, head_of
from commonry.gateway.inside import Inside
from commonry.gateway.quick import Quick
from commonry.gateway.relay import Relay
from commonry.gateway.routes import route_of
from commonry.gateway.strict import LONGEST_HEAD, Strict
from commonry.gateway.tally import tally
from commonry.kit.asgi import RawHeaders
from commonry.kit.http.connection import Answered
from commonry.kit.http.messages import Fault, lines
from commonry.kit.telemetry import access, new_request_id

_NO_LIMIT: RawHeaders = []
MOST_HELD = 64 * 1024
"""Bytes of further requests that may wait behind one in the fast lane."""
SWEEP_SECONDS = 1.0


class Lane(Strict):
    """One client's connection."""

    edge: Edge
    cache: ResponseCache
    services: Services
    lag: Lag

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._quick: Quick | Relay | None = None
        self._held = b""
        self._is_spared = self._closing = False
        self._limits: RawHeaders | None = None

    def data_received(self, data: bytes) -> None:
        """Whatever the client sends."""
        if self._quick is not None:
            self._hold(data)
        elif data[:4] == b"GET " and data[-4:] == b"\r\n\r\n" and self._is_free() and self._took(data):
            self._was_active = True
        else:
            super().data_received(data)

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
        self._limits = None
        self._quick = self._relayed(head, target) or self._usual(head, target, None)
        return True

    def _usual(self, head: Head, target: bytes, begun: Answered | Fault | None) -> Quick:
        return Quick(self, self.edge, self.quick_done, head, target, begun, self._limits)

    def go_on(self, head: Head, target: bytes, begun: Answered | Fault | None) -> None:
        """The shortest way has led nowhere, or to something that it does not deal with."""
        self._quick = self._usual(head, target, begun)

    def _relayed(self, head: Head, target: bytes) -> "Relay | Inside | None":
        """The request on the shortest way to its service, if it is not for keeping and nothing speaks against it."""
        personal = head.asked.is_personal
        if not head.may_be_relayed or (not personal and not self.cache.passes(target)):
            return None
        route = route_of(target)
        service = route and self.services.get(route.service)
        if route is None or service is None or (personal and self.cache.is_for_all(target)):
            return None
        address = self._peer(head)
        self._limits = self._admitted(address)
        if self._limits is None:
            return None
        limits = lines(self._limits) if self._limits else b""
        if isinstance(service, FarService):
            relay = Relay(self, self.edge, head, route.prefix, limits)
            return relay if relay.begin(service, target, address) else None
        inside = Inside(self, self.edge, head, route.prefix, limits)
        inside.begin(service.app, target, address)
        return inside

    def _admitted(self, client: str) -> RawHeaders | None:
        """What is left of this client's limit; None when it, or this process, has had enough."""
        if self.lag.is_over:
            return None
        return _NO_LIMIT if self._is_spared else self.edge.admission.admits_read(client)

    def _peer(self, head: Head) -> str:
        if self._is_spared:
            return self.client[0] if self.client else ""
        return self.edge.admission.client(self.client[0] if self.client else "", head.headers)

    def _hit(self, entry: Entry, head: Head, target: bytes) -> bool:
        """Answer with what is kept, if it is fresh and for everyone."""
        began = time.monotonic()
        age = began - entry.made_at
        if not entry.is_plain or age >= entry.life.fresh or not self.cache.entries.would_hear(age):
            return False
        limits = self._admitted(self._peer(head))
        if limits is None:
            return False
        second = int(age)
        ready = entry.ready if entry.ready_for == second else self._ready(entry, target, second)
        rid = head.request_id or new_request_id()
        end = b"\r\n%b\r\n" % lines(limits) if limits else b"\r\n\r\n"
        self.transport.write(b"".join((ready, rid.encode(), end, entry.body)))
        seconds = time.monotonic() - began
        tally.note("hit", entry.route, "2xx", seconds)
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

    def _is_busy(self, now: float) -> bool:
        """Whether the lane answers something; if that takes too long, it is told to give up."""
        if isinstance(self._quick, Quick) and now - self._idle_since > self.settings.answer_seconds:
            self._quick.hurry()
        return self._quick is not None

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
        super().connection_made(transport)
        self._is_spared = self.edge.admission.spares(self.client[0] if self.client else "")

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, and with it its request."""
        if self._quick is not None:
            self._quick.cancel()
        super().connection_lost(exc)


_PLAIN = re.compile(rb"/(?!/)[A-Za-z0-9\-._~!$&'()*+,;=:@/?%]*")
"""A path and a query of ordinary characters, so that there is nothing to parse."""


def protocol(edge: Edge, cache: ResponseCache, services: Services, settings: Settings) -> type[Lane]:
    """The protocol of a server for this application, which stands before these services."""
    told: dict[str, Any] = {"edge": edge, "cache": cache, "services": services, "settings": settings}
    told |= {"lag": edge.admission.lag, "open": set[Strict]()}
    return type("GatewayLane", (Lane,), told)


async def look_after(kind: type[Lane]) -> None:
    """Keep the time of all connections, for ever."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        tally.flush()
        now = asyncio.get_running_loop().time()
        for connection in list(kind.open):
            connection.look(now)
