"""How long a period is, in the item's own time zone, and what is wrong with it: rules 1 to 4.

An instant is a moment with an offset; a wall time is what a clock in a zone shows, and on two days of a year that is
not the same. Every function is total: nothing overflows from year 1 to 9999, at the edges the calendar simply ends.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from commonry.contracts.inventory import Terms
from commonry.contracts.problems import Mistake, NotValid
from commonry.contracts.words import Period

GRACE = timedelta(minutes=5)
"""How far a start may miss the earliest one: people fill in forms, and clocks differ."""

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def elapsed(start: datetime, end: datetime) -> timedelta:
    """The time that really passes from `start` to `end`; negative if `end` is the earlier (rule 3).

    Not `end - start`: between two datetimes of one and the same zone Python compares the clocks on the wall."""
    return (end - _EPOCH) - (start - _EPOCH)


def later(instant: datetime, by: timedelta) -> datetime:
    """`instant` moved by elapsed time, in UTC; a move beyond the calendar ends at its first or last moment."""
    since = elapsed(_EPOCH, instant) + by
    try:
        return _EPOCH + since
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if since > timedelta(0) else datetime.min.replace(tzinfo=UTC)


def instant(wall: datetime, zone: str, at: str = "from") -> datetime:
    """The moment, in UTC, at which clocks in `zone` show `wall` (rule 3).

    A time that is skipped when clocks go forward moves forward by what was skipped, as in RFC 5545; a time that comes
    twice is refused (NotValid, at `at`) until `wall` says by an offset which one it means."""
    if wall.tzinfo is not None:
        return later(wall, timedelta(0))
    first, second = (later(wall.replace(tzinfo=ZoneInfo(zone), fold=fold), timedelta(0)) for fold in (0, 1))
    if first < second:
        either = " or ".join(_shown(i, zone) for i in (first, second))
        raise NotValid(Mistake(at, f"happens twice, because clocks go back in {zone}: say {either}"))
    return first


def hours(period: Period) -> int:
    """How many hours are started, at least 1: elapsed time, whatever clocks showed (rule 3)."""
    return max(1, -(-elapsed(period.from_, period.to) // HOUR))


def local_days(period: Period, zone: str) -> int:
    """How many days a period counts: the difference of its local dates, at least 1 (rule 3).

    A day of 23 or 25 hours is one day, and so is Friday evening to Saturday morning."""
    return max(1, (_date(period.to, zone) - _date(period.from_, zone)).days)


def weeks(period: Period, zone: str) -> tuple[int, int]:
    """The full weeks of a period, and the days that remain (0 to 6), counted as `local_days` counts."""
    return divmod(local_days(period, zone), 7)


def started_days(start: datetime, end: datetime, zone: str) -> int:
    """How many days have begun from `start` to `end`: the first at once, each further one at the same local time of the
    next date; 0 if `end` is not after `start`. For what is late: `local_days` would make Friday morning to Saturday
    night one day."""
    if elapsed(start, end) <= timedelta(0):
        return 0
    days = (_date(end, zone) - _date(start, zone)).days
    wall = _wall(start, zone) + timedelta(days=days)
    return days + (elapsed(wall.replace(tzinfo=ZoneInfo(zone)), end) > timedelta(0))


def mistakes_in_period(period: Period, terms: Terms, now: datetime, quantity: int) -> list[Mistake]:
    """All that the item's terms have against a period, at `from`, `to` and `quantity`; empty if nothing (rules 1, 4).

    Notice is elapsed time before the start, with a grace of 5 minutes; the horizon is counted in local dates, its last
    day included. Whether the calendar is free is inventory's to say."""
    return [*_in_start(period.from_, terms, now), *_in_length(period, terms), *_in_quantity(quantity, terms)]


def counted(number: int, noun: str) -> str:
    """`1 day`, `3 days`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def in_words(number_of_hours: int) -> str:
    """`5 hours`, `24 hours`; from two days on, whole days as days: `30 days`."""
    days, rest = divmod(number_of_hours, 24)
    return counted(days, "day") if days > 1 and not rest else counted(number_of_hours, "hour")


def _in_start(start: datetime, terms: Terms, now: datetime) -> Iterator[Mistake]:
    ahead, notice = elapsed(now, start), timedelta(hours=terms.notice_hours)
    if ahead < notice - GRACE:
        what = "is in the past" if ahead < -GRACE else "is too soon"
        why = f", because {in_words(terms.notice_hours)} of notice are asked for" if notice else ""
        yield Mistake("from", f"{what}: the earliest start is {_shown(later(now, notice), terms.time_zone)}{why}")
    today = _date(now, terms.time_zone)
    if (_date(start, terms.time_zone) - today).days > terms.horizon_days:
        last = _date(later(now, timedelta(days=terms.horizon_days)), terms.time_zone)
        yield Mistake("from", f"is too far ahead: at most {counted(terms.horizon_days, 'day')}, so up to {last}")


def _in_length(period: Period, terms: Terms) -> Iterator[Mistake]:
    shortest, longest = _lengths(period, terms)
    if elapsed(period.from_, period.to) <= timedelta(0):
        yield Mistake("to", "must be after `from`")
    elif longest < timedelta(hours=terms.min_hours):
        yield Mistake("to", f"is too close to `from`: the shortest period is {in_words(terms.min_hours)}")
    elif shortest > timedelta(hours=terms.max_hours):
        yield Mistake("to", f"is too far from `from`: the longest period is {in_words(terms.max_hours)}")


def _lengths(period: Period, terms: Terms) -> tuple[timedelta, timedelta]:
    """The two measures of a length, the lesser first: elapsed time, and the difference that a clock on the wall shows.

    They differ only over a change of clocks. By the hour, elapsed time alone counts. For everything else ten o'clock to
    ten o'clock is a day though 25 hours pass, and 24 hours are a day though the clock then shows nine: a limit refuses
    only what breaks it by both measures."""
    real = elapsed(period.from_, period.to)
    if terms.price and terms.price.per == "hour":
        return real, real
    shown = _wall(period.to, terms.time_zone) - _wall(period.from_, terms.time_zone)
    return min(real, shown), max(real, shown)


def _in_quantity(quantity: int, terms: Terms) -> Iterator[Mistake]:
    if quantity < 1:
        yield Mistake("quantity", "must be at least 1")
    if quantity > terms.units:
        yield Mistake("quantity", f"is more than there are: at most {terms.units}")


def _local(moment: datetime, zone: str) -> datetime:
    """The same moment with the zone's clock; where that is before year 1 or after 9999, its own clock stands in."""
    try:
        return moment.astimezone(ZoneInfo(zone))
    except OverflowError:
        return moment


def _wall(moment: datetime, zone: str) -> datetime:
    return _local(moment, zone).replace(tzinfo=None)


def _date(moment: datetime, zone: str) -> date:
    return _local(moment, zone).date()


def _shown(moment: datetime, zone: str) -> str:
    """For people to read and for machines to send back: `2026-07-03 10:00+02:00`."""
    return _local(moment, zone).isoformat(" ", "minutes")
