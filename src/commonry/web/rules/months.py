"""A month as a table of weeks, each day free, partly free, taken or over, from what the calendar says."""

import calendar
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from commonry.contracts.inventory import Free

Kind = Literal["free", "part", "taken", "past"]


class Day(NamedTuple):
    """A day of the table; `is_inside` says whether it belongs to the month, `words` what it is for who cannot see."""

    date: date
    kind: Kind
    is_inside: bool
    is_today: bool
    words: str


class Month(NamedTuple):
    """Weeks from Monday, and the months beside it (None before this one, or beyond what can be booked)."""

    first: date
    weeks: list[list[Day]]
    before: date | None
    after: date | None


NOTHING = timedelta(0)
WORDS: dict[Kind, str] = {"free": "free", "part": "partly free", "taken": "taken", "past": "over"}


def bounds(first: date, zone: str) -> tuple[datetime, datetime]:
    """The instants of the first and after the last day that the table of this month shows."""
    days = list(calendar.Calendar().itermonthdates(first.year, first.month))
    place = ZoneInfo(zone)
    return datetime.combine(days[0], time(0), place), datetime.combine(days[-1] + timedelta(1), time(0), place)


def first_of(said: str, today: date) -> date:
    """The first day of the month written `2026-12`; of this month when it cannot be read, or is long over."""
    try:
        found = date.fromisoformat(f"{said}-01")
    except ValueError:
        return today.replace(day=1)
    return found if today.replace(day=1) <= found <= today + timedelta(days=730) else today.replace(day=1)


def month(first: date, today: date, zone: str, free: Sequence[Free], last: date) -> Month:
    """The table. A day is `part` when some hours of it are free; `last` is the last day that can be booked."""
    place = ZoneInfo(zone)
    weeks = [
        [_day(one, first, today, _share(one, place, free)) for one in week]
        for week in calendar.Calendar().monthdatescalendar(first.year, first.month)
    ]
    before, after = (first - timedelta(days=1)).replace(day=1), (first + timedelta(days=32)).replace(day=1)
    return Month(first, weeks, before if before >= today.replace(day=1) else None, after if after <= last else None)


def strip(first: date, number: int, today: date, zone: str, free: Sequence[Free]) -> list[Day]:
    """So many days in a row."""
    place = ZoneInfo(zone)
    days = [first + timedelta(n) for n in range(number)]
    return [_day(one, one, today, _share(one, place, free)) for one in days]


def _day(one: date, first: date, today: date, share: int) -> Day:
    kind: Kind = "past" if one < today else "taken" if share <= 0 else "free" if share >= 99 else "part"
    if one == today and kind == "part":
        kind = "free" if share > 20 else "part"
    return Day(one, kind, one.month == first.month, one == today, WORDS[kind])


def _share(one: date, place: ZoneInfo, free: Sequence[Free]) -> int:
    """How much of the day is free, in percent."""
    since = datetime.combine(one, time(0), place)
    until = datetime.combine(one + timedelta(1), time(0), place)
    found = sum((max(min(f.to, until) - max(f.from_, since), NOTHING) for f in free), NOTHING)
    return found * 100 // (until - since)
