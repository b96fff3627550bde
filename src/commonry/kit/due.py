"""Rows that are due: claimed by lease, moved on by fenced transitions, backed off when they fail.

A table that takes part has the columns `id uuid`, `due timestamptz` (NULL at rest), `holder text`, `lease_until
timestamptz`, `attempts integer`, `trouble text`. Whoever claims a row gets a fresh holder name; every later write to
it states that name, so a slow holder that wakes after its lease was taken changes nothing. A row that keeps failing
waits ever longer and shows in `stuck()` and in the metrics (`kit/backlog.py`); it is never a hot loop and never blocks
the others.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from psycopg import sql

from commonry.kit.db import Database, many, value
from commonry.kit.telemetry import due_failures, new_request_id, new_trace_id, set_ids

LEASE = 12.0
"""Seconds a claim lasts: longer than the slowest single step (its call's timeout and one retry)."""
STUCK_AFTER = 6
"""Failures in a row (about a minute of backing off) after which a row counts as stuck."""
LONGEST_WAIT = 300

log = structlog.get_logger()


class Claim(NamedTuple):
    """A row that is ours until its lease runs out, and the name we hold it under."""

    id: UUID
    holder: str


def new_holder() -> str:
    """A name nobody else holds anything under."""
    return secrets.token_hex(8)


class Queue:
    """The due rows of one table. Any number of processes may run one; each row goes to one of them."""

    def __init__(self, db: Database, table: str) -> None:
        self.db, self.table = db, table
        self.wake = asyncio.Event()
        due_failures.labels(table)  # so that it is seen before the first
        self._claim = _on(table, _CLAIM)
        self._back_off = _on(table, _BACK_OFF)
        self._stuck = _on(table, _STUCK)

    async def claim(self, limit: int) -> list[Claim]:
        """Up to `limit` rows whose time has come and whose lease, if any, has run out."""
        async with self.db.tx() as tx:
            return await many(tx, Claim, self._claim, {"holder": new_holder(), "limit": limit, "lease": LEASE})

    async def back_off(self, claim: Claim, trouble: str) -> None:
        """Give a failed row back, to be tried again after 1, 2, 4 … 300 seconds."""
        due_failures.labels(self.table).inc()
        async with self.db.tx() as tx:
            params = claim._asdict() | {"trouble": trouble[:500], "longest": LONGEST_WAIT}
            attempts = await value(tx, self._back_off, params)
        log.warning("due row failed", table=self.table, id=str(claim.id), attempts=attempts, trouble=trouble)

    async def stuck(self) -> int:
        """How many rows have failed `STUCK_AFTER` times or more."""
        async with self.db.read() as tx:
            return int(await value(tx, self._stuck, {"after": STUCK_AFTER}))

    async def round(self, handle: Callable[[Claim], Awaitable[None]], limit: int = 20) -> int:
        """Claim once and handle what was claimed, side by side; how many rows."""
        claims = await self.claim(limit)
        await asyncio.gather(*(self._afresh(c, handle) for c in claims))
        return len(claims)

    async def _afresh(self, claim: Claim, handle: Callable[[Claim], Awaitable[None]]) -> None:
        """What is done for a row has ids of its own, as what is done for a request."""
        set_ids(new_request_id(), new_trace_id())
        await self.guarded(claim, handle)

    async def work(self, handle: Callable[[Claim], Awaitable[None]], *, every: float = 1.0, limit: int = 20) -> None:
        """Handle due rows for ever: at once when woken or while there are more, else every `every` seconds."""
        while True:
            self.wake.clear()
            try:
                busy = await self.round(handle, limit) == limit
            except Exception as e:  # why: the loop outlives any fault of the database; the next round tries again
                busy = False
                log.warning("due round failed", table=self.table, trouble=repr(e))
            if not busy:
                await _wait(self.wake, every)

    async def guarded(self, claim: Claim, handle: Callable[[Claim], Awaitable[None]]) -> None:
        """Handle a claimed row; whatever goes wrong, it is given back with its trouble noted."""
        try:
            await handle(claim)
        except Exception as e:  # why: one poison row must not stop the others; it becomes visible instead
            await self.back_off(claim, repr(e))


async def _wait(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        pass


def _on(table: str, query: Any) -> Any:
    return sql.SQL(query).format(table=sql.Identifier(table))


_CLAIM = """
    UPDATE {table} SET holder = %(holder)s, lease_until = now() + make_interval(secs => %(lease)s)
    WHERE id IN (
        SELECT id FROM {table}
        WHERE due <= app_now() AND (lease_until IS NULL OR lease_until < now())
        ORDER BY due LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
    RETURNING id, holder"""
_BACK_OFF = """
    UPDATE {table} SET attempts = attempts + 1, trouble = %(trouble)s, holder = NULL, lease_until = NULL,
        due = app_now() + make_interval(
            secs => least(power(2, least(attempts, 20)), %(longest)s) * (0.75 + random() / 2))
    WHERE id = %(id)s AND holder = %(holder)s
    RETURNING attempts"""
_STUCK = "SELECT count(id) FROM {table} WHERE attempts >= %(after)s AND due IS NOT NULL"
