"""Files of photos that nobody sees any more: those of photos that are gone, and those that never became one.

A file is there before its row and goes before it, so there is never a row without its files. What was kept and then not
added, because the process died between, has files and no row: once a day such strays are looked for.
"""

from collections.abc import Sequence
from uuid import UUID

from commonry.inventory.store import photos
from commonry.kit.db import Database
from commonry.kit.pictures import Album


async def remove_files(db: Database, album: Album) -> None:
    """Of photos that have been gone for a day."""
    while True:
        async with db.read() as tx:
            gone = await photos.long_gone(tx)
        if not gone:
            return
        for photo in gone:
            await album.remove(str(photo))
        await db.transact(lambda tx, gone=gone: photos.forget(tx, gone))


async def remove_strays(db: Database, album: Album) -> None:
    """Of what is no photo, and was not put there just now."""

    async def known(some: Sequence[UUID]) -> set[UUID]:
        async with db.read() as tx:
            return await photos.known(tx, some)

    await album.remove_strays(known)
