"""Who is let in, and how often: the client's true address, rate limits, and shedding when there is too much.

Reads and writes are limited by buckets of this gateway; what guessing or money hangs on (signing in, registering,
booking) by buckets that all gateways share, so that the limit is exact. Every limited answer says how much is left,
in the RateLimit fields of the IETF's draft. When this process itself falls behind, new requests are refused at once,
so that those already let in are still answered in time.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import NamedTuple

from commonry.contracts.settings import Settings
from commonry.kit.asgi import RawHeaders, Scope
from commonry.kit.cache import Cache
from commonry.kit.problems import Overloaded, TooManyRequests
from commonry.kit.rates import Buckets, Limit, Verdict
from commonry.kit.telemetry import loop_late, refused

PER = {"s": 1.0, "min": 60.0, "h": 3600.0}
ALWAYS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked by those who watch us: never limited, never shed."""
TICK = 0.05


class Class(NamedTuple):
    """A kind of request: its limit (None: none), whether it spares this machine, and whether all gateways count it."""

    limit: Limit | None
    spares_local: bool
    is_shared: bool


EXACT = {
    ("POST", "/api/v1/auth/login"): "logins",
    ("POST", "/api/v1/auth/register"): "registrations",
    ("POST", "/api/v1/bookings"): "bookings",
    ("POST", "/login"): "logins",
    ("POST", "/register"): "registrations",
}
USUAL = {
    "reads": "300/s,3000",
    "writes": "100/s,1000",
    "logins": "60/min,60",
    "registrations": "60/min,60",
    "bookings": "50/s,1000",
}
"""Generous to people behind one address, hopeless for a flood. Those of the settings win."""
READING = frozenset({"GET", "HEAD", "OPTIONS"})


def kind_of(method: str, path: str) -> str:
    """The class of a request."""
    return EXACT.get((method, path.rstrip("/"))) or ("reads" if method in READING else "writes")


def limit_of(name: str, said: str) -> Limit | None:
    """From `300/s,3000`: so many in the long run, so many at once (without: as many as in one unit). None for `off`."""
    if said == "off":
        return None
    rate, _, burst = said.partition(",")
    number, _, unit = rate.partition("/")
    return Limit(name, float(number) / PER[unit], int(burst or number))


def classes(settings: Settings) -> dict[str, Class]:
    """All of them. Only limits that somebody chose hold for this machine itself, where tests and proxies live."""
    said = {name: str(getattr(settings, f"limit_{name}")) for name in USUAL}
    shared = set(EXACT.values())
    return {n: Class(limit_of(n, said[n] or usual), not said[n], n in shared) for n, usual in USUAL.items()}


class Lag:
    """How late the event loop is: the smallest of the last few delays, so that one slow call does not count."""

    def __init__(self, most: float) -> None:
        self._most, self._seen = most, deque([0.0, 0.0, 0.0], maxlen=3)
        self.is_over = False

    async def watch(self) -> None:
        """Measure for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK
            await asyncio.sleep(TICK)
            self.note(loop.time() - due)

    def note(self, late: float) -> None:
        """One measurement, in seconds."""
        self._seen.append(late)
        least = min(self._seen)
        loop_late.set(least)
        self.is_over = least > self._most


class Admission:
    """Decides about each request before anything is done for it."""

    def __init__(self, settings: Settings, cache: Cache) -> None:
        self.lag = Lag(settings.shed_seconds)
        self._cache, self._classes, self._buckets = cache, classes(settings), Buckets()
        self._trusted = [ip_network(n.strip(), strict=False) for n in settings.trusted_proxies.split(",") if n.strip()]

    def client(self, peer: str, headers: RawHeaders) -> str:
        """The client's address: who is connected, or whom a trusted proxy says it speaks for."""
        if not self._trusted or not self._is_trusted(peer):
            return peer
        said = b",".join(value for name, value in headers if name == b"x-forwarded-for").decode("latin-1")
        hops = [hop.strip() for hop in said.split(",") if hop.strip()]
        return next((hop for hop in reversed(hops) if not self._is_trusted(hop)), hops[0] if hops else peer)

    def admit(self, scope: Scope, client: str) -> Awaitable[None] | None:
        """Raises `Overloaded`, `TooManyRequests`; what must ask the other gateways first is returned, to be awaited.

        Leaves what is left of a limit in the scope, for the answer.
        """
        if self.lag.is_over and scope["path"] not in ALWAYS:
            refused.labels("overload").inc()
            raise Overloaded
        kind = kind_of(scope["method"], scope["path"])
        limit, spares_local, is_shared = self._classes[kind]
        client = subject(client)
        if limit is None or (spares_local and is_local(client)) or scope["path"] in ALWAYS:
            return None
        if is_shared:
            return self._admit_together(scope, f"{kind}:{client}", limit)
        return _judge(scope, limit, self._buckets.take(client if kind == "reads" else f"{kind}:{client}", limit))

    async def _admit_together(self, scope: Scope, name: str, limit: Limit) -> None:
        _judge(scope, limit, await self._cache.take(name, limit))

    def spares(self, peer: str) -> bool:
        """Whether no limit of reads holds for this connection, whatever its requests say."""
        limit, spares_local, _ = self._classes["reads"]
        return not self._trusted and (limit is None or (spares_local and is_local(peer)))

    def admits_read(self, client: str) -> RawHeaders | None:
        """For the fast lane: what is left of the limit, nothing where there is none; None when it is reached."""
        limit, spares_local, _ = self._classes["reads"]
        if limit is None or (spares_local and is_local(client)):
            return []
        found = self._buckets.take(subject(client), limit)
        return fields(limit, found) if found.allowed else None

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._trusted)


def _judge(scope: Scope, limit: Limit, found: Verdict) -> None:
    scope["limits"] = fields(limit, found)
    if not found.allowed:
        refused.labels(limit.name).inc()
        raise TooManyRequests(retry_after=math.ceil(found.retry_after))


def fields(limit: Limit, found: Verdict) -> RawHeaders:
    """What is left, as the draft `ratelimit-headers` has it."""
    policy = f'"{limit.name}";q={limit.burst};w={math.ceil(limit.window)}'
    left = f'"{limit.name}";r={found.remaining};t={math.ceil(found.reset)}'
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", left.encode())]


def is_local(address: str) -> bool:
    """Whether the client is on this machine."""
    return address.startswith("127.") or address == "::1/64"


@lru_cache(maxsize=10_000)
def subject(address: str) -> str:
    """Whom a bucket belongs to: an address, or in IPv6, where everyone has many, its /64."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return f"{'::1' if parsed.is_loopback else IPv6Address(int(parsed) >> 64 << 64)}/64"
