"""What bookings say of a member: how soon they answer, for everyone; and what waits for them, for themselves."""

from uuid import UUID

from litestar import get

from commonry.bookings.store import members as store
from commonry.contracts.bookings import Answers, Waiting
from commonry.kit.auth import Caller
from commonry.kit.db import Database


@get(
    "/api/v1/members/{member_id:uuid}/answers",
    tags=["bookings"],
    summary="How soon a member answers requests",
    operation_id="answers",
)
async def answers(member_id: UUID, db: Database) -> Answers:
    async with db.read() as tx:
        return await store.answers(tx, member_id)


@get(
    "/api/v1/bookings/waiting",
    tags=["bookings"],
    summary="What waits for me",
    operation_id="waiting",
    security=[{"bearer": []}],
)
async def waiting(caller: Caller, db: Database) -> Waiting:
    async with db.read() as tx:
        return await store.waiting(tx, caller.id)


routes = [answers, waiting]
