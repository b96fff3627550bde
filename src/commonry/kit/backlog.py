"""How much waits in a service's database, looked at now and then for the metrics, whether or not anybody works on it.

Every replica asks the same database and says the same, so a dashboard takes the `max`. What could not be looked at for
a minute is not known any more, and is left off the page rather than shown as it was.
"""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple, Protocol

import structlog
from prometheus_client import Gauge
from psycopg import sql

from commonry.kit.db import Database, Tx, one, value
from commonry.kit.due import LONGEST_WAIT, STUCK_AFTER
from commonry.kit.telemetry import due_stuck

due_waiting = Gauge("commonry_due_waiting", "Due rows that nobody is at work on.", ["queue"])
due_oldest = Gauge("commonry_due_oldest_seconds", "How long the oldest of them has been due; 0 without any.", ["queue"])
outbox_waiting = Gauge("commonry_outbox_waiting", "Events that their receivers have not taken yet.", ["service"])

EVERY, SELDOM = 10.0, 60.0
"""Seconds between two looks; and where looking takes long, so that it never takes more than a hundredth of the time."""
KEPT = 60.0
"""Seconds for which what was seen last still counts."""

log = structlog.get_logger()


class Fact(Protocol):
    """Something about a database that gauges tell."""

    async def look(self, tx: Tx) -> None: ...

    def forget(self) -> None: ...


class Seen(NamedTuple):
    """What was seen of a queue: rows due and nobody's, how long the oldest of them has been, rows that keep failing."""

    waiting: int
    oldest: float
    stuck: int


class Backlog:
    """The due rows of one table. Where several services share a process, their queues of one name are told as one."""

    _seen: dict[str, dict[str, Seen]] = {}  # noqa: RUF012 why: shared on purpose

    def __init__(self, service: str, table: str) -> None:
        self.service, self.table = service, table

    async def look(self, tx: Tx) -> None:
        """Count."""
        query: Any = sql.SQL(_SEEN).format(table=sql.Identifier(self.table))
        seen = await one(tx, Seen, query, {"stuck": STUCK_AFTER, "longest": 2 * LONGEST_WAIT})
        if seen:
            self._seen.setdefault(self.table, {})[self.service] = seen
        self._say()

    def forget(self) -> None:
        """It is not known any more."""
        self._seen.get(self.table, {}).pop(self.service, None)
        self._say()

    def _say(self) -> None:
        if not (seen := list(self._seen.get(self.table, {}).values())):
            for gauge in (due_waiting, due_oldest, due_stuck):
                gauge.remove(self.table)
            return
        due_waiting.labels(self.table).set(sum(s.waiting for s in seen))
        due_oldest.labels(self.table).set(max(s.oldest for s in seen))
        due_stuck.labels(self.table).set(sum(s.stuck for s in seen))


class Outbox:
    """Events on their way."""

    def __init__(self, service: str) -> None:
        self.service = service

    async def look(self, tx: Tx) -> None:
        """Count."""
        outbox_waiting.labels(self.service).set(await value(tx, "SELECT count(id) FROM outbox"))

    def forget(self) -> None:
        """It is not known any more."""
        outbox_waiting.remove(self.service)


def watching(db: Database, facts: Sequence[Fact]) -> Callable[[], Coroutine[Any, Any, None]]:
    """A loop that looks at these facts for ever, on one connection, about every ten seconds."""

    async def loop() -> None:
        seen_at = time.monotonic()
        try:
            while True:
                took = await _look(db, facts)
                if took is not None:
                    seen_at = time.monotonic()
                elif time.monotonic() - seen_at > KEPT:
                    _forget(facts)
                pause = min(max(EVERY, 100 * (took or 0)), SELDOM)
                await asyncio.sleep(pause * random.uniform(0.9, 1.1))  # noqa: S311 why: spread, not secrecy
        finally:
            _forget(facts)

    return loop


async def _look(db: Database, facts: Sequence[Fact]) -> float | None:
    """How many seconds the database needed, None if it did not answer."""
    try:
        async with db.read() as tx:
            began = time.monotonic()
            for fact in facts:
                await fact.look(tx)
            return time.monotonic() - began
    except Exception as e:  # why: the loop outlives any fault of the database; what is not known is left out
        log.warning("backlog not seen", service=db.name, trouble=repr(e))
        return None


def _forget(facts: Sequence[Fact]) -> None:
    for fact in facts:
        fact.forget()


# A row that failed is due again within `longest`, so those that keep failing are found by the index on `due`.
_SEEN = """
    SELECT count(id) FILTER (WHERE is_waiting) AS waiting,
        coalesce(extract(epoch FROM app_now() - min(due) FILTER (WHERE is_waiting)), 0)::float8 AS oldest,
        count(id) FILTER (WHERE attempts >= %(stuck)s) AS stuck
    FROM (
        SELECT id, due, attempts,
            due <= app_now() AND (lease_until IS NULL OR lease_until < now()) AS is_waiting
        FROM {table} WHERE due <= app_now() + make_interval(secs => %(longest)s)) AS soon"""
