"""What happens to every request on its way in and out, whoever answers it.

Ids are adopted and returned, headers that speak for a service are taken off, the client's address is made sure of,
security headers put on, one line of access log and one observation in the metrics are written. Nothing that is raised
below gets past here as anything but a problem document.

Whoever answers leaves in the scope what belongs into the answer's head: `how` it was come by (Cache-Status), `limits`
(what is left of a rate limit), `methods` (what a 405 should say).
"""

import asyncio
import time
from typing import cast

from commonry.gateway import limits
from commonry.gateway.admission import Admission
from commonry.gateway.heads import HOP_BY_HOP, Head, and_named
from commonry.gateway.routes import route_for
from commonry.kit import traces
from commonry.kit.asgi import App, Message, RawHeaders, Receive, Scope, Send, guarded
from commonry.kit.http.messages import lines
from commonry.kit.problems import MethodNotAllowed, Unavailable
from commonry.kit.telemetry import access, new_request_id, new_trace_id, requests_running, set_ids, timer

SECURITY: RawHeaders = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]
SECURITY_LINES = lines(SECURITY)
HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")
NO_STORE, NO_CACHE = (b"cache-control", b"no-store"), (b"cache-control", b"no-cache")
"""What caches may do where the service said nothing: never keep a person's answer, ask again about others."""
TO_US = frozenset({b"x-request-id", b"commonry-tags", b"commonry-cache-control"})
"""What services tell the gateway alone; the request's id is always ours."""
OURS = TO_US | {name for name, _ in (*SECURITY, HTTPS_ONLY, NO_STORE)}
HOP_BY_HOP_BACK = HOP_BY_HOP | {b"date", b"server"}
NOT_PASSED_BACK = HOP_BY_HOP_BACK | {b"content-length"}
"""What is no part of an answer for somebody else; its length is said anew by whoever sends it whole."""
_PERSONAL = b"\r\ncache-control: no-store\r\ncache-status: commonry; fwd=bypass\r\n" + SECURITY_LINES
_FOR_ANYONE = b"\r\ncache-control: no-cache\r\ncache-status: commonry; fwd=miss\r\n" + SECURITY_LINES
CLIENT_LEFT = 499
"""What the log says where there was nobody left to answer."""
ADMITTED = "admitted"
"""In a scope: it has been counted already, on a shorter way that it could not take to the end."""
CANCELS = "cancels"
"""In a scope: the server cancels the request when the client leaves, or when it `is_late`, and takes `tail` lines."""


class Edge:
    """`app` behind all of this."""

    def __init__(self, app: App, admission: Admission, max_body: int) -> None:
        self._app, self._limited, self.admission = app, limits.limited(app, max_body), admission
        self.under_way = 0
        requests_running.labels("gateway").set_function(lambda: self.under_way)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        head: Head = scope.get("head") or Head(scope["headers"])
        rid, trace = head.request_id or new_request_id(), head.trace_id or new_trace_id()
        set_ids(rid, trace)
        with traces.request("gateway", scope["method"], scope["path"], head.caller) as span:
            own = [(name.encode(), value.encode()) for name, value in traces.outgoing().items()]
            client = self.admission.client(scope["client"][0] if scope.get("client") else "", head.headers)
            if client:
                own.append((b"commonry-client", client.encode("latin-1", "replace")))
            scope |= {"head": head, "own": own, "headers": head.passed + own, "client_address": client}
            out = _Out(send, rid.encode(), head.asked.is_personal, scope)
            self.under_way += 1
            try:
                await guarded(self._admitted, scope, receive, out.send, out.has_started)
            finally:
                self.under_way -= 1
                seconds, route = time.perf_counter() - began, scope.get("path_template", "unrouted")
                timer("gateway", scope["method"], route, f"{out.status // 100}xx").observe(seconds)
                access.request(scope["method"], route, out.status, seconds, rid, trace)
                traces.answered(span, scope["method"], route, out.status)

    async def _admitted(self, scope: Scope, receive: Receive, send: Send) -> None:
        if route := route_for(scope["path"]):
            scope["path_template"] = route.prefix
        if ADMITTED not in scope and (asking := self.admission.admit(scope, scope["client_address"])):
            await asking
        try:
            if scope["head"].has_body:
                await self._limited(scope, receive, send)
            else:
                await self._app(scope, receive, send)
        except asyncio.CancelledError as e:
            raise too_late(scope, e, "It") from e


def too_late(scope: Scope, cancelled: asyncio.CancelledError, who: str) -> Unavailable:
    """What the server cancelled because no answer has begun in time is a problem. Other cancellations are raised."""
    if CANCELS not in scope or not scope[CANCELS].is_late:
        raise cancelled
    cast("asyncio.Task[None]", asyncio.current_task()).uncancel()
    return Unavailable(f"{who} did not answer in time.")


class _Out:
    """An answer on its way out: the extra headers are put on, and its status is remembered."""

    __slots__ = ("_personal", "_rid", "_scope", "_send", "status")

    def __init__(self, send: Send, rid: bytes, personal: bool, scope: Scope) -> None:
        self._send, self._rid, self._personal, self._scope, self.status = send, rid, personal, scope, CLIENT_LEFT

    def has_started(self) -> bool:
        return self.status != CLIENT_LEFT

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = await self._headed(message)
        await self._send(message)

    async def _headed(self, message: Message) -> Message:
        scope, given = self._scope, message["headers"]
        more = list(scope.get("limits", ()))
        if self.status == MethodNotAllowed.status and "methods" in scope:
            allow = ", ".join(await scope["methods"](scope["path"])) or "GET"
            more.append((b"allow", allow.encode()))
        fields, tail = outgoing(given + more, self._rid, self._personal, scope.get("how", b""), scope["scheme"])
        if CANCELS in scope:
            return message | {"headers": fields, "tail": tail}
        return message | {"headers": fields + SECURITY if tail else fields}


def outgoing(given: RawHeaders, rid: bytes, personal: bool, how: bytes, scheme: str | None) -> tuple[RawHeaders, bytes]:
    """An answer's fields with those that the edge puts on, and the lines to write after them, which never change."""
    extra = [(b"x-request-id", rid), NO_STORE if personal else NO_CACHE]
    if how:
        extra.append((b"cache-status", b"commonry; %b" % how))
    if scheme == "https":
        extra.append(HTTPS_ONLY)
    if OURS.isdisjoint([name for name, _ in given]):
        return given + extra, SECURITY_LINES
    return _merged(given, [*extra, *SECURITY]), b""


def field_lines(
    headers: RawHeaders, rid: bytes, personal: bool, scheme: str | None, *, keeps_length: bool = False
) -> list[bytes]:
    """The lines of `outgoing`, in parts, for an answer that was not for keeping; without detours where possible."""
    parts: list[bytes] = []
    dropped = HOP_BY_HOP_BACK if keeps_length else NOT_PASSED_BACK
    for name, value in headers:
        if name in dropped:
            if name == b"connection":
                break
        elif name in OURS or b"\n" in value or b"\r" in value:
            break
        else:
            parts += (name, b": ", value, b"\r\n")
    else:
        if scheme != "https":
            parts += (b"x-request-id: ", rid, _PERSONAL if personal else _FOR_ANYONE)
            return parts
    named = and_named(dropped, headers)
    given = [(n, v.replace(b"\r", b"").replace(b"\n", b" ")) for n, v in headers if n not in named]
    fields, tail = outgoing(given, rid, personal, b"fwd=bypass" if personal else b"fwd=miss", scheme)
    return [lines(fields), tail]


def completed(given: RawHeaders) -> RawHeaders:
    """A kept answer's fields with those that the edge puts on, all but the request's id."""
    return _merged(given, [NO_CACHE, *SECURITY])


def _merged(given: RawHeaders, extra: RawHeaders) -> RawHeaders:
    """An answer's headers and the extra ones that it does not have itself, without those that are for us alone."""
    kept = [h for h in given if h[0] not in TO_US]
    said = {name for name, _ in kept}
    return kept + [h for h in extra if h[0] not in said]
