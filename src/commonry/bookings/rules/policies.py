"""What is given back, what a late return costs, and when things are due: rules 16, 17 and 19.

Every answer is an amount in minor units, or an instant to compare `now` with: the saga writes it into the booking's
`due`, an endpoint says it to people, and neither has to know why.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from commonry.bookings.rules import prices
from commonry.bookings.rules.periods import DAY, HOUR, elapsed, in_words, later, started_days
from commonry.contracts.inventory import Cancellation, Price, Terms
from commonry.contracts.money import MOST, Money

Tiers = Sequence[tuple[int, int]]
"""(hours before the start, percent given back), the earliest first: the first whose hours are still left decides."""

TIERS: dict[Cancellation, Tiers] = {
    "flexible": ((24, 100), (0, 50)),
    "moderate": ((5 * 24, 100), (24, 50)),
    "strict": ((14 * 24, 100), (7 * 24, 50)),
}
"""Copied into a booking when it is made: a later change of policy does not reach it."""

SECOND_THOUGHTS = timedelta(hours=1)
"""How long after booking a cancellation is free under every policy, if the start is a day away or more."""

DEPOSIT_AHEAD = timedelta(hours=24)
"""Providers keep an authorisation for days only, and nobody's card should be blocked for weeks."""

LEAST_ANSWER = timedelta(minutes=15)
"""What an owner has to answer a request at least, even if its period begins before."""

REVIEW_TIME = timedelta(days=7)
MOST_LATE_DAYS = 10


def words(tiers: Tiers) -> str:
    """The policy as people read it before they book, made from the tiers themselves, so that it cannot differ."""
    said = [f"{_share(percent)} if you cancel {_when(hours)}" for hours, percent in tiers]
    early = "Within an hour of booking you get everything back while the start is at least 24 hours away."
    kinder = [early] if not tiers or tiers[0][0] > 24 else []
    usual = f"{', '.join(said).capitalize()}, after that nothing." if said else "Nothing is given back."
    return " ".join([usual, *kinder])


def refund_due(
    paid: int,
    tiers: Tiers,
    *,
    now: datetime,
    start: datetime,
    booked_at: datetime | None = None,
    by_owner: bool = False,
) -> int:
    """The share of `paid` (minor units) to give back when a booking is cancelled at `now`, half up (rule 17).

    `tiers` are the booking's own. When the owner cancels it is everything; so it is within an hour of `booked_at` while
    the start is at least 24 hours away. From the start on it is nothing."""
    left = elapsed(now, start)
    if by_owner or (booked_at is not None and elapsed(booked_at, now) <= SECOND_THOUGHTS and left >= DAY):
        return paid
    percents = (percent for hours, percent in tiers if left >= hours * HOUR)
    return prices.half_up(paid * next(percents, 0), 100) if left > timedelta(0) else 0


def late_fee(terms: Terms, quantity: int, due_back: datetime, returned_at: datetime, grace: timedelta) -> Money | None:
    """What a return after `due_back` and `grace` costs: the price of a day for each day begun since (rule 17).

    None in time, or for a free item. A day begins at the same local time as the first, so a change of clocks costs
    nothing. A week price gives a seventh, an hour price as many hours as one may book, at most 24. The most is the
    deposit, which is there to be taken and which the borrower agreed to; without one in the same currency, 10 days."""
    if terms.price is None:
        return None
    each, share = _a_day(terms.price, terms.max_hours)
    days = started_days(later(due_back, grace), returned_at, terms.time_zone)
    held = terms.deposit.amount if terms.deposit and terms.deposit.currency == terms.price.currency else 0
    most = held * quantity or prices.half_up(each * MOST_LATE_DAYS * quantity, share)
    fee = min(prices.half_up(each * days * quantity, share), most, MOST)
    return Money(fee, terms.price.currency) if fee else None


def deposit_due_at(start: datetime) -> datetime:
    """When the deposit is authorised at the earliest: 24 hours before the start (rule 16). A booking made later than
    that finds it in the past: at once."""
    return later(start, -DEPOSIT_AHEAD)


def answer_deadline(created: datetime, start: datetime, answer_hours: float) -> datetime:
    """Until when the owner may accept a request: `answer_hours` after it, but not after the start; a request for very
    soon leaves at least 15 minutes."""
    latest = min(later(created, answer_hours * HOUR), later(start, timedelta(0)))
    return max(latest, later(created, LEAST_ANSWER))


def no_show_at(start: datetime, no_show_hours: float) -> datetime:
    """From when the owner may report that nobody came."""
    return later(start, no_show_hours * HOUR)


def reviews_open(completed: datetime, now: datetime) -> bool:
    """Whether a review can still be written: 7 days from completion (rule 19). After that the other side's is public,
    and what is written in answer to it would not be blind."""
    return elapsed(completed, now) < REVIEW_TIME


def reviews_published_at(completed: datetime, both_in: datetime | None) -> datetime:
    """When the reviews of a booking become visible: as soon as both sides' are in, at the latest 7 days after
    completion, whichever there are (rule 19)."""
    latest = later(completed, REVIEW_TIME)
    return latest if both_in is None else min(later(both_in, timedelta(0)), latest)


def _a_day(price: Price, max_hours: int) -> tuple[int, int]:
    """The price of a day as a fraction of minor units, still unrounded."""
    match price.per:
        case "hour":
            return price.amount * min(24, max_hours), 1
        case "day":
            return price.amount, 1
        case "week":
            return price.amount, 7


def _share(percent: int) -> str:
    return "everything back" if percent == 100 else f"{percent} % back"


def _when(hours: int) -> str:
    return f"at least {in_words(hours)} before the start" if hours else "before the start"
