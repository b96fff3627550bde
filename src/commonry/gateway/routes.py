"""Which service answers which paths: a table. The most specific entry wins; `*` stands for one segment.

What the table gives to nobody is not forwarded, which is how `/internal` stays inside.
"""

from functools import lru_cache
from typing import Any, NamedTuple

PUBLIC = "/api/v1"


class Route(NamedTuple):
    """A prefix of the table and the service that answers below it."""

    prefix: str
    service: str


ROUTES: dict[str, str | None] = {
    "/": "web",
    "/api": None,
    "/healthz": None,
    "/internal": None,
    "/metrics": None,
    "/problems": None,
    "/readyz": None,
    "/api/v1/auth": "users",
    "/api/v1/members": "users",
    "/api/v1/members/*/answers": "bookings",
    "/api/v1/members/*/reviews": "bookings",
    "/api/v1/items": "inventory",
    "/api/v1/categories": "inventory",
    "/api/v1/bookings": "bookings",
    "/api/v1/payments": "payments",
    "/api/v1/analytics": "analytics",
}
"""Path prefix → service; None: the gateway itself, or nobody."""

_ROUTE = ""  # no segment is empty, so the key cannot clash with one


def _planted(table: dict[str, str | None]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for prefix, service in table.items():
        node = tree
        for segment in filter(None, prefix.split("/")):
            node = node.setdefault(segment, {})
        node[_ROUTE] = Route(prefix, service) if service else None
    return tree


_TREE = _planted(ROUTES)


@lru_cache(maxsize=8192)
def route_of(target: bytes) -> Route | None:
    """The route of a request's target as it came, if there is nothing in its path to decode."""
    path = target.partition(b"?")[0]
    return None if b"%" in path else route_for(path.decode("ascii"))


@lru_cache(maxsize=8192)
def route_for(path: str) -> Route | None:
    """The route of `path` (decoded), or None. A path that climbs or skips segments belongs to nobody."""
    _, *segments = path.removesuffix("/").split("/")
    if any(s in ("", ".", "..") for s in segments):
        return None
    node, found = _TREE, _TREE[_ROUTE]
    for segment in segments:
        node = node.get(segment) or node.get("*")
        if node is None:
            break
        found = node.get(_ROUTE, found)
    return found
