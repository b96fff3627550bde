"""How things are, and who made what is used here."""

import asyncio
from importlib import resources
from typing import Any

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from commonry.contracts.bookings import Line
from commonry.contracts.money import Money
from commonry.kit.problems import NotFound, Unavailable
from commonry.web import paper, words
from commonry.web.forms import Form
from commonry.web.visit import Visit

SERVICES = {
    "users": ("Members", "nobody signs in or joins. Who is signed in goes on for a little while"),
    "inventory": ("Things and their calendars", "what was looked at lately can still be seen; nothing new is reserved"),
    "bookings": ("Bookings", "nothing is booked, handed over or given back. What is under way goes on later"),
    "payments": ("Money", "new bookings that cost something wait, or are undone. Nothing is lost"),
}  # fmt: skip
LICENCES = ("figtree", "htmx", "lucide", "fluent-emoji")


@get("/status", include_in_schema=False)
async def status(visit: Visit) -> Response[str]:
    found = await asyncio.gather(*(_is_well(visit, name) for name in SERVICES))
    parts = [(name, *SERVICES[name], well) for name, well in zip(SERVICES, found, strict=True)]
    return await visit.page("status.html", here="status", parts=parts, all_well=all(found))


async def _is_well(visit: Visit, service: str) -> bool:
    try:
        peer = getattr(visit.around.peers, service).peer
        got = await peer.call("GET", "/readyz", query="", body=b"", headers={}, timeout=2.0)
    except Unavailable:
        return False
    return got.status == 200


@get("/about", include_in_schema=False)
async def about(visit: Visit) -> Response[str]:
    folder = resources.files("commonry.web").joinpath("licences")
    texts = [(name, folder.joinpath(f"{name}.txt").read_text("utf-8")) for name in LICENCES]
    return await visit.page("about.html", here="about", texts=texts)


@get("/styleguide", include_in_schema=False)
async def styleguide(visit: Visit) -> Response[str]:
    """Every component, for who works on them: only where the log level is `debug`."""
    if visit.settings.log_level != "debug":
        raise NotFound
    form = Form({"bad": "12,5,0"}, [], {})
    form.wrong("bad", "Write an amount such as 12.50.")
    samples: dict[str, Any] = {
        "icons": paper.icons(),
        "states": words.STATES,
        "colours": ("paper", "sheet", "well", "ink", "soft", "line", "edge", "accent", "tint", "attention", "bad"),
        "steps": ("4", "3", "2", "1", "0", "-1"),
        "bill": [Line(label="2 days × 7.00 EUR", amount=1400, currency="EUR")],
        "total": Money(1400, "EUR"),
        "deposit": Money(6000, "EUR"),
    }
    return await visit.page("styleguide.html", form=form, **samples)


routes: list[HTTPRouteHandler] = [status, about, styleguide]
