"""What runs beside the requests: due sagas, reviews whose time has come, deliveries, and forgetting what is old."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from commonry.bookings.saga.engine import Saga
from commonry.bookings.store import quotes, reviews
from commonry.contracts.surroundings import Surroundings
from commonry.kit import idempotency, outbox
from commonry.kit.db import Database
from commonry.kit.periodic import every


def loops(around: Surroundings, saga: Saga) -> Sequence[Callable[[], Any]]:
    """Every loop of the service."""
    db = around.db
    return (
        lambda: saga.queue.work(saga.work),
        outbox.delivery(db, around.peers.tell),
        every(30, lambda: _in_transaction(db, reviews.publish_due)),
        every(3600, lambda: _in_transaction(db, quotes.forget_old)),
        every(3600, lambda: _in_transaction(db, idempotency.forget_old)),
    )


async def _in_transaction(db: Database, work: Callable[[Any], Awaitable[int]]) -> int:
    async with db.tx() as tx:
        return await work(tx)
