"""The sharing journey over HTTP, with all services in one process and with each in its own: same tests, same answers.

After every step the calendar and the ledger are asked, not only the booking.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.inside import UNBALANCED, count
from tests.platform import Person, Platform

DEPOSIT = {"amount": 5000, "currency": "EUR"}


def span(start: float, hours: float = 24) -> dict[str, str]:
    """`from` and `to`, in hours from now."""
    first = datetime.now(UTC) + timedelta(hours=start)
    return {"from": first.isoformat(), "to": (first + timedelta(hours=hours)).isoformat()}


async def listed(owner: Person, **terms: Any) -> dict[str, Any]:
    """A new item of theirs, 10.00 EUR a day."""
    body = {
        "title": "A ladder of the journey",
        "category": "other",
        "location": {"lat": 52.5, "lon": 13.4, "label": "Here", "address": "Street 1"},
        "price": {"amount": 1000, "currency": "EUR", "per": "day"},
    } | terms
    return await owner.must("POST", "/items", body)


class Loan:
    """One borrower, one owner, one item, and what the platform says of them."""

    def __init__(self, platform: Platform, owner: Person, borrower: Person, item: Any, period: dict[str, str]) -> None:
        self.platform, self.owner, self.borrower = platform, owner, borrower
        self.item, self.period, self.id = item, period, ""

    async def book(self, card: str = "pm_card_visa") -> Any:
        body = {"item_id": self.item["id"], "payment_method": card, **self.period}
        answer = await self.borrower.call("POST", "/bookings", body)
        self.id = answer.json.get("id") or answer.json.get("booking_id", "")
        return answer

    async def do(self, who: Person, what: str, body: Any = None) -> Any:
        return await who.must("POST", f"/bookings/{self.id}/{what}", body)

    async def is_taken(self) -> bool:
        calendar = await self.borrower.get(f"/items/{self.item['id']}/availability?{urlencode(self.period)}")
        return calendar["busy"] != []

    async def payments(self) -> dict[str, tuple[str, int, int]]:
        """(status, captured, refunded) by purpose."""
        listing = await self.borrower.get(f"/payments/{self.id}")
        return {p["purpose"]: (p["status"], p["captured"]["amount"], p["refunded"]["amount"]) for p in listing["data"]}

    async def pocket(self, who: Person) -> int:
        """What the loan did to someone's pocket."""
        lines = (await who.get("/payments/statement"))["data"]
        return sum(line["amount"] for line in lines if line["booking_id"] == self.id)

    def ledger_balances(self) -> bool:
        return count(self.platform, "payments", UNBALANCED) == 0

    async def left_no_trace(self) -> None:
        assert not await self.is_taken()
        assert await self.pocket(self.borrower) == 0
        assert await self.pocket(self.owner) == 0
        assert self.ledger_balances()


@pytest.fixture
async def loan(platform: Platform, people: Any) -> Any:
    """Makes a loan of a new item between two new people."""

    async def make(start: float = 48, hours: float = 24, **terms: Any) -> Loan:
        owner, borrower = await people("owner"), await people("borrower")
        return Loan(platform, owner, borrower, await listed(owner, **terms), span(start, hours))

    return make


async def test_instant_booking_in_person(loan: Any) -> None:
    one = await loan(start=0, deposit=DEPOSIT)
    status, booking, headers = await one.book()
    assert (status, booking["state"], headers["location"]) == (201, "confirmed", f"/api/v1/bookings/{one.id}")
    assert await one.is_taken()
    assert await one.payments() == {"rental": ("captured", 1000, 0), "deposit": ("authorised", 0, 0)}
    assert (await one.do(one.borrower, "pickup", {"condition": "good"}))["state"] == "in_use"
    assert await one.is_taken()
    assert (await one.do(one.owner, "return", {"condition": "good"}))["state"] == "completed"
    assert not await one.is_taken()
    assert await one.payments() == {"rental": ("captured", 1000, 0), "deposit": ("voided", 0, 0)}
    assert (await one.pocket(one.borrower), await one.pocket(one.owner)) == (-1000, 1000)
    assert one.ledger_balances()
    events = [e["event"] for e in (await one.borrower.get(f"/bookings/{one.id}/timeline"))["data"]]
    assert events[0] == "booked"
    assert events.index("confirmed") < events.index("pickup") < events.index("return") < events.index("completed")


async def test_request_is_accepted(loan: Any) -> None:
    one = await loan(booking_mode="request")
    status, booking, _ = await one.book()
    assert (status, booking["state"]) == (201, "requested")
    assert await one.is_taken()
    assert await one.payments() == {"rental": ("authorised", 0, 0)}
    assert (await one.do(one.owner, "accept"))["state"] == "confirmed"
    assert await one.payments() == {"rental": ("captured", 1000, 0)}
    assert one.ledger_balances()


async def test_self_service_begins_without_anyone(loan: Any) -> None:
    one = await loan(start=0, handover="self_service", price=None)
    assert (await one.book()).status == 201
    async with asyncio.timeout(15):
        while (await one.borrower.get(f"/bookings/{one.id}"))["state"] != "in_use":
            await asyncio.sleep(0.1)
    assert (await one.do(one.borrower, "return"))["state"] == "completed"
    assert not await one.is_taken()


async def test_declined_card(loan: Any) -> None:
    one = await loan()
    status, problem, _ = await one.book("pm_card_visa_chargeDeclined")
    assert (status, problem["type"]) == (402, "/problems/payment-declined")
    await one.left_no_trace()


@pytest.mark.parametrize("card", ["pm_sandbox_captureFails", "pm_sandbox_timeout"])
async def test_what_fails_after_money_was_set_aside(loan: Any, card: str) -> None:
    one = await loan()
    status, answer, _ = await one.book(card)
    assert status in (202, 402), answer
    async with asyncio.timeout(30):
        while (await one.borrower.get(f"/bookings/{one.id}"))["state"] != "failed":
            await asyncio.sleep(0.1)
    assert {p[1] - p[2] for p in (await one.payments()).values()} <= {0}
    await one.left_no_trace()


async def test_slow_provider_is_waited_for(loan: Any) -> None:
    one = await loan()
    assert (await one.book("pm_sandbox_slow")).status == 201


async def test_owner_declines(loan: Any) -> None:
    one = await loan(booking_mode="request")
    await one.book()
    assert (await one.do(one.owner, "decline", {"note": "Away"}))["state"] == "declined"
    await one.left_no_trace()


async def test_owner_never_answers(loan: Any, platform: Platform) -> None:
    one = await loan(booking_mode="request")
    await one.book()
    count(platform, "bookings", f"UPDATE bookings SET due = now() WHERE id = '{one.id}' RETURNING 1 AS n")
    async with asyncio.timeout(15):
        while (await one.borrower.get(f"/bookings/{one.id}"))["state"] != "expired":
            await asyncio.sleep(0.1)
    await one.left_no_trace()


async def test_borrower_cancels_at_once_and_gets_all_back(loan: Any) -> None:
    one = await loan(start=72)
    await one.book()
    done = await one.do(one.borrower, "cancel")
    assert (done["state"], done["refund"]["amount"]) == ("cancelled", 1000)
    await one.left_no_trace()


async def test_the_same_days_cannot_be_booked_twice(loan: Any, people: Any) -> None:
    one = await loan()
    await one.book()
    late = Loan(one.platform, one.owner, await people("late"), one.item, one.period)
    status, problem, _ = await late.book()
    assert (status, problem["type"]) == (409, "/problems/item-taken")


async def test_rule_1_back_to_back_is_allowed(loan: Any) -> None:
    one = await loan(start=48, hours=24)
    await one.book()
    after = {"from": one.period["to"], "to": (datetime.fromisoformat(one.period["to"]) + timedelta(days=1)).isoformat()}
    assert (await Loan(one.platform, one.owner, one.borrower, one.item, after).book()).status == 201


async def test_rule_23_twenty_at_once_with_one_key(loan: Any) -> None:
    one = await loan()
    body = {"item_id": one.item["id"], "payment_method": "pm_card_visa", **one.period}
    keyed = one.borrower.with_key("the-same")
    answers = await asyncio.gather(*(keyed.call("POST", "/bookings", body) for _ in range(20)))
    assert {a.status for a in answers} == {201}
    assert len({a.json["id"] for a in answers}) == 1
    one.id = answers[0].json["id"]
    assert await one.pocket(one.borrower) == -1000


async def test_rule_24_nothing_of_a_body_is_trusted(loan: Any) -> None:
    one = await loan()
    body = {"item_id": one.item["id"], "payment_method": "pm_card_visa", **one.period}
    for field, lie in {
        "total": {"amount": 1, "currency": "EUR"},
        "state": "confirmed",
        "owner_id": one.borrower.id,
    }.items():
        status, problem, _ = await one.borrower.call("POST", "/bookings", body | {field: lie})
        assert (status, problem["errors"][0]["at"]) == (422, field)


async def test_a_review_reaches_the_items_rating(loan: Any) -> None:
    one = await loan(start=0, price=None)
    await one.book()
    await one.do(one.borrower, "pickup")
    await one.do(one.owner, "return")
    await one.do(one.borrower, "review", {"rating": 4, "text": "Steady"})
    await one.do(one.owner, "review", {"rating": 5})
    async with asyncio.timeout(15):
        while (await one.borrower.get(f"/items/{one.item['id']}"))["rating"]["count"] == 0:
            await asyncio.sleep(0.1)
    assert (await one.borrower.get(f"/items/{one.item['id']}"))["rating"] == {"average": 4.0, "count": 1}
    assert len((await one.borrower.get(f"/members/{one.owner.id}/reviews"))["data"]) == 1


async def test_rule_21_who_has_something_out_cannot_be_erased(loan: Any) -> None:
    one = await loan(start=0, price=None)
    await one.book()
    status, problem, _ = await one.borrower.call("DELETE", "/members/me")
    assert (status, problem["type"]) == (409, "/problems/member-has-obligations")
    await one.do(one.borrower, "cancel")
    assert (await one.borrower.call("DELETE", "/members/me")).status == 204
    assert (await one.borrower.call("GET", "/members/me")).status == 401


async def test_what_a_suspended_member_lends_is_not_offered(loan: Any, people: Any, platform: Platform) -> None:
    one, manager = await loan(), await people("manager")
    promote = f"UPDATE members SET roles = '{{member,manager}}' WHERE id = '{manager.id}' RETURNING 1 AS n"
    count(platform, "users", promote)
    await manager.login()
    await manager.must("PATCH", f"/members/{one.owner.id}", {"status": "suspended"})
    assert (await one.owner.call("GET", "/members/me")).status == 401
    async with asyncio.timeout(15):
        while (await one.borrower.call("GET", f"/items/{one.item['id']}")).status != 404:
            await asyncio.sleep(0.1)
    assert (await one.book()).status in (404, 409)
    await manager.must("PATCH", f"/members/{one.owner.id}", {"status": "active"})
    async with asyncio.timeout(15):
        while (await one.book()).status != 201:
            await asyncio.sleep(0.1)


async def test_a_member_takes_everything_along(loan: Any) -> None:
    one = await loan(start=0)
    await one.book()
    mine, theirs = await one.borrower.get("/members/me/export"), await one.owner.get("/members/me/export")
    assert [b["id"] for b in mine["bookings"]] == [one.id]
    assert [line["amount"] for line in mine["payments"]] == [-1000]
    assert [i["id"] for i in theirs["items"]] == [one.item["id"]]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"email": "\xff", "password": "x"}', {"content-type": "application/json"}, 422),
        (b'{"email": "\\ud800", "password": "x"}', {"content-type": "application/json"}, 422),
        (b'{"email": "a@b.c", "password": 12345678901}', {"content-type": "application/json"}, 422),
        (b'{"email": "a@b.c", "password": "x"}', {"content-type": "text/plain"}, 415),
        (b'{"email": "a@b.c", "password": "x"}', {"content-type": "application/json; charset=utf-16"}, 415),
        (b'{"email": "a@b.c", "password": "x"}', {"content-type": "application/json", "content-encoding": "gzip"}, 415),
    ],
)
async def test_a_body_is_taken_at_its_word(people: Any, body: bytes, headers: dict[str, str], status: int) -> None:
    someone = await people()
    got = await someone.call("POST", "/auth/login", data=body, headers=headers)
    assert (got.status, got.headers["content-type"]) == (status, "application/problem+json")


async def test_a_number_is_no_instant(loan: Any) -> None:
    one = await loan()
    body = {"item_id": one.item["id"], "from": 1800000000, "to": 1800009000}
    status, problem, _ = await one.borrower.call("POST", "/bookings/quote", body)
    assert (status, [e["at"] for e in problem["errors"]]) == (422, ["from", "to"])


async def test_instants_are_answered_in_utc(loan: Any) -> None:
    one = await loan()
    local = {"from": "2027-03-27T12:00:00+01:00", "to": "2027-03-28T12:00:00+02:00"}
    quote = await one.borrower.must("POST", "/bookings/quote", {"item_id": one.item["id"], **local})
    assert (quote["from"], quote["to"]) == ("2027-03-27T11:00:00Z", "2027-03-28T10:00:00Z")
    calendar = await one.borrower.get(f"/items/{one.item['id']}/availability?{urlencode(local)}")
    assert calendar["free"][0]["from"] == "2027-03-27T11:00:00Z"


async def test_managers_find_what_is_late_or_disputed(loan: Any) -> None:
    one = await loan(price=None)
    await one.book()
    assert len((await one.borrower.get("/bookings?overdue=false"))["data"]) == 1
    assert (await one.borrower.get("/bookings?overdue=true"))["data"] == []
    assert (await one.borrower.get("/bookings?disputed=true"))["data"] == []
