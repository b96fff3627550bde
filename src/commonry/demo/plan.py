"""Who borrowed what, when, and how it ended: a year of loans, the same for the same day and seed.

Pure: chance comes from a seeded generator, so that an interrupted load continues with the same plan.
"""

from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from commonry.demo.neighbourhood import Neighbourhood, Thing

Ending = Literal[
    "completed", "cancelled", "declined", "late", "disputed", "in_use", "overdue", "confirmed", "requested"
]
LOANS = 160
DAYS_BACK = 360
PAST: dict[Ending, int] = {"completed": 84, "cancelled": 7, "declined": 6, "late": 3}
PRESENT: dict[Ending, int] = {"in_use": 10, "overdue": 4, "disputed": 3, "confirmed": 14, "requested": 9}

OWNERS = 3
"""Requests that wait for the owner of the demo."""


class Loan(NamedTuple):
    """One planned loan. Instants are UTC."""

    number: int
    thing: Thing
    borrower: str
    booked_at: datetime
    start: datetime
    end: datetime
    quantity: int
    ending: Ending


def year(words: Neighbourhood, today: date, loans: int = LOANS) -> list[Loan]:
    """The loans of the year before `today`, of today, and of the weeks to come, by the time they were booked."""
    chance = Random(f"{today}:{loans}")  # noqa: S311 why: a story, not a secret
    things = words.things()
    borrowers = [m.key for m in words.members]
    past = [_past(chance, n, things, borrowers, today) for n in range(loans)]
    wanted: list[tuple[Ending, int]] = [(ending, nth) for ending, count in PRESENT.items() for nth in range(count)]
    present = [
        _present(chance, loans + n, _in_sight(words, things, *one), _close_by(words, borrowers, *one), today, one[0])
        for n, one in enumerate(wanted)
    ]
    return sorted((*past, *present), key=lambda loan: loan.booked_at)


def _in_sight(words: Neighbourhood, things: list[Thing], ending: Ending, nth: int) -> list[Thing]:
    """Whoever signs in as the owner finds requests to answer: the first are theirs."""
    return [t for t in things if t.owner == words.who("owner")] if ending == "requested" and nth < OWNERS else things


def _close_by(words: Neighbourhood, people: list[str], ending: Ending, nth: int) -> list[str]:
    """Whoever signs in as the neighbour has something, and something to come: the first of each are theirs."""
    return [words.who("neighbour")] if ending in ("in_use", "confirmed", "requested") and nth == 0 else people


def _past(chance: Random, number: int, things: list[Thing], people: list[str], today: date) -> Loan:
    thing, borrower = _pair(chance, things, people)
    ending = chance.choices(list(PAST), list(PAST.values()))[0]
    if ending == "declined" and thing.body["booking_mode"] == "instant":
        ending = "completed"
    back = max(10, int(chance.triangular(10, DAYS_BACK, 90)))
    return _loan(chance, number, thing, borrower, today - timedelta(days=back), ending)


def _present(chance: Random, number: int, things: list[Thing], people: list[str], today: date, wanted: Ending) -> Loan:
    asked_first = wanted == "requested"
    fitting = [t for t in things if (t.body["booking_mode"] == "request") == asked_first and _fits(t, wanted)]
    thing, borrower = _pair(chance, fitting, people)
    ahead, asked = chance.randint(2, 20), 4 + number % 9
    shift = {"in_use": -1, "overdue": -4, "disputed": -3, "confirmed": ahead, "requested": asked}[wanted]
    loan = _loan(chance, number, thing, borrower, today + timedelta(days=shift), wanted)
    if wanted == "in_use":
        return loan._replace(end=max(loan.end, loan.start + timedelta(days=3)))
    return (
        loan._replace(end=min(loan.end, loan.start + timedelta(days=2))) if wanted in ("overdue", "disputed") else loan
    )


def _fits(thing: Thing, wanted: Ending) -> bool:
    """Whether a thing's terms allow the story: long enough for `in_use`, a deposit to argue about for `disputed`."""
    body = thing.body
    roomy = body["max_hours"] >= 96 and body["min_hours"] <= 48 and body["handover"] == "in_person"
    return roomy and (wanted != "disputed" or bool(body["deposit"]))


def _pair(chance: Random, things: list[Thing], people: list[str]) -> tuple[Thing, str]:
    thing = chance.choice(things)
    return thing, chance.choice([p for p in people if p != thing.owner])


def _loan(chance: Random, number: int, thing: Thing, borrower: str, day: date, ending: Ending) -> Loan:
    body = thing.body
    zone = ZoneInfo(body["time_zone"])
    start = datetime.combine(day, time(chance.choice((9, 10, 11, 16, 17, 18))), zone).astimezone(UTC)
    longest = min(body["max_hours"], 24 * 7)
    hours = max(body["min_hours"], min(longest, chance.choice((3, 6, 24, 24, 48, 48, 72, 120, 168))))
    ahead = timedelta(hours=body["notice_hours"] + chance.randint(2, 24 * 10))
    horizon = timedelta(days=max(1, body["horizon_days"] - 1))
    quantity = chance.randint(1, max(1, body["quantity"] // 2))
    end = start + timedelta(hours=hours)
    return Loan(number, thing, borrower, start - min(ahead, horizon), start, end, quantity, ending)
