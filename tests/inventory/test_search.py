"""Finding items: words, places, dates, prices, pages, and what is refused."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonry.contracts.inventory import Location, Price
from commonry.inventory.rules.places import Place, boxes
from commonry.inventory.searches import Searches
from commonry.inventory.store import room
from commonry.kit import clock
from commonry.kit.auth import Caller
from tests.inventory.shed import Shed


async def found(shed: Shed, **query: Any) -> list[str]:
    """The titles, over all pages, which never repeat or lose one."""
    titles, cursor = list[str](), {}
    for _ in range(50):
        said = await shed.ask("GET", "/api/v1/items", **query, **cursor)
        assert said.status == 200, said.body
        titles += [item["title"] for item in said.json["data"]]
        if said.json["next_cursor"] is None:
            return titles
        cursor = {"cursor": said.json["next_cursor"]}
    raise AssertionError("pages without end")


async def some(shed: Shed, *titles: str, **fields: Any) -> None:
    for n, title in enumerate(titles):
        with clock.at(shed.start - timedelta(days=9) + timedelta(seconds=n)):
            await shed.item(title=title, **fields)


async def test_words_are_found_by_stem_without_accents_and_ranked(shed: Shed) -> None:
    await some(shed, "Hammer drill", "Bohrmaschine für Beton", "Ladder")
    await some(shed, "Tool box", description="With drill bits and a cordless drill")
    assert await found(shed, q="drills") == ["Hammer drill", "Tool box"]
    assert await found(shed, q="FUR beton") == ["Bohrmaschine für Beton"]
    assert await found(shed, q='"drill bits"') == ["Tool box"]
    assert await found(shed, q="drill -cordless") == ["Hammer drill"]
    assert set(await found(shed, q="ladder or beton")) == {"Ladder", "Bohrmaschine für Beton"}
    assert await found(shed, q="zzz") == []
    assert len(await found(shed, q="  ")) == 4


async def test_typing_mistakes_are_forgiven_when_nothing_else_is_found(shed: Shed) -> None:
    await some(shed, *(f"Bohrmaschine {n}" for n in range(5)), "Ladder")
    assert len(await found(shed, q="bohrmachine", limit=2)) == 5
    assert len(await found(shed, q="bohrmachine", limit=2, sort="newest")) == 5
    assert await found(shed, q="laddr") == ["Ladder"]


@pytest.mark.parametrize("sort", ["relevance", "distance", "price", "newest"])
async def test_pages_have_every_item_once_in_order(shed: Shed, sort: str) -> None:
    for n in range(11):
        price = Price(100 * (n % 3), "EUR", "day")
        await some(shed, f"Tent {n}", location=Location(52.5 + n % 4 / 100, 13.4, "Here"), price=price)
    for limit in (1, 4, 11, 100):
        titles = await found(shed, q="tent", near="52.5,13.4", sort=sort, limit=limit)
        assert len(set(titles)) == len(titles) == 11


async def test_prices_are_compared_by_the_day(shed: Shed) -> None:
    prices = {
        "Free": None,
        "Hour": Price(10, "EUR", "hour"),
        "Day": Price(100, "EUR", "day"),
        "Week": Price(350, "EUR", "week"),
    }
    for title, price in prices.items():
        await some(shed, f"{title} thing", price=price)
    assert await found(shed, sort="price") == ["Free thing", "Week thing", "Day thing", "Hour thing"]
    assert await found(shed, sort="price", max_price=100) == ["Free thing", "Week thing", "Day thing"]


async def test_a_category_includes_its_children(shed: Shed) -> None:
    await some(shed, "Saw", category="hand-tools")
    await some(shed, "Router", category="power-tools")
    await some(shed, "Tools", category="tools")
    await some(shed, "Tent", category="camping")
    assert set(await found(shed, category="tools")) == {"Tools", "Router", "Saw"}
    assert await found(shed, category="hand-tools") == ["Saw"]


async def test_near_is_within_the_radius_and_says_how_far(shed: Shed) -> None:
    for title, lat, lon in (("Here", 52.5, 13.4), ("Near", 52.55, 13.4), ("Far away", 53.5, 10.0)):
        await some(shed, title, location=Location(lat, lon, title))
    said = (await shed.ask("GET", "/api/v1/items", near="52.5,13.4")).json["data"]
    assert [(i["title"], i["distance_km"]) for i in said] == [("Here", 0), ("Near", 5.56)]
    assert await found(shed, near="52.5,13.4", radius_km=5) == ["Here"]
    assert await found(shed, near="52.5,13.4", radius_km=300) == ["Here", "Near", "Far away"]
    assert (await shed.ask("GET", "/api/v1/items", sort="newest")).json["data"][0]["distance_km"] is None


async def test_near_knows_the_date_line_and_the_poles(shed: Shed) -> None:
    for title, lat, lon in (("East", 0, 179.95), ("West", 0, -179.95), ("Pole", 89.99, 0), ("South", -89.99, 170)):
        await some(shed, title, location=Location(lat, lon, title))
    assert set(await found(shed, near="0,180", radius_km=6)) == {"East", "West"}
    assert len(await found(shed, near="0,-179.99", radius_km=12)) == 2
    assert await found(shed, near="89.99,180", radius_km=6) == ["Pole"]
    assert await found(shed, near="-90,0", radius_km=6) == ["South"]


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(0, 360), st.floats(0.01, 20_000))
def test_the_boxes_hold_the_whole_circle(lat: float, lon: float, bearing: float, radius: float) -> None:
    import math

    a, b, c, d = math.radians(lat), math.radians(lon), math.radians(bearing), radius * 0.9999 / 6371.0088
    there = math.asin(max(-1, min(1, math.sin(a) * math.cos(d) + math.cos(a) * math.sin(d) * math.cos(c))))
    east = b + math.atan2(math.sin(c) * math.sin(d) * math.cos(a), math.cos(d) - math.sin(a) * math.sin(there))
    to = Place(math.degrees(there), (math.degrees(east) + 540) % 360 - 180)
    assert any(s <= to.lat <= n and w <= to.lon <= e for s, w, n, e in boxes(Place(lat, lon), radius))


async def test_with_dates_only_what_is_free_all_the_time(shed: Shed) -> None:
    _, taken, closed, partly, double = [
        await shed.item(title=t) for t in ("Free", "Taken", "Closed", "Partly", "Double")
    ]
    await shed.ask("PATCH", f"/api/v1/items/{double}", {"quantity": 2}, by=shed.owner)
    for item, hours in ((taken, (0, 24)), (partly, (20, 30)), (double, (0, 24))):
        await shed.hold(item, *hours)
    await shed.ask("POST", f"/api/v1/items/{closed}/blackouts", {"from": shed.at(5), "to": shed.at(6)}, by=shed.owner)
    assert set(await found(shed, from_=shed.at(2), to=shed.at(22))) == {"Free", "Double"}
    assert set(await found(shed, from_=shed.at(2), to=shed.at(20))) == {"Free", "Double", "Partly"}
    assert set(await found(shed, from_=shed.at(24), to=shed.at(30), q="free or taken or partly or double")) == {
        "Free",
        "Taken",
        "Double",
    }
    assert set(await found(shed, from_=shed.at(6), to=shed.at(7), near="52.5,13.42")) == {
        "Free",
        "Closed",
        "Partly",
        "Double",
    }


async def test_rule_12_search_shows_what_could_be_booked_after_moving_others(shed: Shed) -> None:
    item = await shed.item(2)
    bookings = [(await shed.hold(item, 0, 2)).id, (await shed.hold(item, 2, 4)).id]
    async with shed.db.tx() as tx:  # one on each unit, so that none is free all the time
        units = await room._units(tx, item)
        for booking, unit in zip(bookings, units, strict=True):
            await tx.execute("UPDATE claims SET unit_id = %s WHERE reservation_id = %s", [unit, booking])
    assert await found(shed, from_=shed.at(0), to=shed.at(4)) == ["Hammer drill"]
    assert await shed.tries(item, 0, 4) == "held"
    assert await found(shed, from_=shed.at(0), to=shed.at(4)) == []


async def test_with_dates_terms_count_too(shed: Shed) -> None:
    await some(shed, "Long only", min_hours=100)
    await some(shed, "Short only", max_hours=3)
    await some(shed, "Slow", notice_hours=24 * 20)
    await some(shed, "Soon only", horizon_days=3)
    await some(shed, "Buffered", buffer_minutes=600)
    assert await found(shed, from_=shed.at(0), to=shed.at(24)) == ["Buffered"]
    assert len(await found(shed)) == 5


@pytest.mark.parametrize(
    ("query", "at"),
    [
        ({"from": "2030-01-01T00:00:00Z"}, {"query.to"}),
        ({"to": "2030-01-01T00:00:00Z"}, {"query.from"}),
        ({"from": "2030-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z"}, {"query.to"}),
        ({"from": "2030-01-01T00:00:00", "to": "2030-01-02T00:00:00Z"}, {"query.from"}),
        ({"from": "yesterday", "to": "tomorrow"}, {"query.from", "query.to"}),
        ({"sort": "cheapest"}, {"query.sort"}),
        ({"sort": "distance"}, {"query.sort"}),
        ({"sort": "relevance"}, {"query.sort"}),
        ({"near": "here"}, {"query.near"}),
        ({"near": "91,0"}, {"query.near"}),
        ({"near": "nan,0"}, {"query.near"}),
        ({"near": "0,0", "radius_km": "0"}, {"query.radius_km"}),
        ({"near": "0,0", "radius_km": "nan"}, {"query.radius_km"}),
        ({"radius_km": "5"}, {"query.radius_km"}),
        ({"limit": "0"}, {"query.limit"}),
        ({"limit": "101"}, {"query.limit"}),
        ({"limit": "ten"}, {"query.limit"}),
        ({"max_price": "-1"}, {"query.max_price"}),
        ({"max_price": "1.5"}, {"query.max_price"}),
        ({"category": "spaceships"}, {"query.category"}),
        ({"owner": "me"}, {"query.owner"}),
        ({"cursor": "abc"}, {"query.cursor"}),
        ({"q": "a\0b"}, {"query.q"}),
        (
            {"sort": "distance", "category": "x", "from": "2030-01-01T00:00:00Z"},
            {"query.sort", "query.category", "query.to"},
        ),
        ({"limit": "0", "owner": "me", "sort": "x"}, {"query.limit", "query.owner", "query.sort"}),
    ],
)
async def test_what_cannot_be_searched_is_said_at_its_place(shed: Shed, query: dict[str, str], at: set[str]) -> None:
    assert (await shed.ask("GET", "/api/v1/items", **query)).mistaken == at


async def test_a_cursor_belongs_to_its_sort(shed: Shed) -> None:
    await some(shed, "One thing", "Two things", "Three things")
    cursor = (await shed.ask("GET", "/api/v1/items", limit=1)).json["next_cursor"]
    assert (await shed.ask("GET", "/api/v1/items", limit=1, sort="price", cursor=cursor)).mistaken == {"query.cursor"}
    asked = {"q": "thing or things", "near": "52.5,13.42", "limit": 1}
    cursor = (await shed.ask("GET", "/api/v1/items", **asked, sort="distance")).json["next_cursor"]
    assert (await shed.ask("GET", "/api/v1/items", **asked, cursor=cursor)).mistaken == {"query.cursor"}


async def test_what_is_not_listed_is_found_by_managers_who_ask_for_it(shed: Shed) -> None:
    await some(shed, "Listed")
    await some(shed, "Not listed", status="unlisted")

    async def titles(by: Caller | None, **query: Any) -> list[str]:
        said = await shed.ask("GET", "/api/v1/items", by=by, **query)
        assert said.status == 200, said.body
        return [item["title"] for item in said.json["data"]]

    assert await titles(shed.manager, unlisted="true") == ["Not listed", "Listed"]
    assert await titles(shed.manager) == await titles(shed.owner) == await titles(None) == ["Listed"]
    for by in (shed.owner, None):
        assert (await shed.ask("GET", "/api/v1/items", by=by, unlisted="true")).status == 403


async def test_a_look_up_that_is_nobodys_search_is_not_counted(shed: Shed, monkeypatch: pytest.MonkeyPatch) -> None:
    noted = list[str | None]()
    monkeypatch.setattr(Searches, "note", lambda _, search, **how: noted.append(search.q))
    for counted in ("true", "false"):
        await shed.ask("GET", "/api/v1/items", q=counted, counted=counted)
    assert noted == ["true"]
