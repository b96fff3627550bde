"""Whoever adds a page has it looked at, too."""

import re
from types import SimpleNamespace

from commonry.web.api import PAGES
from tests.browser.test_pages import OPEN, pages_of

NO_PAGES = {
    "/bookings/{booking_id:uuid}/events", "/bookings/{booking_id:uuid}/photos/{photo_id:uuid}/{edge:int}", "/waiting",
    "/lending/items.csv", "/desk/items.csv", "/insights/{name:str}", "/me/export", "/static/{digest:str}/{name:str}",
    "/robots.txt", "/favicon.ico", "/manifest.webmanifest", "/sw.js", "/sitemap.xml",
    "/styleguide",  # is only there for who works on it
}  # fmt: skip
"""Addresses at which there is nothing to see."""


def test_no_page_is_left_out():
    some = SimpleNamespace(id="x")
    lived = {
        **dict.fromkeys(("requested", "coming", "out", "back", "broken"), "x"),
        "ada": some,
        "items": [{"id": "x"}] * 6,
    }
    seen = {*OPEN.values(), *(address for _, address in pages_of(lived).values()), "/items/x"}
    paths = {path for pages in PAGES for route in pages.routes if "GET" in route.http_methods for path in route.paths}
    shown = [re.compile(re.sub(r"\{[^}]+\}", "[^/?]+", path)) for path in paths - NO_PAGES]
    assert [one.pattern for one in shown if not any(one.fullmatch(address.split("?")[0]) for address in seen)] == []
