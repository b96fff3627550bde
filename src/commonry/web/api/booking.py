"""A booking's page, and all that its two parties do there: answer, hand over, return, cancel, review."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple
from uuid import UUID

import segno
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream
from markupsafe import Markup

from commonry.contracts.bookings import (
    Booking,
    Decision,
    HandoverReport,
    NewReview,
    RefundPreview,
    Review,
    Side,
    Timeline,
    Why,
)
from commonry.contracts.inventory import Item
from commonry.contracts.money import Money
from commonry.kit import clock, deadlines
from commonry.kit.pages import Page
from commonry.kit.problems import NotFound, NotSignedIn, NotValid, Problem, Unavailable
from commonry.web.api import handovers, messages
from commonry.web.forms import Form, filled_in
from commonry.web.rules import deeds
from commonry.web.visit import Visit

CONDITIONS = (
    ("good", "As it should be", "Complete, clean, and it works."),
    ("worn", "Used", "Signs of use, but all there."),
    ("incomplete", "Something is missing", "Say what, below."),
    ("damaged", "Damaged", "Say what, below."),
)
LOOKED, LOOKED_LATER, QUIET = 1.0, 3.0, 30
"""Seconds between looks at a booking that somebody watches; and later, after so many looks that found nothing new."""
WATCHED = 240.0
"""Seconds after which a browser asks again."""


class Seen(NamedTuple):
    """A booking, from where somebody stands."""

    booking: Booking
    side: Side | None
    item: Item | None
    zone: str


async def seen(visit: Visit, booking_id: UUID) -> Seen:
    """The booking; raises `NotSignedIn`, `NotFound`."""
    caller = visit.signed_in()
    booking = await visit.ask("bookings", "GET", f"/api/v1/bookings/{booking_id}", Booking)
    side: Side | None = (
        "borrower" if caller.id == booking.borrower_id else "owner" if caller.id == booking.owner_id else None
    )
    try:
        item = await visit.ask("inventory", "GET", f"/api/v1/items/{booking.item_id}", Item)
    except (NotFound, Unavailable):
        item = None
    return Seen(booking, side, item, item.time_zone if item else visit.settings.time_zone)


@get("/bookings/{booking_id:uuid}", include_in_schema=False)
async def booking_page(visit: Visit, booking_id: UUID) -> Response[str]:
    it = await seen(visit, booking_id)
    return await _page(visit, it, None)


async def _page(visit: Visit, it: Seen, form: Form | None, status: int = 200) -> Response[str]:
    booking = it.booking
    timeline = await visit.ask("bookings", "GET", f"/api/v1/bookings/{booking.id}/timeline", Timeline)
    reviews = await _reviews(visit, booking)
    written = await messages.of_booking(visit, it.side, booking)
    mine = [r for r in reviews if r.author_id == visit.me]
    primary, others = deeds.possible(
        booking, it.side, clock.now(), manages=visit.manages, reviewed=bool(mine) or it.side is None
    )
    people = await visit.named(booking.owner_id, booking.borrower_id, *(r.author_id for r in reviews))
    other = booking.owner_id if it.side == "borrower" else booking.borrower_id
    return await visit.page(
        "booking.html",
        status=status,
        here="lending" if it.side == "owner" else "borrowing",
        booking=booking,
        side=it.side,
        item=it.item,
        zone=it.zone,
        timeline=timeline.data,
        to_come=deeds.to_come(booking),
        primary=primary,
        others=others,
        people=people,
        other=people.get(other),
        reviews=reviews,
        written=written,
        handovers=await handovers.of_booking(visit, booking),
        form=form,
        live=booking.state not in deeds.OVER,
    )


async def _reviews(visit: Visit, booking: Booking) -> list[Review]:
    if booking.state not in ("returned", "completed"):
        return []
    return (await visit.ask("bookings", "GET", f"/api/v1/bookings/{booking.id}/reviews", Page[Review])).data


# --- what needs a page of its own first ---


@get("/bookings/{booking_id:uuid}/{what:str}", include_in_schema=False)
async def deed_page(visit: Visit, booking_id: UUID, what: str) -> Response[str]:
    it = await seen(visit, booking_id)
    if what == "cancel":
        preview = await visit.ask("bookings", "GET", f"/api/v1/bookings/{booking_id}/refund", RefundPreview)
        return await visit.page("cancel.html", booking=it.booking, side=it.side, zone=it.zone, preview=preview)
    if what not in ("pickup", "return", "dispute", "review", "decline", "resolve"):
        raise NotFound
    return await _deed_page(visit, it, what, None)


async def _deed_page(visit: Visit, it: Seen, what: str, form: Form | None, status: int = 200) -> Response[str]:
    link = f"{visit.root}/bookings/{it.booking.id}/{what}"
    other = it.booking.owner_id if it.side == "borrower" else it.booking.borrower_id
    return await visit.page(
        "deed.html",
        status=status,
        booking=it.booking,
        side=it.side,
        zone=it.zone,
        what=what,
        conditions=CONDITIONS,
        other=(await visit.named(other)).get(other),
        form=form,
        code=_code(link) if what in ("pickup", "return") else None,
    )


def _code(link: str) -> Markup:
    """A QR code of an address, as an SVG to stand in a page."""
    drawn = segno.make(link, error="m").svg_inline(
        scale=4, border=2, dark="#1d2733", light="#ffffff", omitsize=True, svgclass="qr", lineclass=None
    )
    return Markup(drawn)  # noqa: S704 why: made here, of an address of ours


# --- doing it ---


@post("/bookings/{booking_id:uuid}/messages", include_in_schema=False, status_code=303)
async def write(visit: Visit, booking_id: UUID) -> Response[str] | Response[None]:
    form = await filled_in(visit)
    it = await seen(visit, booking_id)
    text = form.text("text", needed="Write something first.")
    if not form.mistakes and await messages.sent(visit, booking_id, text, form):
        return visit.go(f"/bookings/{booking_id}", "sent")
    return await _page(visit, it, form, 422)


@post("/bookings/{booking_id:uuid}/{what:str}", include_in_schema=False, status_code=303)
async def do(visit: Visit, booking_id: UUID, what: str) -> Response[str] | Response[None]:
    form = await filled_in(visit)
    it = await seen(visit, booking_id)
    if what not in DONE:
        raise NotFound
    photos = await handovers.kept(visit, booking_id, form) if what in ("pickup", "return") else []
    body = _body(it.booking, what, form, photos)
    if not form.mistakes:
        answer: Any = Review if what == "review" else Booking
        try:
            await visit.ask("bookings", "POST", f"/api/v1/bookings/{booking_id}/{what}", answer, body, timeout=12)
        except NotSignedIn:
            raise
        except NotValid as e:
            form.place(e, {"from_deposit": "amount", "from_deposit.amount": "amount"})
        except Problem as e:
            if e.status >= 500 or e.status == 404:
                raise
            form.wrong("", _plainly(e))
        else:
            return visit.go(f"/bookings/{booking_id}", DONE[what])
    it = it._replace(booking=await visit.ask("bookings", "GET", f"/api/v1/bookings/{booking_id}", Booking))
    if what in ("accept", "cancel", "no-show"):
        return await _page(visit, it, form, 422)
    return await _deed_page(visit, it, what, form, 422)


DONE = {
    "accept": "accepted",
    "decline": "declined",
    "cancel": "cancelled",
    "pickup": "picked-up",
    "return": "returned",
    "no-show": "no-show",
    "dispute": "disputed",
    "resolve": "resolved",
    "review": "reviewed",
}
"""What is done → how it is said."""


def _body(booking: Booking, what: str, form: Form, photos: list[str]) -> Any:
    note = form.text("note")[:2000]
    match what:
        case "pickup" | "return":
            condition: Any = form.text("condition") or "good"
            if condition not in [known for known, _, _ in CONDITIONS]:
                form.wrong("condition", "Choose how it is.")
            return HandoverReport(condition=condition, note=note, photos=photos)
        case "decline" | "cancel":
            return Why(note=note)
        case "dispute":
            form.text("note", needed="Say what is wrong with it.")
            return Why(note=note)
        case "resolve":
            currency = booking.deposit.currency if booking.deposit else "EUR"
            amount = form.amount("amount", currency)
            return Decision(from_deposit=Money(amount, currency) if amount else None, note=note)
        case "review":
            rating = form.whole("rating") or 0
            if not 1 <= rating <= 5:
                form.wrong("rating", "Choose one to five stars.")
                return None
            return NewReview(rating=rating, text=form.text("text")[:2000])
        case _:
            return None


def _plainly(problem: Problem) -> str:
    possible_from = problem.extra.get("possible_from")
    when = f" It is possible from {possible_from}." if possible_from else ""
    return f"{problem.detail}{when}"


# --- live ---


@get("/bookings/{booking_id:uuid}/events", include_in_schema=False)
async def events(visit: Visit, booking_id: UUID) -> Stream:
    """Tells a page that its booking has changed (server-sent events), until it is over or for some minutes."""
    first = (await seen(visit, booking_id)).booking

    async def told() -> AsyncGenerator[bytes]:
        deadlines.lift()
        known = _moment(first, await messages.newest(visit, first))
        yield b"retry: 3000\n\n"
        until, quiet = time.monotonic() + WATCHED, 0
        while time.monotonic() < until:
            await asyncio.sleep(LOOKED if quiet < QUIET else LOOKED_LATER)
            try:
                now = await visit.ask("bookings", "GET", f"/api/v1/bookings/{booking_id}", Booking)
                moment = _moment(now, await messages.newest(visit, now))
            except Problem:
                return
            if moment != known:
                known, quiet = moment, 0
                yield f"event: changed\ndata: {now.state}\n\n".encode()
            else:
                quiet += 1
                yield b": still there\n\n"
            if now.state in deeds.OVER:
                return

    return Stream(told(), media_type="text/event-stream", headers={"cache-control": "no-store"})


def _moment(booking: Booking, newest: str) -> str:
    return f"{booking.state} {booking.updated_at.isoformat()} {booking.deposit_state} {booking.disputed} {newest}"


routes: list[HTTPRouteHandler] = [booking_page, events, deed_page, write, do]
