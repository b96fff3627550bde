"""What runs beside the requests: holds expire, returned units cool down, searches are counted, old answers are
forgotten, files of photos that are gone are removed.

Every replica may run these at once: rows another one has are skipped, and doing it twice changes nothing.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from uuid import UUID

from commonry.inventory.searches import Searches
from commonry.inventory.store import photos, room
from commonry.kit import idempotency
from commonry.kit.db import Database
from commonry.kit.periodic import every
from commonry.kit.pictures import Album


def loops(db: Database, searches: Searches, album: Album) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
    """Every loop of the service."""

    async def expire_holds() -> None:
        while await db.transact(room.expire):
            pass

    async def finish_cooling() -> None:
        await db.transact(room.finish_cooling)

    async def forget_old() -> None:
        await db.transact(idempotency.forget_old)

    return (
        every(1, expire_holds),
        every(60, finish_cooling),
        every(60, searches.write),
        every(3600, forget_old),
        every(86400, sweeping(db, album)),
    )


def sweeping(db: Database, album: Album) -> Callable[[], Coroutine[Any, Any, None]]:
    """What removes the files of photos that have been gone for a day, and of what never became one."""

    async def known(some: Sequence[UUID]) -> set[UUID]:
        async with db.read() as tx:
            return await photos.known(tx, some)

    async def sweep() -> None:
        await db.transact(photos.forget_long_gone)
        await album.remove_strays(known)

    return sweep
