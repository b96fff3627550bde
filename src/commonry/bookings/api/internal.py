"""What only our own services ask: whether a member is busy, and events they tell us."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import get, post

from commonry.bookings.store import bookings as store
from commonry.bookings.store import messages
from commonry.contracts.bookings import BookingMessage, Obligations
from commonry.contracts.events import MemberErased
from commonry.kit.db import Database
from commonry.kit.outbox import first_time
from commonry.kit.service import only_services


@get("/internal/members/{member_id:uuid}/obligations", guards=[only_services], include_in_schema=False)
async def obligations(member_id: UUID, db: Database) -> Obligations:
    async with db.read() as tx:
        return Obligations(live=await store.has_live(tx, member_id))


@get("/internal/members/{member_id:uuid}/messages", guards=[only_services], include_in_schema=False)
async def written(member_id: UUID, db: Database) -> list[BookingMessage]:
    async with db.read() as tx:
        return await messages.of_author(tx, member_id)


@post("/internal/events/{topic:str}/{event_id:uuid}", guards=[only_services], include_in_schema=False, status_code=204)
async def hear(topic: str, event_id: UUID, data: dict[str, Any], db: Database) -> None:
    async with db.tx() as tx:
        if topic == "MemberErased" and await first_time(tx, event_id):
            gone = msgspec.convert(data, MemberErased).member_id
            await store.forget_member(tx, gone)
            await messages.forget_author(tx, gone)


routes = [obligations, written, hear]
