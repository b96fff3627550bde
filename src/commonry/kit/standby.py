"""Reading from a standby: a copy of the database, asked only while it is known to be near enough to the primary.

How near is measured without any clock but our own. Every moment the primary says how far its log goes; a standby that
has replayed so much has all that was committed before we asked. So an idle primary is no lag, and a standby that has
lost touch is one. Each connection is looked at by itself, as there may be several standbys behind one address.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from time import monotonic
from typing import NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import structlog
from prometheus_client import Gauge

from commonry.kit.cache import Cache
from commonry.kit.db import RETRIED, Database, DatabaseError, Tx, one
from commonry.kit.problems import Unavailable

T = TypeVar("T")
BOUND = 1.0
"""Seconds that what a standby answers may be old."""
EVERY, SOON = 0.25, 0.02
"""Seconds between two looks; and right after something was written, until the standby has that too."""
PATIENCE = 0.5
"""Seconds to wait for a standby's connection before the primary is asked."""
WRITTEN = "written"
"""Channel: something was written that everybody is to see from now on."""

lag = Gauge(
    "commonry_database_lag_seconds", "How far the standby is behind, at most; it is read below one second.", ["service"]
)
log = structlog.get_logger()


class Where(NamedTuple):
    """Which database a server has, and how far its log goes, in bytes; None for what that makes no sense for."""

    database: str
    log: int | None


class Mark(NamedTuple):
    """Before this instant, all that had been committed was in the log up to this byte."""

    at: float
    log: int


class Standby:
    """Where reads go that may be a second old, but never older than what was `written` through the bus.

    Without a copy, they go to the primary like all others.
    """

    def __init__(self, primary: Database, copy: Database | None, cache: Cache) -> None:
        self.primary, self.copy, self._cache = primary, copy, cache
        self._marks: deque[Mark] = deque(maxlen=int(60 / EVERY))
        self._seen: WeakKeyDictionary[Tx, float] = WeakKeyDictionary()
        self._near: bool | None = None
        self._database = ""
        self._newest, self._written = monotonic(), float("-inf")
        self._wake = asyncio.Event()
        if copy is not None:
            cache.subscribe(WRITTEN, self._hear, self._hear)
            lag.labels(primary.name).set_function(lambda: monotonic() - self._newest)

    async def written(self) -> None:
        """What we have just committed is in every answer to a question that is asked from now on.

        Called before the gateways are told: what one of them asks after that may be kept.
        """
        if self.copy is not None:
            await self._cache.publish(WRITTEN, "")

    async def ask(self, reading: Callable[[Tx], Awaitable[T]]) -> T:
        """`reading`, over a standby that is near enough, else over the primary. It may be done twice."""
        if self.copy is not None and self._near and self._cache.in_touch():
            try:
                async with _at_one(self.copy) as tx:
                    if await self._is_new_enough(tx, self.copy):
                        return await reading(tx)
            except (Unavailable, *RETRIED):  # also: what it reads was vacuumed on the primary
                self._near = False  # until it is looked at again
        async with self.primary.read() as tx:
            return await reading(tx)

    async def watch(self) -> None:
        """Look for ever how far the primary is, and whether the standby follows."""
        while self.copy is not None:
            self._wake.clear()
            near = await self._looked_after(self.copy)
            if near != self._near:
                log.info("standby", service=self.primary.name, near=near, hears_of_writes=self._cache.in_touch())
            self._near = near
            await asyncio.sleep(SOON)
            if near or monotonic() - self._written > BOUND:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), EVERY)

    async def _looked_after(self, copy: Database) -> bool:
        """Whether the standby has what the primary has now."""
        try:
            await self._mark()
            async with _at_one(copy) as tx:
                return await self._is_new_enough(tx, copy, look=True)
        except (Unavailable, *RETRIED):
            return False
        except DatabaseError as e:  # as when it may not be asked what we ask
            log.warning("standby cannot be looked at", service=self.primary.name, trouble=str(e))
            return False

    async def _mark(self) -> None:
        began = monotonic()
        async with self.primary.read() as tx:
            where = await one(tx, Where, _FLUSHED)
        if where and where.log is not None:
            self._database = where.database
            self._marks.append(Mark(began, where.log))

    async def _is_new_enough(self, tx: Tx, copy: Database, *, look: bool = False) -> bool:
        """Whether this connection's standby has all that it must have. It only gets newer, so it need not be asked each
        time; unless a pooler may have given us another one."""
        seen = self._seen.get(tx, float("-inf"))
        if look or copy.pooled or not self._suffices(seen):
            seen = self._seen[tx] = await self._looked(tx)
        return self._suffices(seen)

    async def _looked(self, tx: Tx) -> float:
        """The newest instant before which it has everything. Never, if it is of another database; or no standby (any
        more): it may be a primary that has been replaced, and says itself that it lacks nothing."""
        where = await one(tx, Where, _REPLAYED)
        if where is None or where.log is None or where.database != self._database:
            return float("-inf")
        seen = max((m.at for m in self._marks if m.log <= where.log), default=float("-inf"))
        self._newest = max(self._newest, seen)
        return seen

    def _suffices(self, seen: float) -> bool:
        return seen > self._written and monotonic() - seen < BOUND

    def _hear(self, _: str = "") -> None:
        self._written = monotonic()
        self._wake.set()


def _at_one(copy: Database) -> AbstractAsyncContextManager[Tx]:
    """A connection that stays with one standby: to a pooler, that is a transaction."""
    return copy.tx() if copy.pooled else copy.read()


_FLUSHED = """
    SELECT system_identifier || current_database() AS database,
        pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint AS log
    FROM pg_control_system()"""
_REPLAYED = """
    SELECT system_identifier || current_database() AS database,
        pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END, '0/0')::bigint AS log
    FROM pg_control_system()"""
