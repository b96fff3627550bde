"""Messages between the two parties of a booking, and all of a member's in short. Nobody else reads them."""

from uuid import UUID

from litestar import Response, get, post

from commonry.bookings.api.bookings import visible
from commonry.bookings.rules import views
from commonry.bookings.store import messages as store
from commonry.contracts.bookings import BookingMessage, Conversation, NewMessage
from commonry.contracts.problems import NotInThatState
from commonry.kit.auth import Caller
from commonry.kit.db import Database
from commonry.kit.pages import Cursor, Limit, Page, decode, page
from commonry.kit.problems import NotAllowed
from commonry.kit.service import Once

PATH = "/api/v1/bookings/{booking_id:uuid}/messages"
SIGNED_IN = [{"bearer": list[str]()}]
SILENT = ("pending", "failed")
"""States in which there is no agreement to speak about."""


async def _party(db: Database, booking: UUID, caller: Caller) -> str:
    """The booking's state, for who is a party of it. Raises `NotFound`, `NotAllowed`."""
    row = await visible(db, booking, caller)
    if views.side(row.booking, caller.id) is None:
        raise NotAllowed("Only the two parties of a booking read and write its messages.")
    return row.booking.state


@get(PATH, summary="A booking's messages", operation_id="list_messages", tags=["messages"], security=SIGNED_IN)
async def of_booking(
    booking_id: UUID, caller: Caller, db: Database, limit: Limit = 50, cursor: Cursor = None
) -> Page[BookingMessage]:
    await _party(db, booking_id, caller)
    async with db.read() as tx:
        rows = await store.of_booking(tx, booking_id, limit, _before("messages", cursor))
    return page(rows, limit, "messages", lambda m: (m.id,))


@post(PATH, summary="Write to the other party", operation_id="send_message", tags=["messages"], security=SIGNED_IN)
async def send(
    booking_id: UUID, data: NewMessage, caller: Caller, once: Once, db: Database
) -> Response[BookingMessage]:
    state = await _party(db, booking_id, caller)
    if state in SILENT:
        raise NotInThatState(state=state)
    return await once(lambda tx: store.add(tx, booking_id, caller.id, data.text.strip()))


@post(
    PATH + "/read",
    status_code=204,
    summary="All of them are read",
    operation_id="read_messages",
    tags=["messages"],
    security=SIGNED_IN,
)
async def read(booking_id: UUID, caller: Caller, db: Database) -> None:
    await _party(db, booking_id, caller)
    async with db.tx() as tx:
        for newest in (await store.of_booking(tx, booking_id, 1, None))[:1]:
            await store.read_up_to(tx, booking_id, caller.id, newest.id)


@get(
    "/api/v1/bookings/conversations",
    summary="My messages, by booking",
    operation_id="list_conversations",
    tags=["messages"],
    security=SIGNED_IN,
)
async def conversations(caller: Caller, db: Database, limit: Limit = 20, cursor: Cursor = None) -> Page[Conversation]:
    async with db.read() as tx:
        rows = await store.conversations(tx, caller.id, limit, _before("conversations", cursor))
    return page(rows, limit, "conversations", lambda c: (c.newest.id,))


def _before(name: str, cursor: str | None) -> UUID | None:
    key = decode(name, cursor, tuple[UUID])
    return key[0] if key else None


routes = [of_booking, send, read, conversations]
