"""What runs beside the requests: due sagas, reviews whose time has come, deliveries; what is old or astray goes."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from commonry.bookings.saga.engine import Saga
from commonry.bookings.store import handovers, quotes, reviews
from commonry.contracts.surroundings import Surroundings
from commonry.kit import idempotency, outbox
from commonry.kit.db import Database
from commonry.kit.periodic import every
from commonry.kit.pictures import Album


def loops(around: Surroundings, saga: Saga, album: Album) -> Sequence[Callable[[], Any]]:
    """Every loop of the service."""
    db = around.db

    async def known(some: Sequence[UUID]) -> set[UUID]:
        async with db.read() as tx:
            return await handovers.known(tx, some)

    return (
        lambda: saga.queue.work(saga.work),
        outbox.delivery(db, around.peers.tell),
        every(30, lambda: _in_transaction(db, reviews.publish_due)),
        every(3600, lambda: _in_transaction(db, quotes.forget_old)),
        every(3600, lambda: _in_transaction(db, idempotency.forget_old)),
        every(86400, lambda: album.remove_strays(known)),
    )


async def _in_transaction(db: Database, work: Callable[[Any], Awaitable[int]]) -> int:
    async with db.tx() as tx:
        return await work(tx)
