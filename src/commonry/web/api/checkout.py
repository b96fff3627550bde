"""Borrowing an item: the frozen quote, how it is paid, and one button."""

import secrets
from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from commonry.contracts.bookings import Booking, NewBooking
from commonry.contracts.inventory import Item
from commonry.contracts.words import Period
from commonry.kit.problems import NotSignedIn, NotValid, Problem
from commonry.web.api.item import quantity_of, quoted
from commonry.web.forms import Form, filled_in
from commonry.web.rules import dates
from commonry.web.visit import Visit, query_of

METHODS = (
    ("pm_card_visa", "A card that works", "The sandbox's: no real money moves."),
    ("pm_card_visa_chargeDeclined", "A card that is declined", "To see what happens then."),
    ("pm_sandbox_captureFails", "A card that fails later", "The money is set aside, but cannot be taken."),
    ("pm_sandbox_slow", "A slow card", "It takes a moment."),
)
"""The payment provider of today is a sandbox, which knows these."""


@get("/items/{item_id:uuid}/borrow", include_in_schema=False)
async def checkout_page(visit: Visit, item_id: UUID) -> Response[str]:
    visit.signed_in()
    item = await visit.ask("inventory", "GET", f"/api/v1/items/{item_id}", Item)
    return await _page(visit, item, dict(visit.request.query_params), None)


async def _page(visit: Visit, item: Item, said: dict[str, str], form: Form | None, status: int = 200) -> Response[str]:
    chosen, quantity = dates.chosen(said), quantity_of(said.get("quantity", ""), item)
    quote, trouble = await quoted(visit, item, chosen, quantity)
    trouble = trouble or ("" if quote else "Choose the first and the last day.")
    owner = (await visit.named(item.owner_id)).get(item.owner_id)
    query = query_of({**dates.query(chosen), "quantity": quantity})
    told: dict[str, Any] = {
        "item": item,
        "owner": owner,
        "chosen": chosen,
        "quantity": quantity,
        "quote": quote,
        "trouble": trouble,
        "methods": METHODS,
        "form": form,
        "key": form.said.get("key", "") if form else secrets.token_urlsafe(16),
        "back": f"/items/{item.id}?{query}",
    }
    return await visit.page("checkout.html", status=status, **told)


@post("/items/{item_id:uuid}/borrow", include_in_schema=False, status_code=303)
async def borrow(visit: Visit, item_id: UUID) -> Response[str] | Response[None]:
    visit.signed_in()
    form = await filled_in(visit)
    item = await visit.ask("inventory", "GET", f"/api/v1/items/{item_id}", Item)
    period = dates.period(dates.chosen(form.said), item.time_zone)
    if isinstance(period, Period):
        order = _order(form, item, period)
        try:
            made = await visit.ask(
                "bookings", "POST", "/api/v1/bookings", Booking, order, key=form.text("key")[:100] or None, timeout=12
            )
        except NotSignedIn:
            raise
        except NotValid as e:
            form.place(e)
        except Problem as e:
            _explain(form, e)
        else:
            return visit.go(f"/bookings/{made.id}", {"confirmed": "booked", "requested": "asked"}.get(made.state, ""))
    else:
        form.wrong("", period)
    form.said["key"] = secrets.token_urlsafe(16)  # what failed is answered so for ever under the old one
    return await _page(visit, item, form.said, form, 422)


def _order(form: Form, item: Item, period: Period) -> NewBooking:
    return NewBooking(
        item_id=item.id,
        from_=period.from_,
        to=period.to,
        quantity=quantity_of(form.text("quantity"), item),
        payment_method=form.text("payment_method") or None,
        message=form.text("message")[:2000],
        quote_id=form.id("quote_id"),
    )


def _explain(form: Form, problem: Problem) -> None:
    """What was refused, and the way out, beside what has to change."""
    words = {
        "payment-declined": ("payment_method", "This card was declined. Nothing was charged; choose another one."),
        "item-taken": ("", "Somebody was quicker: it is taken for these dates. Choose other ones."),
        "own-item": ("", "This is your own thing. You have it already."),
        "quote-expired": ("", "The price was kept for a while, which is over. Below is today's; send it again."),
    }  # fmt: skip
    if problem.status >= 500:
        raise problem
    name, sentence = words.get(problem.slug, ("", problem.detail))
    form.wrong(name, sentence)


routes: list[HTTPRouteHandler] = [checkout_page, borrow]
