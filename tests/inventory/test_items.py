"""Items over HTTP: who may do what, what is refused and how it is said, what strangers see."""

import re
from typing import Any
from uuid import uuid4

import pytest

from commonry.inventory.rules.ics import escaped, folded
from tests.inventory.shed import Shed

NEW: dict[str, Any] = {
    "title": "Cargo bike",
    "category": "cargo-bikes",
    "location": {"lat": 52.493456, "lon": 13.423456, "label": "Kreuzberg", "address": "Ohlauer Str. 1"},
}


async def test_an_item_is_offered_read_changed_and_taken_away(shed: Shed) -> None:
    made = await shed.ask("POST", "/api/v1/items", NEW, by=shed.owner)
    assert made.status == 201
    path = made.headers["location"]
    assert path == f"/api/v1/items/{made.json['id']}"
    assert made.json["owner_id"] == str(shed.owner.id)
    assert made.json["time_zone"] == "Europe/Berlin"
    assert made.json["quantity"] == 1

    read = await shed.ask("GET", path)
    assert (read.status, read.headers["etag"]) == (200, '"v1"')
    changed = await shed.ask("PATCH", path, {"title": "Bike", "quantity": 3}, by=shed.owner)
    assert (changed.json["title"], changed.json["quantity"], changed.headers["etag"]) == ("Bike", 3, '"v2x"')
    put = await shed.ask("PUT", path, NEW, by=shed.manager)
    assert (put.json["title"], put.json["quantity"], put.json["owner_id"]) == ("Cargo bike", 1, str(shed.owner.id))
    assert (await shed.ask("DELETE", path, by=shed.owner)).status == 204
    assert (await shed.ask("GET", path, by=shed.owner)).status == 404
    assert (await shed.ask("GET", "/api/v1/items")).json["data"] == []


async def test_only_the_owner_and_managers_write(shed: Shed) -> None:
    path = f"/api/v1/items/{await shed.item()}"
    for method, body in (("PUT", NEW), ("PATCH", {"title": "Mine now"}), ("DELETE", None)):
        assert (await shed.ask(method, path, body)).status == 401
        assert (await shed.ask(method, path, body, by=shed.other)).status == 403
        assert (await shed.ask(method, f"/api/v1/items/{uuid4()}", body, by=shed.owner)).status == 404
    assert (await shed.ask("POST", "/api/v1/items", NEW)).status == 401
    assert (await shed.ask("POST", f"{path}/blackouts", {}, by=None)).status in (401, 422)
    closed = {"from": shed.at(0), "to": shed.at(1)}
    assert (await shed.ask("POST", f"{path}/blackouts", closed, by=shed.other)).status == 403
    assert (await shed.ask("GET", f"{path}/blackouts", by=shed.other)).status == 403


async def test_rule_24_what_the_platform_decides_cannot_be_sent(shed: Shed) -> None:
    path = f"/api/v1/items/{await shed.item()}"
    for name in ("owner_id", "id", "version", "rating", "created_at", "offered"):
        assert (await shed.ask("POST", "/api/v1/items", NEW | {name: "x"}, by=shed.owner)).mistaken == {name}
        assert (await shed.ask("PATCH", path, {name: "x"}, by=shed.owner)).mistaken == {name}


async def test_all_mistakes_are_told(shed: Shed) -> None:
    price = {"amount": 100, "currency": "EUR", "per": "day"}
    wrong = {"category": "spaceships", "time_zone": "Mars/Olympus", "min_hours": 5, "max_hours": 4}
    wrong |= {"price": price, "deposit": {"amount": 1, "currency": "USD"}}
    said = await shed.ask("POST", "/api/v1/items", NEW | wrong, by=shed.owner)
    assert said.mistaken == {"category", "time_zone", "min_hours", "deposit.currency"}
    bad = {"title": "", "location": {"lat": 91, "lon": 0, "label": "x"}, "price": price | {"amount": 1.5}}
    said = await shed.ask("POST", "/api/v1/items", bad, by=shed.owner)
    assert said.mistaken == {"title", "category", "location.lat", "price.amount"}


async def test_a_patch_is_merged_and_then_checked_whole(shed: Shed) -> None:
    path = f"/api/v1/items/{await shed.item(min_hours=10, max_hours=20, description='Old but good')}"
    assert (await shed.ask("PATCH", path, {"max_hours": 5}, by=shed.owner)).mistaken == {"min_hours"}
    said = await shed.ask("PATCH", path, {"max_hours": 30, "time_zone": None}, by=shed.owner)
    assert (said.json["min_hours"], said.json["max_hours"], said.json["description"]) == (10, 30, "Old but good")
    assert said.json["time_zone"] == "Europe/Berlin"


async def test_if_match_refuses_what_has_changed_since(shed: Shed) -> None:
    path = f"/api/v1/items/{await shed.item()}"
    for method, body in (("PATCH", {"title": "Another"}), ("PUT", NEW), ("DELETE", None)):
        said = await shed.ask(method, path, body, by=shed.owner, headers={"if-match": '"v7"'})
        assert (said.status, said.slug) == (412, "changed")
    said = await shed.ask("PATCH", path, {"title": "Another"}, by=shed.owner, headers={"if-match": '"v9", "v1"'})
    assert said.status == 200
    assert (await shed.ask("DELETE", path, by=shed.owner, headers={"if-match": "*"})).status == 204


async def test_rule_23_the_same_key_makes_one_item(shed: Shed) -> None:
    key = {"idempotency-key": "abc"}
    first = await shed.ask("POST", "/api/v1/items", NEW, by=shed.owner, headers=key)
    again = await shed.ask("POST", "/api/v1/items", NEW, by=shed.owner, headers=key)
    assert first.json == again.json
    other = await shed.ask("POST", "/api/v1/items", NEW | {"title": "Else"}, by=shed.owner, headers=key)
    assert (other.status, other.slug) == (422, "idempotency-key-reused")
    assert len((await shed.ask("GET", "/api/v1/items")).json["data"]) == 1


async def test_rule_20_strangers_see_neither_address_nor_exact_place(shed: Shed) -> None:
    made = await shed.ask("POST", "/api/v1/items", NEW, by=shed.owner)
    path = made.headers["location"]
    assert made.json["location"] == NEW["location"]
    for by, seen in ((None, False), (shed.other, False), (shed.owner, True), (shed.manager, True)):
        for item in (
            (await shed.ask("GET", path, by=by)).json,
            (await shed.ask("GET", "/api/v1/items", by=by)).json["data"][0],
        ):
            place = NEW["location"] if seen else {"lat": 52.493, "lon": 13.423, "label": "Kreuzberg", "address": None}
            assert item["location"] == place
    patched = await shed.ask("PATCH", path, {"title": "Bicycle"}, by=shed.manager)
    assert patched.json["location"] == NEW["location"]
    terms = await shed.ask("GET", f"/internal/items/{made.json['id']}/terms", service=True)
    assert terms.json["location"] == NEW["location"]
    assert (terms.json["units"], terms.json["offered"]) == (1, True)


async def test_unlisted_items_exist_only_for_their_owner(shed: Shed) -> None:
    item = await shed.item(status="unlisted")
    path = f"/api/v1/items/{item}"
    for end in ("", "/availability", "/calendar.ics"):
        statuses = [(await shed.ask("GET", path + end, by=by)).status for by in (None, shed.other, shed.owner)]
        assert statuses == [404, 404, 200]
    owner = str(shed.owner.id)
    mine = await shed.ask("GET", "/api/v1/items", by=shed.owner, owner=owner)
    assert [i["id"] for i in mine.json["data"]] == [str(item)]
    assert (await shed.ask("GET", "/api/v1/items", by=shed.other, owner=owner)).json["data"] == []
    assert (await shed.ask("GET", "/api/v1/items", by=shed.owner)).json["data"] == []


async def test_rule_11_what_is_booked_is_neither_deleted_nor_made_scarce(shed: Shed) -> None:
    item = await shed.item(3)
    path = f"/api/v1/items/{item}"
    bookings = [await shed.lent(item, 0, 2), await shed.lent(item, 1, 3)]
    for method, body in (("DELETE", None), ("PATCH", {"quantity": 1})):
        said = await shed.ask(method, path, body, by=shed.owner)
        assert (said.status, said.slug, said.json["bookings"]) == (409, "item-has-bookings", [str(b) for b in bookings])
    assert (await shed.ask("PATCH", path, {"quantity": 2}, by=shed.owner)).json["quantity"] == 2
    assert await shed.free(item, 0, 3) == [(0, 1, 1), (2, 3, 1)]
    assert (await shed.ask("PATCH", path, {"status": "unlisted"}, by=shed.owner)).status == 200
    await shed.release(bookings[0])
    assert (await shed.ask("PATCH", path, {"quantity": 1}, by=shed.owner)).json["quantity"] == 1
    await shed.release(bookings[1])
    assert (await shed.ask("DELETE", path, by=shed.owner)).status == 204


async def test_fewer_units_are_enough_when_loans_can_move_together(shed: Shed) -> None:
    item = await shed.item(2)
    first, *_ = [await shed.lent(item, *hours) for hours in ((0, 2), (0, 1), (2, 4), (4, 6))]
    await shed.release(first)
    said = await shed.ask("PATCH", f"/api/v1/items/{item}", {"quantity": 1}, by=shed.owner)
    assert said.status == 200
    assert await shed.free(item, 0, 6) == [(1, 2, 1)]


async def test_blackouts_are_listed_for_the_owner_and_undone(shed: Shed) -> None:
    path = f"/api/v1/items/{await shed.item()}/blackouts"
    made = [
        (await shed.ask("POST", path, {"from": shed.at(n), "to": shed.at(n + 1), "note": "Away"}, by=shed.owner)).json
        for n in range(3)
    ]
    first = (await shed.ask("GET", path, by=shed.owner, limit=2)).json
    rest = (await shed.ask("GET", path, by=shed.owner, limit=2, cursor=first["next_cursor"])).json
    assert first["data"] + rest["data"] == made
    assert rest["next_cursor"] is None
    assert (await shed.ask("DELETE", f"{path}/{made[0]['id']}", by=shed.owner)).status == 204
    assert (await shed.ask("DELETE", f"{path}/{made[0]['id']}", by=shed.owner)).status == 404
    empty = {"from": shed.at(1), "to": shed.at(1)}
    assert (await shed.ask("POST", path, empty, by=shed.owner)).mistaken == {"to"}
    assert (await shed.ask("POST", path, {"from": "2030-01-01T00:00:00", "x": 1}, by=shed.owner)).mistaken == {
        "from",
        "to",
        "x",
    }


async def test_availability_tells_units_and_no_reasons(shed: Shed) -> None:
    item = await shed.item(2)
    await shed.hold(item, 1, 3)
    await shed.hold(item, 2, 4)
    said = await shed.ask("GET", f"/api/v1/items/{item}/availability", from_=shed.at(0), to=shed.at(5))
    stamps = [f"{shed.at(n):%Y-%m-%dT%H:%M:%SZ}" for n in range(6)]
    spans = ((0, 1, 2), (1, 2, 1), (3, 4, 1), (4, 5, 2))
    assert said.json == {
        "time_zone": "Europe/Berlin",
        "free": [{"from": stamps[b], "to": stamps[e], "units": n} for b, e, n in spans],
        "busy": [{"from": stamps[2], "to": stamps[3]}],
    }


@pytest.mark.parametrize(
    ("query", "at"),
    [
        ({"from": "2030-01-02T00:00:00Z", "to": "2030-01-01T00:00:00Z"}, "query.to"),
        ({"from": "2030-01-01T00:00:00Z", "to": "2031-06-01T00:00:00Z"}, "query.to"),
        ({"from": "2030-01-01T00:00:00Z"}, "query.to"),
        ({"to": "2030-01-01T00:00:00Z"}, "query.from"),
        ({"from": "2030-01-01T00:00:00", "to": "2030-01-02T00:00:00Z"}, "query.from"),
        ({"from": "0001-01-01T00:00:00+14:00", "to": "2030-01-02T00:00:00Z"}, "query.from"),
        ({"from": "9999-12-31T23:59:59-14:00", "to": "2030-01-02T00:00:00Z"}, "query.from"),
        ({"to": "soon"}, "query.to"),
    ],
)
async def test_availability_refuses_odd_windows(shed: Shed, query: dict[str, str], at: str) -> None:
    said = await shed.ask("GET", f"/api/v1/items/{await shed.item()}/availability", **query)
    assert said.mistaken == {at}


async def test_availability_is_of_the_next_sixty_days_unless_said(shed: Shed) -> None:
    [free] = (await shed.ask("GET", f"/api/v1/items/{await shed.item()}/availability")).json["free"]
    assert free["units"] == 1


async def test_the_calendar_feed_says_busy_and_nothing_else(shed: Shed) -> None:
    title = "Drill; bits, and a very long title that goes on äöü until the line must fold, as RFC 5545 asks"
    item = await shed.item(title=title)
    await shed.hold(item, 0, 2)
    said = await shed.ask("GET", f"/api/v1/items/{item}/calendar.ics")
    assert said.headers["content-type"].startswith("text/calendar")
    lines = said.body.decode().split("\r\n")
    assert all(len(line.encode()) <= 75 for line in lines)
    text = said.body.decode().replace("\r\n ", "")
    assert "X-WR-CALNAME:" + title.replace(";", "\\;").replace(",", "\\,") in text
    assert f"DTSTART:{shed.at(0):%Y%m%dT%H%M%SZ}\r\nDTEND:{shed.at(2):%Y%m%dT%H%M%SZ}" in text
    assert text.count("BEGIN:VEVENT") == 1
    assert re.findall("SUMMARY:.*", text) == ["SUMMARY:Busy\r"]


def test_text_in_feeds_is_escaped_and_folded_between_characters() -> None:
    assert escaped("a\\b;c,d\r\ne\nf\x07") == "a\\\\b\\;c\\,d\\ne\\nf"
    line = "ä" * 100
    parts = folded(line).split("\r\n ")
    assert "".join(parts) == line
    assert all(len(part.encode()) <= 74 for part in parts)


async def test_categories_come_with_their_parents_first(shed: Shed) -> None:
    said = (await shed.ask("GET", "/api/v1/categories")).json
    known: set[str | None] = {None}
    for category in said["data"]:
        assert category["parent"] in known
        known.add(category["slug"])
    assert len(known) > 12
    assert "other" in known


async def test_events_are_applied_once(shed: Shed) -> None:
    item, event = await shed.item(), uuid4()
    for _ in range(2):
        body = {"item_id": item, "rating": 4}
        assert (await shed.ask("POST", f"/internal/events/ReviewPublished/{event}", body, service=True)).status == 204
    await shed.ask("POST", f"/internal/events/ReviewPublished/{uuid4()}", {"item_id": item, "rating": 5}, service=True)
    seen = await shed.ask("GET", f"/api/v1/items/{item}")
    assert seen.json["rating"] == {"average": 4.5, "count": 2}
    assert (await shed.ask("POST", f"/internal/events/Unheard/{uuid4()}", {"a": 1}, service=True)).status == 204


async def test_rule_21_a_suspended_owners_items_are_not_offered(shed: Shed) -> None:
    item = await shed.item()
    whose = {"member_id": shed.owner.id}
    await shed.ask("POST", f"/internal/events/MemberSuspended/{uuid4()}", whose, service=True)
    assert (await shed.ask("GET", f"/api/v1/items/{item}")).status == 404
    assert (await shed.ask("GET", "/api/v1/items")).json["data"] == []
    assert await shed.tries(item, 0, 2) == "not-offered"
    await shed.ask("POST", f"/internal/events/MemberReinstated/{uuid4()}", whose, service=True)
    assert await shed.tries(item, 0, 2) == "held"


async def test_rule_21_an_erased_members_items_vanish_with_their_address(shed: Shed) -> None:
    made = await shed.ask("POST", "/api/v1/items", NEW, by=shed.owner)
    await shed.ask("POST", f"/internal/events/MemberErased/{uuid4()}", {"member_id": shed.owner.id}, service=True)
    seen = (await shed.ask("GET", made.headers["location"], by=shed.manager)).json
    assert seen["status"] == "unlisted"
    assert seen["location"]["address"] is None
    assert (seen["location"]["lat"], seen["location"]["lon"]) == (52.493, 13.423)


async def test_internal_routes_are_for_services_only(shed: Shed) -> None:
    item = await shed.item()
    for method, path in (
        ("GET", f"/internal/items/{item}/terms"),
        ("POST", f"/internal/reservations/{uuid4()}/release"),
        ("GET", f"/internal/reservations/{uuid4()}/at-risk"),
    ):
        assert (await shed.ask(method, path, by=shed.manager)).status == 404
        assert (await shed.ask(method, path, service=True)).status == 200
