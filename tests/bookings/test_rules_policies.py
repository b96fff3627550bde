"""What is given back, what a late return costs, and when things are due."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonry.bookings.rules import policies, prices, settlement
from commonry.contracts.bookings import Booking
from commonry.contracts.inventory import Price, Terms
from commonry.contracts.money import MOST, Money
from tests.bookings.rules_samples import instants, terms, zones

START = datetime(2026, 7, 3, 8, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TICK = timedelta(microseconds=1)

policy = st.sampled_from(list(policies.TIERS.values()))
paid_amounts = st.integers(0, MOST)
before = st.timedeltas(-2 * DAY, 20 * DAY)


def refund(name: Any, left: timedelta, paid: int = 1000, **more: Any) -> int:
    return policies.refund_due(paid, policies.TIERS[name], now=START - left, start=START, **more)


# --- rule 17: cancelling ---


@pytest.mark.parametrize(
    ("name", "left", "percent"),
    [
        ("flexible", 24 * HOUR, 100),
        ("flexible", 24 * HOUR - TICK, 50),
        ("flexible", TICK, 50),
        ("flexible", 0 * HOUR, 0),
        ("flexible", -HOUR, 0),
        ("moderate", 5 * DAY, 100),
        ("moderate", 5 * DAY - TICK, 50),
        ("moderate", 24 * HOUR, 50),
        ("moderate", 24 * HOUR - TICK, 0),
        ("strict", 14 * DAY, 100),
        ("strict", 14 * DAY - TICK, 50),
        ("strict", 7 * DAY, 50),
        ("strict", 7 * DAY - TICK, 0),
        ("strict", -DAY, 0),
    ],
)
def test_rule_17_what_each_policy_gives_back(name: str, left: timedelta, percent: int):
    assert refund(name, left) == percent * 10


def test_rule_17_half_a_cent_goes_to_the_borrower():
    assert [refund("flexible", HOUR, paid) for paid in (0, 1, 2, 3, 1001)] == [0, 1, 1, 2, 501]


@given(paid_amounts, policy, before, st.booleans())
def test_rule_17_the_owner_cancelling_gives_everything_back(
    paid: int, tiers: policies.Tiers, left: timedelta, fresh: bool
):
    booked = START - left if fresh else None
    assert policies.refund_due(paid, tiers, now=START - left, start=START, booked_at=booked, by_owner=True) == paid


@given(paid_amounts, policy, before, st.timedeltas(timedelta(0), 30 * DAY), st.none() | before)
def test_rule_17_a_refund_is_a_part_and_never_grows_with_waiting(
    paid: int, tiers: policies.Tiers, left: timedelta, wait: timedelta, booked: timedelta | None
):
    booked_at = None if booked is None else START - left - abs(booked)
    sooner, later = (
        policies.refund_due(paid, tiers, now=START - left + by, start=START, booked_at=booked_at)
        for by in (timedelta(0), wait)
    )
    assert 0 <= later <= sooner <= paid


@given(policy)
def test_rule_17_tiers_are_ordered_and_give_less_and_less(tiers: policies.Tiers):
    assert list(tiers) == sorted(tiers, reverse=True)
    assert [p for _, p in tiers] == sorted({p for _, p in tiers}, reverse=True)
    assert all(0 < percent <= 100 for _, percent in tiers)


def test_rule_17_a_snapshot_of_the_tiers_survives_json():
    copied = msgspec.json.decode(msgspec.json.encode(policies.TIERS["moderate"]))
    assert policies.refund_due(1000, copied, now=START - 2 * DAY, start=START) == 500
    assert policies.words(copied) == policies.words(policies.TIERS["moderate"])


def test_second_thoughts_within_an_hour_of_booking_are_free_a_day_ahead():
    def asked(left: timedelta, since: timedelta) -> int:
        return refund("strict", left, booked_at=START - left - since)

    assert [asked(24 * HOUR, HOUR), asked(24 * HOUR, HOUR + TICK), asked(24 * HOUR - TICK, HOUR)] == [1000, 0, 0]
    assert asked(30 * DAY, 5 * DAY) == 1000
    assert asked(8 * DAY, 5 * DAY) == 500


def test_policies_are_said_in_plain_words():
    said = {name: policies.words(tiers) for name, tiers in policies.TIERS.items()}
    grace = "Within an hour of booking you get everything back while the start is at least 24 hours away."
    assert said == {
        "flexible": "Everything back if you cancel at least 24 hours before the start, "
        "50 % back if you cancel before the start, after that nothing.",
        "moderate": "Everything back if you cancel at least 5 days before the start, "
        f"50 % back if you cancel at least 24 hours before the start, after that nothing. {grace}",
        "strict": "Everything back if you cancel at least 14 days before the start, "
        f"50 % back if you cancel at least 7 days before the start, after that nothing. {grace}",
    }
    assert policies.words(()) == f"Nothing is given back. {grace}"
    assert policies.words(((25, 100),)).endswith(grace)


# --- rule 17: late returns ---


def fee(of: Terms, late: timedelta, quantity: int = 1, grace: timedelta = HOUR, due: datetime = START) -> int:
    owed = policies.late_fee(of, quantity, due, due + late, grace)
    assert owed is None or (owed.amount > 0 and of.price and owed.currency == of.price.currency)
    return owed.amount if owed else 0


def test_rule_17_a_late_fee_is_a_day_for_each_day_begun_after_the_grace():
    of = terms("day")
    lates = [-DAY, timedelta(0), HOUR, HOUR + TICK, 25 * HOUR, 25 * HOUR + TICK, 49 * HOUR]
    assert [fee(of, late) for late in lates] == [0, 0, 0, 1250, 1250, 2500, 2500]
    assert fee(of, HOUR, grace=timedelta(0)) == 1250
    assert fee(of, 2 * HOUR, quantity=3) == 3750


def test_rule_3_a_change_of_clocks_costs_no_late_fee():
    ten = datetime(2026, 10, 24, 8, tzinfo=UTC)  # in Berlin; the night that follows has an hour more
    assert fee(terms("day"), 26 * HOUR, due=ten) == 1250
    assert fee(terms("day"), 26 * HOUR, due=ten - DAY) == 2500


def test_rule_17_a_day_of_an_hour_price_and_of_a_week_price():
    assert fee(terms("hour"), 2 * HOUR) == 24 * 1250
    assert fee(terms("hour", max_hours=8), 2 * HOUR) == 8 * 1250
    assert fee(terms("week"), 2 * HOUR) == 179  # 178.57
    assert fee(terms("week"), 3 * DAY, quantity=2) == 1071  # 1071.43; rounded by the day it would be 1074
    assert fee(terms(price=Price(1, "EUR", "week")), 2 * HOUR) == 0


def test_rule_17_a_late_fee_is_capped():
    assert fee(terms("day"), 300 * DAY) == 12_500
    assert fee(terms("day"), 300 * DAY, quantity=2) == 25_000
    assert fee(terms("week"), 300 * DAY) == 1786  # 10 sevenths
    assert fee(terms("day", deposit=Money(3000, "EUR")), 2 * DAY) == 2500
    assert fee(terms("day", deposit=Money(3000, "EUR")), 3 * DAY) == 3000
    assert fee(terms("day", deposit=Money(3000, "EUR")), 300 * DAY, quantity=2) == 6000
    assert fee(terms("day", deposit=Money(50_000, "EUR")), 300 * DAY) == 50_000
    assert fee(terms("day", deposit=Money(3000, "CHF")), 300 * DAY) == 12_500
    assert fee(terms("day", deposit=Money(0, "EUR")), 300 * DAY) == 12_500
    assert fee(terms(price=Price(MOST, "EUR", "hour")), 300 * DAY, quantity=1000) == MOST


def test_rule_17_a_free_item_has_no_late_fee():
    assert fee(terms(None, deposit=Money(3000, "EUR")), 300 * DAY) == 0
    assert fee(terms(price=Price(0, "EUR", "day"), deposit=Money(3000, "EUR")), 300 * DAY) == 0


@given(
    st.sampled_from(["hour", "day", "week"]),
    zones,
    instants,
    st.timedeltas(-DAY, 40 * DAY),
    st.timedeltas(DAY * 0, DAY),
)
def test_rule_17_later_never_costs_less(per: Any, zone: str, due: datetime, late: timedelta, more: timedelta):
    of = terms(per, time_zone=zone)
    assert fee(of, late, due=due) <= fee(of, late + more, due=due) <= fee(of, 400 * DAY, due=due)


# --- what is taken from a deposit ---


def owed(late: timedelta | None, claim: int = 0, currency: str = "EUR", **changes: Any) -> Money | None:
    of = terms("day", **{"deposit": Money(3000, "EUR")} | changes)
    booking = Booking(
        id=UUID(int=3),
        state="returned",
        item_id=of.item_id,
        item_title=of.title,
        borrower_id=UUID(int=4),
        owner_id=of.owner_id,
        from_=START - DAY,
        to=START,
        quantity=2,
        lines=[],
        total=None,
        deposit=prices.deposit(of, 2),
        booking_mode="instant",
        handover="in_person",
        cancellation="moderate",
        created_at=START - DAY,
        updated_at=START,
    )
    claimed = Money(claim, currency) if claim else None
    late_fee = None if late is None else policies.late_fee(of, 2, START, START + late, HOUR)
    return settlement.owed_from_deposit(booking, late_fee, claimed)


def test_rule_16_a_deposit_is_never_charged_unless_claimed_or_late():
    assert owed(HOUR) is None
    assert owed(None) is None
    assert owed(2 * HOUR) == Money(2500, "EUR")
    assert owed(timedelta(0), claim=1) == Money(1, "EUR")
    assert owed(2 * HOUR, claim=1) == Money(2501, "EUR")
    assert owed(None, claim=700) == Money(700, "EUR")


def test_rule_14_no_more_is_taken_than_is_held():
    assert owed(2 * HOUR, claim=3501) == Money(6000, "EUR")
    assert owed(timedelta(0), claim=MOST) == Money(6000, "EUR")
    assert owed(timedelta(0), claim=500, currency="CHF") is None
    assert owed(2 * HOUR, claim=500, price=Price(1250, "CHF", "day")) == Money(500, "EUR")


def test_without_a_deposit_nothing_is_taken_from_it():
    assert owed(2 * HOUR, claim=500, deposit=None) is None


# --- rules 16 and 19: when ---


def test_rule_16_a_deposit_is_held_no_earlier_than_24_hours_before():
    assert policies.deposit_due_at(START) == START - 24 * HOUR
    assert policies.deposit_due_at(datetime(1, 1, 1, 2, tzinfo=UTC)) == datetime(1, 1, 1, tzinfo=UTC)


def test_an_answer_is_due_in_time_but_never_at_once():
    asked = START - 3 * DAY
    assert policies.answer_deadline(asked, START, 24) == asked + DAY
    assert policies.answer_deadline(asked, START, 100) == START
    assert policies.answer_deadline(asked, START, 0.5) == asked + 30 * MINUTE
    assert policies.answer_deadline(START - 14 * MINUTE, START, 24) == START + MINUTE
    assert policies.answer_deadline(START, START - MINUTE, 24) == START + 15 * MINUTE
    assert policies.answer_deadline(asked, START, 0.1) == asked + 15 * MINUTE


def test_nobody_came_two_hours_after_the_start():
    assert policies.no_show_at(START, 2) == START + 2 * HOUR


def test_rule_19_reviews_are_published_when_both_are_in_or_after_a_week():
    assert policies.reviews_published_at(START, None) == START + 7 * DAY
    assert policies.reviews_published_at(START, START + HOUR) == START + HOUR
    assert policies.reviews_published_at(START, START + 9 * DAY) == START + 7 * DAY


def test_rule_19_reviews_stay_blind_because_they_close_when_they_are_published():
    assert policies.reviews_open(START, START)
    assert policies.reviews_open(START, START + 7 * DAY - TICK)
    assert not policies.reviews_open(START, policies.reviews_published_at(START, None))
