"""What a period costs: whole minor units, rounded once per line, and the lines are the total."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import get_args
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonry.bookings.rules import periods, prices
from commonry.contracts.bookings import Line
from commonry.contracts.inventory import Per, Price, Terms
from commonry.contracts.money import MOST, Money
from commonry.contracts.problems import NotValid
from commonry.contracts.words import Period
from tests.bookings.rules_samples import instants, terms, zones

START = datetime(2026, 7, 3, 8, tzinfo=UTC)  # ten o'clock in Berlin
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

lengths = st.timedeltas(timedelta(seconds=1), 90 * DAY)
units = st.sampled_from(get_args(Per))
quantities = st.integers(1, 20)
amounts = st.integers(0, 10**7)


def priced(per: Per | None, amount: int = 1250, currency: str = "EUR", zone: str = "Europe/Berlin") -> Terms:
    return terms(price=Price(amount, currency, per) if per else None, time_zone=zone)


def lines(of: Terms, length: timedelta, quantity: int = 1, start: datetime = START) -> list[tuple[str, int]]:
    return [(line.label, line.amount) for line in prices.quote_lines(of, Period(start, start + length), quantity)]


def cost(of: Terms, period: Period, quantity: int = 1) -> int:
    return sum(line.amount for line in prices.quote_lines(of, period, quantity))


@pytest.mark.parametrize(
    ("of", "length", "quantity", "expected"),
    [
        (priced("hour", 300), HOUR, 1, [("1 hour × 3.00 EUR", 300)]),
        (priced("hour", 300), HOUR * 2.5, 1, [("3 hours × 3.00 EUR", 900)]),
        (priced("hour", 300), HOUR * 2.5, 2, [("3 hours × 3.00 EUR × 2 units", 1800)]),
        (priced("day"), HOUR, 1, [("1 day × 12.50 EUR", 1250)]),
        (priced("day"), 3 * DAY, 1, [("3 days × 12.50 EUR", 3750)]),
        (priced("day", 1250, "JPY"), 3 * DAY, 1, [("3 days × 1250 JPY", 3750)]),
        (priced("day", 1250, "KWD"), 3 * DAY, 1, [("3 days × 1.250 KWD", 3750)]),
        (priced("week", 6000), 7 * DAY, 1, [("1 week × 60.00 EUR", 6000)]),
        (priced("week", 6000), HOUR, 1, [("1 day × 1/7 of 60.00 EUR", 857)]),  # 857.14
        (
            priced("week", 6000),
            17 * DAY,
            1,
            [("2 weeks × 60.00 EUR", 12000), ("3 days × 1/7 of 60.00 EUR", 2571)],  # 2571.43; by the day 3 × 857 = 2571
        ),
        (priced("week", 5), 4 * DAY, 1, [("4 days × 1/7 of 0.05 EUR", 3)]),  # 2.86; by the day 4 × 1 = 4
        (priced("week", 5), 2 * DAY, 2, [("2 days × 1/7 of 0.05 EUR × 2 units", 3)]),  # 2.86; by the unit 2 × 1 = 2
        (priced("week", 1), 3 * DAY, 1, [("3 days × 1/7 of 0.01 EUR", 0)]),
        (priced("week", 1), 4 * DAY, 1, [("4 days × 1/7 of 0.01 EUR", 1)]),
        (priced("day", 0), 3 * DAY, 1, []),
        (priced(None), 3 * DAY, 1, []),
    ],
)
def test_rule_13_lines(of: Terms, length: timedelta, quantity: int, expected: list[tuple[str, int]]):
    assert lines(of, length, quantity) == expected


def test_rule_3_days_of_23_and_25_hours_cost_a_day_and_hours_cost_what_passes():
    spring, autumn = datetime(2026, 3, 28, 11, tzinfo=UTC), datetime(2026, 10, 24, 10, tzinfo=UTC)  # noon in Berlin
    for start, hours in ((spring, 23), (autumn, 25)):
        assert lines(priced("day"), hours * HOUR, start=start) == [("1 day × 12.50 EUR", 1250)]
        assert lines(priced("hour", 100), hours * HOUR, start=start) == [(f"{hours} hours × 1.00 EUR", hours * 100)]


def test_rule_2_days_are_counted_in_the_zone_of_the_item():
    evening = datetime(2026, 7, 3, 20, tzinfo=UTC)  # 22:00 in Berlin, 08:00 on the 4th in Auckland
    assert lines(priced("day"), 28 * HOUR, start=evening) == [("2 days × 12.50 EUR", 2500)]
    assert lines(priced("day", zone="Pacific/Auckland"), 28 * HOUR, start=evening) == [("1 day × 12.50 EUR", 1250)]


def test_a_line_says_its_currency_and_how_many_units():
    (line,) = prices.quote_lines(priced("day", 1250, "CHF"), Period(START, START + DAY), 3)
    assert (line.currency, line.units) == ("CHF", 3)


@given(units, amounts, zones, instants, lengths, quantities)
def test_rule_13_total_is_the_sum_of_the_lines(
    per: Per, amount: int, zone: str, start: datetime, length: timedelta, quantity: int
):
    quoted = prices.quote_lines(priced(per, amount, zone=zone), Period(start, start + length), quantity)
    total = prices.total(quoted)
    assert (total.amount if total else 0) == sum(line.amount for line in quoted)
    assert all(type(line.amount) is int and line.amount >= 0 for line in quoted)
    assert total is None or (total.amount > 0 and total.currency == "EUR")


@given(st.sampled_from(["day", "week"]), amounts, zones, instants, lengths, quantities)
def test_rule_13_each_line_is_rounded_once(
    per: Per, amount: int, zone: str, start: datetime, length: timedelta, quantity: int
):
    of, period = priced(per, amount, zone=zone), Period(start, start + length)
    exact = Fraction(amount * quantity * periods.local_days(period, zone), 7 if per == "week" else 1)
    assert exact - Fraction(1, 2) < cost(of, period, quantity) <= exact + Fraction(1, 2)


@given(units, amounts, zones, instants, lengths, lengths, quantities)
def test_longer_never_costs_less(
    per: Per, amount: int, zone: str, start: datetime, length: timedelta, more: timedelta, quantity: int
):
    of = priced(per, amount, zone=zone)
    short, long = Period(start, start + length), Period(start, start + length + more)
    assert cost(of, short, quantity) <= cost(of, long, quantity)
    assert cost(of, short, quantity) <= cost(of, short, quantity + 1)
    assert cost(of, short, quantity) <= cost(priced(per, amount + 1, zone=zone), short, quantity)


@given(st.sampled_from(["hour", "day", "week"]), amounts, zones, instants, st.integers(1, 40), st.integers(1, 40))
def test_rule_1_back_to_back_halves_cost_no_less_than_the_whole(
    per: Per, amount: int, zone: str, start: datetime, first: int, second: int
):
    noon = start.astimezone(ZoneInfo(zone)).replace(hour=12, minute=0, second=0, microsecond=0, tzinfo=None)
    a, b, c = (periods.instant(noon + timedelta(days=days), zone) for days in (0, first, first + second))
    of = priced(per, amount, zone=zone)
    halves, whole = cost(of, Period(a, b)) + cost(of, Period(b, c)), cost(of, Period(a, c))
    assert whole - 1 <= halves <= whole + 1 if per == "week" else halves == whole


@given(st.integers(0, 10**20), st.integers(1, 10**6))
def test_rule_13_half_goes_up(numerator: int, denominator: int):
    rounded, exact = prices.half_up(numerator, denominator), Fraction(numerator, denominator)
    assert rounded - Fraction(1, 2) <= exact < rounded + Fraction(1, 2)


def test_rule_13_half_goes_up_by_example():
    assert [prices.half_up(n, 2) for n in (0, 1, 2, 3, 5)] == [0, 1, 1, 2, 3]
    assert [prices.half_up(n, 100) for n in (49, 50, 149, 150)] == [0, 1, 1, 2]


def test_a_free_item_has_no_total():
    assert prices.total([]) is None
    assert prices.total([Line(label="3 days × 1/7 of 0.01 EUR", amount=0, currency="EUR")]) is None
    assert prices.total(prices.quote_lines(priced("day"), Period(START, START + DAY), 1)) == Money(1250, "EUR")


def test_more_than_an_amount_may_be_is_a_mistake_not_a_crash():
    half = priced("week", MOST // 2)
    assert cost(half, Period(START, START + 14 * DAY)) == MOST
    with pytest.raises(NotValid) as refused:
        prices.quote_lines(half, Period(START, START + 15 * DAY), 1)  # each of its two lines is small enough
    assert [m.at for m in refused.value.mistakes] == ["to"]
    assert "10000000000.00 EUR" in refused.value.detail
    with pytest.raises(NotValid):
        prices.quote_lines(priced("day", MOST), Period(START, START + DAY), 2)


def test_a_deposit_is_asked_for_every_unit():
    of = terms(deposit=Money(MOST // 2, "JPY"))
    assert prices.deposit(of, 2) == Money(MOST, "JPY")
    with pytest.raises(NotValid) as refused:
        prices.deposit(of, 3)
    assert [m.at for m in refused.value.mistakes] == ["quantity"]
    assert prices.deposit(terms(), 2) is None
    assert prices.deposit(terms(deposit=Money(0, "EUR")), 2) is None


def quoted_hash(**changes: object) -> str:
    period = Period(START, START + 3 * DAY)
    what = {
        "item": UUID(int=7),
        "period": period,
        "quantity": 2,
        "lines": prices.quote_lines(priced("day"), period, 2),
        "deposit": Money(5000, "EUR"),
    }
    return prices.quote_hash(**what | changes)  # pyright: ignore[reportArgumentType]


def test_rule_15_a_quote_has_the_same_hash_in_every_release():
    assert quoted_hash() == "7b7362846db8fe73bf593e36d7c5335e01054f8221f2c163470a5d43f9bad9f8"


def test_rule_15_another_offset_is_the_same_quote():
    tokyo = ZoneInfo("Asia/Tokyo")
    period = Period(START.astimezone(tokyo), (START + 3 * DAY).astimezone(tokyo))
    assert quoted_hash(period=period) == quoted_hash()


@pytest.mark.parametrize(
    "changes",
    [
        {"item": UUID(int=8)},
        {"period": Period(START + timedelta(microseconds=1), START + 3 * DAY)},
        {"period": Period(START, START + 3 * DAY + timedelta(microseconds=1))},
        {"quantity": 1},
        {"lines": []},
        {"lines": prices.quote_lines(priced("day", 1251), Period(START, START + 3 * DAY), 2)},
        {"lines": prices.quote_lines(priced("day", currency="USD"), Period(START, START + 3 * DAY), 2)},
        {"deposit": None},
        {"deposit": Money(5001, "EUR")},
        {"deposit": Money(5000, "CHF")},
    ],
)
def test_rule_15_anything_else_is_another_quote(changes: dict[str, object]):
    assert quoted_hash(**changes) != quoted_hash()


def test_rule_15_each_part_of_a_line_counts():
    line = Line(label="a", amount=1, currency="EUR", units=1)
    others = [
        Line(label="b", amount=1, currency="EUR", units=1),
        Line(label="a", amount=2, currency="EUR", units=1),
        Line(label="a", amount=1, currency="USD", units=1),
        Line(label="a", amount=1, currency="EUR", units=2),
    ]
    assert len({quoted_hash(lines=[each]) for each in (line, *others)}) == 5
