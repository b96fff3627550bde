"""What happens to every request on its way in and out, whoever answers it.

Ids are adopted and returned, headers that speak for a service are taken off, security headers put on, one line of
access log and one observation in the metrics are written. Nothing that is raised below gets past here as anything but
a problem document.
"""

import time

import structlog

from commonry.gateway import limits
from commonry.kit.asgi import App, Message, RawHeaders, Receive, Scope, Send, guarded
from commonry.kit.telemetry import adopt_ids, observed, outgoing_ids

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
CLIENT_LEFT = 499
"""What the log says where there was nobody left to answer."""

log = structlog.get_logger()


def edge(app: App, max_body: int) -> App:
    """`app` behind all of this."""
    app = limits.limited(app, max_body)

    async def at_the_edge(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        rid, _ = adopt_ids(scope["headers"])
        inner: Scope = scope | {"headers": _coming_in(scope)}
        extra = [(b"x-request-id", rid.encode()), _caching(scope), *SECURITY, *_only_https(scope)]
        status = [CLIENT_LEFT]

        async def going_out(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
                message = message | {"headers": _with(extra, message["headers"])}
            await send(message)

        started = time.perf_counter()
        with observed("gateway", inner, status):
            await guarded(app, inner, receive, going_out, lambda: status[0] != CLIENT_LEFT)
        route = inner.get("path_template", "unrouted")
        ms = round((time.perf_counter() - started) * 1000, 2)
        log.info("request", method=scope["method"], route=route, status=status[0], ms=ms)

    return at_the_edge


def _coming_in(scope: Scope) -> RawHeaders:
    """The request's headers without those that only services may send, with the ids and the client's address."""
    ours = outgoing_ids() | ({"commonry-client": scope["client"][0]} if scope.get("client") else {})
    named = [(name.encode(), value.encode()) for name, value in ours.items()]
    replaced = {name for name, _ in named}
    kept = [h for h in scope["headers"] if not (h[0].startswith(ONLY_INSIDE) or h[0] in replaced)]
    return kept + named


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
