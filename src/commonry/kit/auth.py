"""Who is calling: a bearer token becomes a `Caller`, a service token opens internal routes.

Tokens are looked up by their hash, so that no cache or log ever holds one. An answer is kept for at most a second in
this process and dropped at once when a session ends here or in any process that shares the cache's channel. While
the cache is out of touch with the others, nothing is kept.
"""

import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

import msgspec

from commonry.kit.cache import Cache
from commonry.kit.problems import NotSignedIn
from commonry.kit.telemetry import cache_lookups

KEEP_SECONDS = 1.0
SESSION_ENDED = "session-ended"
"""Channel: the message is tokens' hashes in hex, separated by commas, or `*` for all."""
SERVICE_HEADER = "commonry-service"

_remembered, _asked = cache_lookups.labels("door", "hit"), cache_lookups.labels("door", "miss")


class Caller(msgspec.Struct, frozen=True):
    """A person whose token was valid a moment ago: their id, their roles, the token to call other services with."""

    id: UUID
    roles: tuple[str, ...]
    token: str
    expires_at: datetime

    @property
    def manages(self) -> bool:
        """Whether they run the community."""
        return "manager" in self.roles


def token_hash(token: str) -> str:
    """SHA-256 in hex. Tokens are 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def bearer(header: str | None) -> str | None:
    """The token in an `Authorization` header, or None."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


class Door:
    """Asks `validate` who a token belongs to, and remembers for `KEEP_SECONDS`."""

    def __init__(self, validate: Callable[[str], Awaitable[Caller | None]], cache: Cache, service_token: str) -> None:
        self._validate, self._service_token = validate, service_token
        self._known: dict[str, tuple[Caller | None, float]] = {}
        self._cache, self._drops = cache, 0
        cache.subscribe(SESSION_ENDED, self._drop, self._drop_all)

    async def who(self, authorization: str | None) -> Caller | None:
        """The caller, or None without a valid token."""
        token = bearer(authorization)
        if token is None:
            return None
        key = token_hash(token)
        kept = self._known.get(key)
        if kept and kept[1] > time.monotonic() and self._cache.in_touch():
            _remembered.inc()
            return kept[0]
        _asked.inc()
        drops = self._drops
        caller = await self._validate(token)
        if drops == self._drops:  # else this may be an answer from before the news
            self._remember(key, caller)
        return caller

    async def someone(self, authorization: str | None) -> Caller:
        """The caller; raises `NotSignedIn` without a valid token."""
        caller = await self.who(authorization)
        if caller is None:
            raise NotSignedIn
        return caller

    def is_service(self, header: str | None) -> bool:
        """Whether this is another of our services. Compared in constant time."""
        return hmac.compare_digest((header or "").encode(), self._service_token.encode())

    def secret_for(self, purpose: str) -> bytes:
        """32 bytes, the same in every process of the platform, that do not give the service token away."""
        return hmac.digest(self._service_token.encode(), purpose.encode(), "sha256")

    def _remember(self, key: str, caller: Caller | None) -> None:
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[key] = (caller, time.monotonic() + KEEP_SECONDS)

    def _drop(self, message: str) -> None:
        if message == "*":
            self._drop_all()
            return
        self._drops += 1
        for key in message.split(","):
            self._known.pop(key, None)

    def _drop_all(self) -> None:
        self._drops += 1
        self._known.clear()
