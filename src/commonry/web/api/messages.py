"""Messages of the two parties of a booking, on its page and in the inbox; there, too, what happened to bookings."""

from uuid import UUID

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from commonry.contracts.bookings import Booking, BookingMessage, Conversation, NewMessage, News, Side
from commonry.kit.pages import Page
from commonry.kit.problems import NotValid, Unavailable
from commonry.web.forms import Form
from commonry.web.visit import Visit

SHOWN = 100
LONGEST = 2000


async def of_booking(visit: Visit, side: Side | None, booking: Booking) -> list[BookingMessage]:
    """A booking's newest messages, the oldest of them first; whoever sees them has read them."""
    if side is None:
        return []
    where = f"/api/v1/bookings/{booking.id}/messages"
    found = (await visit.ask("bookings", "GET", where, Page[BookingMessage], query={"limit": SHOWN})).data
    if any(one.author_id != visit.me for one in found):
        await visit.ask("bookings", "POST", f"{where}/read", type(None), repeatable=True)
    return found[::-1]


async def newest(visit: Visit, booking: Booking) -> str:
    """What tells whether there is another one."""
    if visit.me not in (booking.borrower_id, booking.owner_id):
        return ""
    where = f"/api/v1/bookings/{booking.id}/messages"
    found = (await visit.ask("bookings", "GET", where, Page[BookingMessage], query={"limit": 1})).data
    return str(found[0].id) if found else ""


async def sent(visit: Visit, booking: UUID, text: str, form: Form) -> bool:
    """Send one; False, with what is wrong noted, if it was refused."""
    if len(text) > LONGEST:
        form.wrong("text", f"A message has at most {LONGEST:,} letters.")
        return False
    where = f"/api/v1/bookings/{booking}/messages"
    try:
        await visit.ask("bookings", "POST", where, BookingMessage, NewMessage(text=text), key=form.key)
    except NotValid as e:
        form.place(e)
        return False
    return True


@get("/inbox", include_in_schema=False)
async def inbox(visit: Visit) -> Response[str]:
    visit.signed_in()
    query = {"limit": 50, "cursor": visit.request.query_params.get("cursor")}
    try:
        found = await visit.ask("bookings", "GET", "/api/v1/bookings/conversations", Page[Conversation], query=query)
    except Unavailable:
        return await visit.page("inbox.html", status=503, here="inbox", conversations=None, people={}, more=None)
    people = await visit.named(*(one.other_id for one in found.data))
    more = visit.with_query(cursor=found.next_cursor) if found.next_cursor else None
    return await visit.page("inbox.html", here="inbox", conversations=found.data, people=people, more=more)


@get("/inbox/news", include_in_schema=False)
async def news(visit: Visit) -> Response[str]:
    visit.signed_in()
    query = {"limit": 50, "cursor": visit.request.query_params.get("cursor")}
    try:
        found = await visit.ask("bookings", "GET", "/api/v1/bookings/news", Page[News], query=query)
    except Unavailable:
        return await visit.page("news.html", status=503, here="inbox", news=None, people={}, more=None)
    people = await visit.named(*(one.other_id for one in found.data))
    more = visit.with_query(cursor=found.next_cursor) if found.next_cursor else None
    return await visit.page("news.html", here="inbox", news=found.data, people=people, more=more)


routes: list[HTTPRouteHandler] = [inbox, news]
