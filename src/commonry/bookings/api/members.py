"""What bookings say of a member: how soon they answer, for everyone; what waits for them and
what happened, for themselves.
"""

from datetime import datetime
from uuid import UUID

from litestar import get

from commonry.bookings.store import members as store
from commonry.contracts.bookings import Answers, News, Waiting
from commonry.kit.auth import Caller
from commonry.kit.db import Database
from commonry.kit.pages import Cursor, Limit, Page, decode, page


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


@get(
    "/api/v1/bookings/news",
    tags=["bookings"],
    summary="What happened to my bookings, newest first",
    operation_id="news",
    security=[{"bearer": []}],
)
async def news(caller: Caller, db: Database, limit: Limit = 20, cursor: Cursor = None) -> Page[News]:
    after = decode("news", cursor, tuple[datetime, int])
    async with db.read() as tx:
        rows = await store.news(tx, caller.id, limit, after)
    return page(rows, limit, "news", lambda n: (n.at, n.id))


routes = [answers, waiting, news]
