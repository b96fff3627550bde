"""Every page as people get it: on a phone and on a desk, light and dark, for everybody."""

import pytest

from tests.browser.conftest import DESKTOP, PHONE

OPEN = {"home": "/", "nothing-found": "/?q=zzzqqq&max=1", "map": "/?view=map", "login": "/login", "register": "/register",
        "not-found": "/no-such-page"}  # fmt: skip


@pytest.fixture
async def stocked(people):
    """Somebody who lends a few things."""
    ada = await people("ada")
    slugs = [c["slug"] for c in (await ada.get("/categories"))["data"]]
    place = {"lat": 52.49, "lon": 13.42, "label": "Kreuzberg"}
    items = []
    for number, slug in enumerate(slugs[:6]):
        body = {
            "title": f"A thing of the kind {slug}", "category": slug, "location": place, "quantity": 1 + number % 2,
            "price": {"amount": 500 * number, "currency": "EUR", "per": "day"} if number else None,
            "description": "It works, and comes with all its parts.", "deposit": {"amount": 2000, "currency": "EUR"},
        }  # fmt: skip
        items.append(await ada.must("POST", "/items", body))
    return ada, items


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desk"])
async def test_open_pages_shut_nobody_out(window, stocked, size, dark):
    shown = await window(size, dark=dark)
    _, items = stocked
    pages = OPEN | {"item": f"/items/{items[1]['id']}", "item-free": f"/items/{items[0]['id']}"}
    for name, path in pages.items():
        await shown.goes(path)
        await shown.shuts_nobody_out()
        await shown.fits()
        await shown.pictured(f"{name}-{'phone' if size == PHONE else 'desk'}-{'dark' if dark else 'light'}")
