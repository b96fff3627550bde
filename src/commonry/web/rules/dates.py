"""Dates as people choose them: two days and two hours of a place, made a period of instants, and back."""

from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from commonry.contracts.words import Period

PICKUP, RETURN = time(10), time(18)
"""When things change hands unless somebody says otherwise."""
LONGEST = timedelta(days=730)


class Chosen(NamedTuple):
    """Two days and hours, as in the fields of a form; either day may be missing."""

    since: date | None = None
    until: date | None = None
    since_hour: time = PICKUP
    until_hour: time = RETURN

    @property
    def is_complete(self) -> bool:
        """Whether both days are there."""
        return self.since is not None and self.until is not None


def chosen(said: dict[str, str]) -> Chosen:
    """From a query's `from`, `to`, `from_time`, `to_time`; what cannot be read is as if it were not there."""
    return Chosen(
        day(said.get("from", "")),
        day(said.get("to", "")),
        _hour(said.get("from_time", ""), PICKUP),
        _hour(said.get("to_time", ""), RETURN),
    )


def period(given: Chosen, zone: str) -> Period | str:
    """The instants of these days and hours in this zone, or the sentence that says what is wrong with them."""
    if given.since is None or given.until is None:
        return "Choose the first and the last day."
    since = datetime.combine(given.since, given.since_hour, ZoneInfo(zone))
    until = datetime.combine(given.until, given.until_hour, ZoneInfo(zone))
    if until <= since:
        return "The end must come after the start."
    if until - since > LONGEST:
        return "That is longer than two years."
    return Period(since, until)


def query(given: Chosen) -> dict[str, str]:
    """As fields of an address; hours only where they are not the usual ones."""
    said: dict[str, str] = {}
    if given.since:
        said["from"] = given.since.isoformat()
    if given.until:
        said["to"] = given.until.isoformat()
    if given.since_hour != PICKUP:
        said["from_time"] = f"{given.since_hour:%H:%M}"
    if given.until_hour != RETURN:
        said["to_time"] = f"{given.until_hour:%H:%M}"
    return said


def shifted(given: Chosen, days: int) -> Chosen:
    """The same length and hours, so many days later; both days must be there."""
    if given.since is None or given.until is None:
        return given
    return given._replace(since=given.since + timedelta(days), until=given.until + timedelta(days))


def day(text: str) -> date | None:
    """A day of our time, as a date field sends it; None for anything else."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if 2000 <= found.year <= 2100 else None


def _hour(text: str, otherwise: time) -> time:
    try:
        return time.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return otherwise
