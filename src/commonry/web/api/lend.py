"""An item's own pages for its owner: listing it and changing it."""

from typing import Any, get_args
from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from msgspec import UNSET, structs

from commonry.contracts.inventory import (
    BookingMode,
    Cancellation,
    Category,
    Condition,
    Handover,
    Item,
    ItemChanges,
    Location,
    NewItem,
    Per,
    Price,
)
from commonry.contracts.money import Money
from commonry.kit.pages import Page
from commonry.kit.problems import NotAllowed, NotSignedIn, NotValid, Problem
from commonry.web import words
from commonry.web.api import photos
from commonry.web.forms import Form, filled_in
from commonry.web.owning import own
from commonry.web.places import Places
from commonry.web.visit import Visit

OURS = {
    "location.label": "place",
    "location": "place",
    "location.lat": "place",
    "location.lon": "place",
    "price.amount": "price",
    "price": "price",
    "deposit.amount": "deposit",
    "deposit": "deposit",
}
"""What inventory calls a field → what the form does."""


@get("/lend", include_in_schema=False)
async def lend_page(visit: Visit, places: Places) -> Response[str]:
    visit.signed_in()
    return await _form_page(visit, places, None, _defaults(visit), None)


def _defaults(visit: Visit) -> dict[str, Any]:
    return {
        "title": "", "description": "", "category": "", "condition": "good", "place": "", "address": "",
        "handover": "in_person", "booking_mode": "request", "cancellation": "moderate", "price": "", "per": "day",
        "deposit": "", "quantity": 1, "min_days": 1, "max_days": 14, "notice_hours": 0, "horizon_days": 180,
        "currency": visit.settings.currency,
    }  # fmt: skip


def _tag(item: Item) -> str:
    """The entity tag under which its owner has seen it."""
    return f'"v{item.version}{f"r{item.rating.count}" if item.rating.count else ""}x"'


def _as_it_is(item: Item) -> dict[str, Any]:
    return {
        "tag": _tag(item),
        "title": item.title, "description": item.description, "category": item.category, "condition": item.condition,
        "place": item.location.label, "address": item.location.address or "", "handover": item.handover,
        "booking_mode": item.booking_mode, "cancellation": item.cancellation, "price": words.plain(item.price),
        "per": item.price.per if item.price else "day", "deposit": words.plain(item.deposit),
        "quantity": item.quantity, "min_days": max(1, item.min_hours // 24), "max_days": max(1, item.max_hours // 24),
        "notice_hours": item.notice_hours, "horizon_days": item.horizon_days,
        "currency": item.price.currency if item.price else item.deposit.currency if item.deposit else "",
    }  # fmt: skip


async def _form_page(
    visit: Visit, places: Places, item: Item | None, said: dict[str, Any], form: Form | None, status: int = 200
) -> Response[str]:
    categories = (await visit.ask("inventory", "GET", "/api/v1/categories", Page[Category])).data
    said["currency"] = said["currency"] or visit.settings.currency
    return await visit.page(
        "lend.html",
        status=status,
        here="lend",
        item=item,
        said=said,
        form=form,
        slugs=[("", "Choose one"), *((c.slug, c.name) for c in categories)],
        places=await places.all(),
        conditions=[(c, words.CONDITIONS[c], "") for c in get_args(Condition)],
        handovers=[
            ("in_person", "Meet to hand it over", "You agree on a time."),
            ("self_service", "Pick it up yourself", "From a shelf, a locker, a courtyard."),
        ],
        modes=[
            ("request", "Ask me first", "You answer each request within a day."),
            ("instant", "Book at once", "Whoever is first has it."),
        ],
        policies=[(name, name.capitalize(), text) for name, text in words.CANCELLATIONS.items()],
    )


@post("/lend", include_in_schema=False, status_code=303)
async def lend(visit: Visit, places: Places) -> Response[str] | Response[None]:
    visit.signed_in()
    form = await filled_in(visit)
    new = await _read(visit, places, form, None)
    if new is not None and not form.mistakes:
        try:
            made = await visit.ask("inventory", "POST", "/api/v1/items", Item, new, key=form.key, timeout=10)
        except NotValid as e:
            form.place(e, OURS)
        else:
            places.forget()
            return await _with_photos(visit, made, form)
    return await _form_page(visit, places, None, _defaults(visit), form, 422)


async def _with_photos(visit: Visit, made: Item, form: Form) -> Response[str] | Response[None]:
    """It is listed, whatever comes of its photos: where some are of no use, the page of its photos says so."""
    if form.files:
        await photos.add(visit, made.id, form)
    if form.mistakes:
        return await photos.page_of(visit, made, form, 422)
    return visit.go(f"/items/{made.id}", "listed")


async def _read(visit: Visit, places: Places, form: Form, item: Item | None) -> NewItem | None:
    """The item that was filled in; None when what is wrong forbids even to ask."""
    currency = (item.price.currency if item and item.price else None) or visit.settings.currency
    label = form.text("place", needed="Say where it is: a square, a street, a neighbourhood.")
    place = await places.called(label) if label else None
    lat, lon = (place.lat, place.lon) if place else places.middle
    if item and item.location.label == label:
        lat, lon = item.location.lat, item.location.lon
    price, deposit = form.amount("price", currency), form.amount("deposit", currency)
    title = form.text("title", needed="Give it a name.")
    if title and len(title) < 3:
        form.wrong("title", "A name has at least 3 letters.")
    chosen = {n: _chosen(form, n, kind) for n, kind in _CHOICES.items()}
    days = {n: form.whole(n, d) for n, d in (("min_days", 1), ("max_days", 14))}
    whole = {n: form.whole(n, d) for n, d in (("quantity", 1), ("notice_hours", 0), ("horizon_days", 180))}
    form.text("category", needed="Choose a category.")
    if form.mistakes:
        return None
    rest: Any = chosen | whole
    per: Any = rest.pop("per")
    return NewItem(
        title=title,
        category=form.text("category"),
        location=Location(lat=lat, lon=lon, label=label, address=form.text("address")[:300] or None),
        description=form.text("description"),
        time_zone=item.time_zone if item else visit.settings.time_zone,
        price=Price(price, currency, per) if price else None,
        deposit=Money(deposit, currency) if deposit else None,
        min_hours=24 * (days["min_days"] or 1) if (days["min_days"] or 1) > 1 else 1,
        max_hours=24 * (days["max_days"] or 14),
        status=item.status if item else "listed",
        buffer_minutes=item.buffer_minutes if item else 0,
        **rest,
    )


_CHOICES: dict[str, Any] = {
    "condition": Condition,
    "handover": Handover,
    "booking_mode": BookingMode,
    "cancellation": Cancellation,
    "per": Per,
}


def _chosen(form: Form, name: str, kind: Any) -> str:
    known = get_args(kind)
    said = form.text(name)
    if said not in known:
        form.wrong(name, "Choose one of these.")
    return said if said in known else known[0]


# --- changing it ---


@get("/items/{item_id:uuid}/edit", include_in_schema=False)
async def edit_page(visit: Visit, places: Places, item_id: UUID) -> Response[str]:
    item = await own(visit, item_id)
    return await _form_page(visit, places, item, _as_it_is(item), None)


@post("/items/{item_id:uuid}/edit", include_in_schema=False, status_code=303)
async def edit(visit: Visit, places: Places, item_id: UUID) -> Response[str] | Response[None]:
    form = await filled_in(visit)
    item = await own(visit, item_id)
    new = await _read(visit, places, form, item)
    if new is not None and not form.mistakes:
        changes = ItemChanges(**{f: getattr(new, f) for f in structs.asdict(new)})
        try:
            await _changed(visit, item_id, changes, tag=form.text("tag"))
        except NotValid as e:
            form.place(e, OURS)
        except Problem as e:
            _explain(form, e)
        else:
            places.forget()
            return visit.go(f"/items/{item_id}", "saved")
    return await _form_page(visit, places, item, _as_it_is(item), form, 422)


async def _changed(visit: Visit, item_id: UUID, changes: ItemChanges, *, tag: str = "") -> Item:
    return await visit.ask("inventory", "PATCH", f"/api/v1/items/{item_id}", Item, changes, if_match=tag or None)


def _explain(form: Form, problem: Problem) -> None:
    if problem.status >= 500 or isinstance(problem, NotSignedIn | NotAllowed):
        raise problem
    if problem.status == 412:
        form.wrong("", "It was changed meanwhile, perhaps in another window. Load the page again to see how it is now.")
    else:
        form.wrong("", problem.detail)


@post("/items/{item_id:uuid}/{what:str}", include_in_schema=False, status_code=303)
async def change(visit: Visit, item_id: UUID, what: str) -> Response[None]:
    """List it again, take it off the list, or remove it."""
    await filled_in(visit)
    await own(visit, item_id)
    if what == "remove":
        await visit.ask("inventory", "DELETE", f"/api/v1/items/{item_id}", type(None))
        return visit.go("/lending", "removed")
    if what not in ("list", "unlist"):
        raise NotAllowed
    status: Any = "listed" if what == "list" else "unlisted"
    await _changed(visit, item_id, ItemChanges(status=status, title=UNSET))
    return visit.go(f"/items/{item_id}/edit", "saved")


routes: list[HTTPRouteHandler] = [lend_page, lend, edit_page, edit, change]
