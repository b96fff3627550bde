"""Quotes: a price for an item and a period, frozen before anyone pays (rule 15)."""

from datetime import UTC, timedelta
from typing import Any

from litestar import Response, post

from commonry.bookings.rules import periods, prices
from commonry.bookings.store import quotes as store
from commonry.contracts.bookings import NewBooking, Quote, QuoteRequest
from commonry.contracts.inventory import Terms
from commonry.contracts.problems import NotOffered
from commonry.contracts.surroundings import Surroundings
from commonry.contracts.words import Period
from commonry.kit import clock
from commonry.kit.ids import new_id
from commonry.kit.problems import NotValid
from commonry.kit.service import Once


@post(
    "/api/v1/bookings/quote",
    status_code=200,
    tags=["bookings"],
    summary="A price, frozen for a while",
    operation_id="quote",
)
async def quote(data: QuoteRequest, around: Surroundings, once: Once) -> Response[Quote]:
    terms = await around.peers.inventory.terms(data.item_id)
    made = priced(around, data, terms)
    return await once(lambda tx: store.keep(tx, made, terms), status=200)


def priced(around: Surroundings, order: QuoteRequest | NewBooking, terms: Terms) -> Quote:
    """Today's price under these terms. Raises NotOffered, NotValid with every mistake of the period."""
    if not terms.offered:
        raise NotOffered
    period, now = Period(order.from_, order.to), clock.now()
    if wrong := periods.mistakes_in_period(period, terms, now, quantity=order.quantity):
        raise NotValid(*wrong)
    lines = prices.quote_lines(terms, period, order.quantity)
    said: dict[str, Any] = {"item_id": order.item_id, "quantity": order.quantity}
    said |= {"from_": order.from_.astimezone(UTC), "to": order.to.astimezone(UTC)}
    total, deposit = prices.total(lines), prices.deposit(terms, order.quantity)
    digest = prices.quote_hash(order.item_id, period, order.quantity, lines, deposit)
    until = now + timedelta(minutes=around.settings.quote_minutes)
    return Quote(quote_id=new_id(), **said, lines=lines, total=total, deposit=deposit, expires_at=until, hash=digest)


routes = [quote]
