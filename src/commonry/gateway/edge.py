"""What happens to every request on its way in and out, whoever answers it.

Ids are adopted and returned, headers that speak for a service are taken off, the client's address is made sure of,
security headers put on, one line of access log and one observation in the metrics are written. Nothing that is raised
below gets past here as anything but a problem document.
"""

import time

from commonry.gateway import limits
from commonry.gateway.admission import Admission
from commonry.kit.asgi import App, Message, RawHeaders, Receive, Scope, Send, guarded
from commonry.kit.telemetry import access, adopt_ids, outgoing_ids, running, timer

SECURITY: RawHeaders = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]
HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")
ONLY_INSIDE = b"commonry-"
"""Headers that begin so are what services tell each other."""
REPLACED = frozenset({b"x-request-id", b"traceparent"})
CLIENT_LEFT = 499
"""What the log says where there was nobody left to answer."""


class Edge:
    """`app` behind all of this."""

    def __init__(self, app: App, admission: Admission, max_body: int) -> None:
        self._app, self.admission = limits.limited(app, max_body), admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        running_now = running("gateway")
        running_now.inc()
        began = time.perf_counter()
        rid, trace = adopt_ids(scope["headers"])
        inner: Scope = scope | {"headers": _coming_in(scope, self.admission.client(scope))}
        out = _Out(send, [(b"x-request-id", rid.encode()), _caching(scope), *SECURITY, *_only_https(scope)], inner)
        try:
            await guarded(self._admitted, inner, receive, out.send, out.has_started)
        finally:
            running_now.dec()
            seconds, route = time.perf_counter() - began, inner.get("path_template", "unrouted")
            timer("gateway", scope["method"], route, f"{out.status // 100}xx").observe(seconds)
            access.request(scope["method"], route, out.status, seconds, rid, trace)

    async def _admitted(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.admission.admit(scope)
        await self._app(scope, receive, send)


class _Out:
    """An answer on its way out: the extra headers are put on, and its status is remembered."""

    __slots__ = ("_extra", "_scope", "_send", "status")

    def __init__(self, send: Send, extra: RawHeaders, scope: Scope) -> None:
        self._send, self._extra, self._scope, self.status = send, extra, scope, CLIENT_LEFT

    def has_started(self) -> bool:
        return self.status != CLIENT_LEFT

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            extra = [*self._extra, *self._scope.get("limits", ())]
            message = message | {"headers": _with(extra, message["headers"])}
        await self._send(message)


def _coming_in(scope: Scope, client: str) -> RawHeaders:
    """The request's headers without those that only services may send, with the ids and the client's address."""
    headers = [h for h in scope["headers"] if not (h[0].startswith(ONLY_INSIDE) or h[0] in REPLACED)]
    headers += [(name.encode(), value.encode()) for name, value in outgoing_ids().items()]
    if client:
        headers.append((b"commonry-client", client.encode()))
    return headers


def _with(extra: RawHeaders, headers: RawHeaders) -> RawHeaders:
    """An answer's headers and the extra ones that it does not have itself. The request's id is always ours."""
    given = [h for h in headers if h[0] != b"x-request-id"]
    said = {name for name, _ in given}
    return given + [h for h in extra if h[0] not in said]


def _caching(scope: Scope) -> tuple[bytes, bytes]:
    """What caches may do where the service said nothing: never keep a person's answer, ask again about others."""
    personal = any(name == b"authorization" for name, _ in scope["headers"])
    return (b"cache-control", b"no-store" if personal else b"no-cache")


def _only_https(scope: Scope) -> RawHeaders:
    return [HTTPS_ONLY] if scope["scheme"] == "https" else []
