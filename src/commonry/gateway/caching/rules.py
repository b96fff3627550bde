"""What a shared cache may keep, for how long, and for whom: RFC 9111 in meaning. Pure: headers in, decisions out.

A service may speak to this cache alone with `Commonry-Cache-Control` (a targeted field as in RFC 9213), which wins over
`Cache-Control`; browsers and other caches never see it.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from commonry.gateway.asked import directives
from commonry.kit.asgi import RawHeaders

TARGETED, GENERAL = b"commonry-cache-control", b"cache-control"
TAGS = b"commonry-tags"
CACHEABLE = frozenset({200, 203, 301, 308, 404, 410})
_NEVER = ("no-store", "no-cache", "private")
_NUMBER = re.compile(r"[0-9]{1,9}")
_NO_FIELDS: frozenset[bytes] = frozenset()


class Life(NamedTuple):
    """Seconds since the answer was made: fresh; usable while it is fetched anew; usable when that fails."""

    fresh: float
    revalidate: float
    on_error: float
    is_public: bool


def life(status: int, headers: RawHeaders) -> Life | None:
    """How long an answer may be kept for others; None: not at all."""
    if status not in CACHEABLE:
        return None
    control = directives(_whole(TARGETED, headers)) or directives(_whole(GENERAL, headers))
    if any(word in control for word in _NEVER) or b"*" in varies(headers):
        return None
    if any(name == b"set-cookie" for name, _ in headers):
        return None
    fresh = _seconds(control, "s-maxage", "max-age") - _number(_whole(b"age", headers).decode("latin-1"))
    if fresh <= 0:
        return None
    may_be_stale = "must-revalidate" not in control and "proxy-revalidate" not in control
    revalidate = _seconds(control, "stale-while-revalidate") if may_be_stale else 0
    on_error = _seconds(control, "stale-if-error") if may_be_stale else 0
    return Life(fresh, fresh + revalidate, fresh + max(on_error, revalidate), "public" in control)


def _whole(name: bytes, headers: RawHeaders) -> bytes:
    """All lines of a field: a ban in one of them is a ban."""
    return b",".join([value for n, value in headers if n == name])


def _seconds(control: dict[str, str], *names: str) -> int:
    """What the first of these says that is said at all; 0 where it makes no sense."""
    return _number(next((control[name] for name in names if name in control), ""))


def _number(said: str) -> int:
    return int(said) if _NUMBER.fullmatch(said) else 0


def varies(headers: RawHeaders) -> frozenset[bytes]:
    """The request headers that the answer depends on."""
    named = [value for name, value in headers if name == b"vary"]
    return frozenset(part.strip().lower() for value in named for part in value.split(b",")) if named else _NO_FIELDS


def values(names: Iterable[bytes], headers: RawHeaders) -> tuple[bytes, ...]:
    """The request's values of these headers, in order."""
    return tuple(b",".join(v for n, v in headers if n == name) for name in sorted(names))


def tags(headers: RawHeaders) -> frozenset[str]:
    """What the answer is about: a message that one of these changed makes it worthless."""
    return frozenset(word for name, value in headers if name == TAGS for word in value.decode().split())


def is_known(known: bytes, etag: bytes) -> bool:
    """Whether `If-None-Match` names this entity tag. Compared weakly, as GET is."""
    if not known:
        return False
    weak = etag.removeprefix(b"W/")
    return known.strip() == b"*" or any(part.strip().removeprefix(b"W/") == weak for part in known.split(b","))
