"""What the users service does beside its requests: deliver events, tell caches again, forget what is old.

Each of these may run in every replica at once: deliveries go by lease, the rest is harmless to do twice.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from commonry.contracts.surroundings import Surroundings
from commonry.kit import idempotency, outbox
from commonry.kit.db import Database
from commonry.kit.periodic import every
from commonry.users.rules import FORGET_AFTER
from commonry.users.sessions import Sessions
from commonry.users.store import failures
from commonry.users.store import sessions as store

REMIND_EVERY, REMIND_FOR = 0.3, 60.0
BATCH = 5000


class Chores:
    """The periodic work."""

    def __init__(self, db: Database, sessions: Sessions) -> None:
        self._db, self._sessions = db, sessions

    async def remind_caches(self) -> None:
        """Drop again what lately became wrong: a cache may have missed it, and so may a process that was killed."""
        async with self._db.read() as tx:
            changed = await store.changed_within(tx, REMIND_FOR)
        await self._sessions.forget(changed, again=True)

    async def forget_old(self) -> None:
        """Delete sessions that are over, failed logins that no longer count, and answers kept for repeated requests."""
        async with self._db.tx() as tx:
            await failures.delete_old(tx, FORGET_AFTER)
        async with self._db.tx() as tx:
            await idempotency.forget_old(tx)
        while await self._forget_sessions() == BATCH:
            pass

    async def _forget_sessions(self) -> int:
        async with self._db.tx() as tx:
            over = await store.delete_over(tx, BATCH)
        await self._sessions.forget(over, again=True)
        return len(over)


def loops(around: Surroundings, sessions: Sessions) -> list[Callable[[], Coroutine[Any, Any, None]]]:
    """The loops to keep running."""
    chores = Chores(around.db, sessions)
    return [
        outbox.delivery(around.db, around.peers.tell),
        every(REMIND_EVERY, chores.remind_caches),
        every(3600, chores.forget_old),
    ]
