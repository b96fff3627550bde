"""Sessions: opened at a login, known by their token's hash, ended everywhere at once.

The cache answers `who` alone while it holds the session. What it may hold is dropped right after a session ended;
jobs drop it again for a minute, three times a second: the cache, or this process, may have been away at that
moment, and a node of the cache may have died before its replica knew. That replica may take over and know a session
that is over: so each process remembers for that minute what ended, and asks the table about it.
"""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from commonry.contracts.users import Session, TokenAnswer
from commonry.kit import clock
from commonry.kit.auth import SESSION_ENDED, token_hash
from commonry.kit.cache import Cache
from commonry.kit.db import Database, Tx
from commonry.kit.problems import NotSignedIn
from commonry.users.store import members, sessions
from commonry.users.store.sessions import Live

FEW = 500
"""Sessions that one message names."""
ENDED_SECONDS, MOST_ENDED = 60.0, 100_000

_decoder = msgspec.msgpack.Decoder(Live)


class Sessions:
    """The sessions of all members, in the cache and in the database."""

    def __init__(self, db: Database, cache: Cache, *, hours: float) -> None:
        self._db, self._cache, self._length = db, cache, timedelta(hours=hours)
        self._ended: OrderedDict[str, float] = OrderedDict()
        cache.subscribe(SESSION_ENDED, self._hear)

    async def open(self, tx: Tx, member: UUID, *, password_set_at: datetime | None = None) -> Session | None:
        """A new session; None if the member is no longer active, or has set another password since.

        The member stays locked until the transaction ends, so a suspension either prevents the session or ends it.
        """
        found = await members.lock_active(tx, member, password_set_at)
        if found is None:
            return None
        token, expires_at = secrets.token_urlsafe(32), clock.now() + self._length
        await sessions.insert(tx, token_hash(token), member, expires_at)
        await self._put(token_hash(token), Live(member, found.roles, expires_at))
        return Session(access_token=token, expires_at=expires_at, member=found)

    async def who(self, token: str) -> TokenAnswer:
        """Whom a token belongs to."""
        key = token_hash(token)
        live = await self._cached(key) or await self._db.transact(lambda tx: self._refill(tx, key))
        if live is None or live.expires_at <= clock.now():
            return TokenAnswer(active=False)
        return TokenAnswer(active=True, member_id=live.member_id, roles=live.roles, expires_at=live.expires_at)

    async def end(self, token: str) -> None:
        """End one session. One that is over already is no mistake."""
        key = token_hash(token)
        async with self._db.tx() as tx:
            await sessions.end(tx, key)
        await self.forget([key])

    async def renew(self, token: str, member: UUID) -> Session:
        """A new session in exchange for a live one. Raises `NotSignedIn` for one that is over."""
        key = token_hash(token)

        async def exchange(tx: Tx) -> Session:
            opened = await self.open(tx, member) if await sessions.end(tx, key) else None
            if opened is None:
                raise NotSignedIn
            return opened

        opened = await self._db.transact(exchange)
        await self.forget([key])
        return opened

    async def forget(self, hashes: Sequence[str], *, again: bool = False) -> None:
        """Drop what the cache, and every door, holds of these. To be called after the transaction that changed them.

        Returns when every door has heard it; not if it is only said `again`.
        """
        for few in (hashes[n : n + FEW] for n in range(0, len(hashes), FEW)):
            dropping = self._cache.drop(*(f"session:{key}" for key in few))
            if again:
                await asyncio.gather(dropping, self._cache.publish(SESSION_ENDED, ",".join(few), wait=False))
            else:
                await dropping  # first: a door that hears of it asks again at once
                await self._cache.publish(SESSION_ENDED, ",".join(few))

    def _hear(self, message: str) -> None:
        now = time.monotonic()
        for key in message.split(","):
            self._ended[key] = now
            self._ended.move_to_end(key)
        while self._ended and (len(self._ended) > MOST_ENDED or next(iter(self._ended.values())) < now - ENDED_SECONDS):
            self._ended.popitem(last=False)

    async def _cached(self, key: str) -> Live | None:
        if key in self._ended or not self._cache.in_touch():
            return None
        kept = await self._cache.get(f"session:{key}")
        try:
            return _decoder.decode(kept) if kept is not None else None
        except msgspec.MsgspecError:  # another release's form: read it again from the table
            return None

    async def _refill(self, tx: Tx, key: str) -> Live | None:
        """From the table into the cache, under a lock: what ends meanwhile is dropped after this, not before."""
        live = await sessions.lock_live(tx, key)
        if live is not None:
            await self._put(key, live)
        return live

    async def _put(self, key: str, live: Live) -> None:
        seconds = (live.expires_at - clock.now()).total_seconds()
        await self._cache.put(f"session:{key}", msgspec.msgpack.encode(live), ttl=seconds)
