"""What people may read of money, and who may read what."""

from uuid import uuid4

import pytest

from commonry.kit.db import Database
from tests.payments.world import SERVICE_TOKEN, World, eur

STATEMENT, LEDGER = "/api/v1/payments/statement", "/api/v1/payments/ledger"


async def test_the_statement_shows_what_happened_to_the_callers_pocket(world: World) -> None:
    booking = await world.paid(1000)
    await world.authorise(booking, 5000, "deposit")
    await world.client.refund(booking, "rental", eur(100), "goodwill")
    await world.client.pay_out(booking)
    mine = (await world.call(STATEMENT, world.borrower)).json["data"]
    assert [(line["kind"], line["amount"]) for line in mine] == [("refund", 100), ("capture", -1000)]
    assert {line["booking_id"] for line in mine} == {str(booking)}
    theirs = (await world.call(STATEMENT, world.owner)).json["data"]
    assert [(line["kind"], line["amount"], line["currency"]) for line in theirs] == [("payout", 900, "EUR")]
    assert (await world.call(STATEMENT, world.other)).json == {"data": [], "next_cursor": None}


async def test_the_statement_comes_in_pages_without_loss(world: World) -> None:
    for amount in range(1, 8):
        await world.paid(amount)
    seen, cursor = [], ""
    for _ in range(4):
        page = (await world.call(f"{STATEMENT}?limit=2{cursor}", world.borrower)).json
        seen += [line["amount"] for line in page["data"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [-7, -6, -5, -4, -3, -2, -1]
    assert page["next_cursor"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=nonsense", "cursor=AAAA"])
@pytest.mark.parametrize("path", [STATEMENT, LEDGER])
async def test_a_bad_page_is_a_mistake(world: World, path: str, query: str) -> None:
    answer = await world.call(f"{path}?{query}", world.manager)
    assert (answer.status, answer.slug) == (422, "not-valid")


async def test_a_cursor_of_another_list_is_a_mistake(world: World) -> None:
    for _ in range(2):
        await world.paid()
    page = (await world.call(f"{STATEMENT}?limit=1", world.borrower)).json
    assert (await world.call(f"{LEDGER}?cursor={page['next_cursor']}", world.manager)).status == 422


async def test_the_ledger_is_the_managers_and_can_be_one_bookings(world: World) -> None:
    first, second = await world.paid(100), await world.paid(200)
    entries = (await world.call(f"{LEDGER}?booking_id={first}", world.manager)).json["data"]
    assert [e["kind"] for e in entries] == ["capture", "authorise"]
    assert [sum(p["amount"] for p in e["postings"]) for e in entries] == [0, 0]
    assert {p["account"].split(":")[0] for p in entries[0]["postings"]} == {"borrower", "booking", "held", "limit"}
    newest = (await world.call(f"{LEDGER}?limit=1", world.manager)).json
    assert newest["data"][0]["booking_id"] == str(second)
    after = (await world.call(f"{LEDGER}?limit=1&cursor={newest['next_cursor']}", world.manager)).json
    assert after["data"][0]["kind"] == "authorise"
    assert (await world.call(f"{LEDGER}?booking_id=x", world.manager)).status == 422
    assert (await world.call(LEDGER, world.borrower)).status == 403
    assert (await world.call(LEDGER)).status == 401


async def test_a_bookings_payments_are_known_to_its_parties_only(world: World) -> None:
    booking = await world.paid(1000)
    await world.authorise(booking, 5000, "deposit")
    path = f"/api/v1/payments/{booking}"
    for who, method in ((world.borrower, "pm_card_visa"), (world.manager, "pm_card_visa"), (world.owner, "")):
        page = (await world.call(path, who)).json
        told = [(p["purpose"], p["status"], p["amount"]["amount"], p["method"]) for p in page["data"]]
        assert told == [("rental", "captured", 1000, method), ("deposit", "authorised", 5000, method)]
    assert (await world.call(path, world.other)).status == 404
    assert (await world.call(path)).status == 401
    assert (await world.call(f"/api/v1/payments/{uuid4()}", world.manager)).status == 404
    assert (await world.call("/api/v1/payments/nonsense", world.manager)).status in (404, 422)


async def test_a_tombstone_of_nothing_is_not_shown(world: World) -> None:
    booking = uuid4()
    await world.client.void(booking, "rental")
    assert (await world.call(f"/api/v1/payments/{booking}", world.manager)).status == 404


async def test_money_is_open_while_it_is_on_its_way(db: Database) -> None:
    world = World(db, fee_percent=10)

    async def open_to() -> tuple[bool, bool, bool]:
        ask = world.client.open_money
        return await ask(world.borrower), await ask(world.owner), await ask(world.other)

    assert await open_to() == (False, False, False)
    booking = uuid4()
    await world.authorise(booking)
    assert await open_to() == (True, True, False)
    await world.client.capture(booking, "rental")
    assert await open_to() == (True, True, False)
    await world.client.pay_out(booking)
    assert await open_to() == (False, False, False)
    await world.client.refund(booking, "rental", eur(1000), "goodwill")
    assert await open_to() == (False, True, False)  # the owner was credited 900 and owes 1000


async def test_money_given_back_or_let_go_is_not_open(world: World) -> None:
    paid, held = await world.paid(), uuid4()
    await world.authorise(held)
    await world.client.refund(paid, "rental", eur(1000), "cancelled")
    await world.client.void(held, "rental")
    assert not await world.client.open_money(world.borrower)


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
@pytest.mark.parametrize("tail", ["", "/capture", "/void", "/refund"])
async def test_nobody_but_services_moves_money(world: World, method: str, tail: str) -> None:
    path = f"/internal/payments/{uuid4()}/rental{tail}"
    for headers in ({}, {"commonry-service": "guessed"}):
        answer = await world.call(path, world.manager, method, **headers)
        assert answer.status in (404, 405)
    for path in (f"/internal/members/{world.borrower}/open-money", f"/internal/payments/{uuid4()}/payout"):
        assert (await world.call(path, world.manager, method)).status in (404, 405)


async def test_it_is_ready_and_documents_its_public_routes_only(world: World) -> None:
    assert (await world.call("/readyz")).status == 200
    document = (await world.call("/internal/openapi.json")).json
    assert sorted(document["paths"]) == [LEDGER, STATEMENT, "/api/v1/payments/{booking_id}"]
    assert (await world.call(STATEMENT, **{"commonry-service": SERVICE_TOKEN})).status == 401


async def test_the_published_views_hold_no_card(world: World) -> None:
    await world.paid()
    columns = await world.rows("SELECT column_name FROM information_schema.columns WHERE table_schema = 'published'")
    assert not {c for (c,) in columns} & {"method", "provider_ref", "provider", "trouble", "cause", "account"}
    assert (await world.rows("SELECT count(*) FROM published.ledger"))[0][0] > 0
