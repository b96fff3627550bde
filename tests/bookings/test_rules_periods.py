"""How long a period is and what is wrong with it, over every change of clocks we know how to provoke."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from commonry.bookings.rules import periods
from commonry.contracts.inventory import Per, Terms
from commonry.contracts.problems import NotValid
from commonry.contracts.words import Period
from tests.bookings.rules_samples import instants, terms, zones

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def local(zone: str, start: str, end: str) -> Period:
    """A period between two wall times that each come once."""
    return Period(*(periods.instant(datetime.fromisoformat(wall), zone) for wall in (start, end)))


def ahead(start: timedelta, length: timedelta = DAY) -> Period:
    return Period(NOW + start, NOW + start + length)


def told(period: Period, at: Terms, now: datetime = NOW, quantity: int = 1) -> list[tuple[str, str]]:
    return [(m.at, m.message) for m in periods.mistakes_in_period(period, at, now, quantity)]


def places(period: Period, at: Terms, now: datetime = NOW, quantity: int = 1) -> list[str]:
    return [at for at, _ in told(period, at, now, quantity)]


# --- rule 3: days, hours, weeks ---


@pytest.mark.parametrize(
    ("zone", "start", "end", "hours", "days"),
    [
        ("Europe/Berlin", "2026-07-03T10:00", "2026-07-03T10:01", 1, 1),
        ("Europe/Berlin", "2026-07-03T00:00", "2026-07-03T23:59", 24, 1),
        ("Europe/Berlin", "2026-07-03T18:00", "2026-07-04T09:00", 15, 1),
        ("Europe/Berlin", "2026-07-03T18:00", "2026-07-05T18:00", 48, 2),
        ("Europe/Berlin", "2026-07-03T18:00", "2026-07-05T00:00", 30, 2),
        ("Europe/Berlin", "2026-03-28T12:00", "2026-03-29T12:00", 23, 1),
        ("Europe/Berlin", "2026-10-24T12:00", "2026-10-25T12:00", 25, 1),
        ("Europe/Berlin", "2026-10-25T00:00", "2026-10-26T00:00", 25, 1),
        ("Australia/Lord_Howe", "2026-04-04T12:00", "2026-04-05T12:00", 25, 1),  # 24.5 hours
        ("Pacific/Apia", "2011-12-29T12:00", "2011-12-31T12:00", 24, 2),  # the 30th never was
        # midnight does not exist: clocks go from 00:00 to 01:00
        ("America/Santiago", "2024-09-07T01:00", "2024-09-08T01:00", 23, 1),
        ("America/Santiago", "2024-09-08T01:00", "2024-09-09T00:00", 23, 1),
        ("America/Santiago", "2024-09-07T12:00", "2024-09-08T00:00", 12, 1),
        ("America/Asuncion", "2023-09-30T12:00", "2023-10-01T00:00", 12, 1),
        ("Africa/Cairo", "2024-04-25T12:00", "2024-04-26T00:00", 12, 1),
        ("Africa/Cairo", "2024-04-26T01:00", "2024-04-27T00:00", 23, 1),
        ("Asia/Beirut", "2024-03-30T00:00", "2024-03-31T00:00", 24, 1),
        ("Atlantic/Azores", "2024-03-30T12:00", "2024-03-31T01:00", 12, 1),
        # midnight comes after an hour that comes twice: clocks go from 24:00 to 23:00
        ("America/Santiago", "2024-04-06T00:00", "2024-04-07T00:00", 25, 1),
        ("America/Asuncion", "2024-03-23T12:00", "2024-03-24T12:00", 25, 1),
        ("Africa/Cairo", "2024-10-31T00:00", "2024-11-01T00:00", 25, 1),
        ("Asia/Beirut", "2024-10-26T12:00", "2024-10-27T00:00", 13, 1),
        # midnight itself comes twice: clocks go from 01:00 to 00:00
        ("Atlantic/Azores", "2024-10-27T00:00-00:00", "2024-10-28T00:00", 25, 1),
        ("Atlantic/Azores", "2024-10-27T00:00-01:00", "2024-10-28T00:00", 24, 1),
        ("Atlantic/Azores", "2024-10-27T00:30+00:00", "2024-10-27T00:30-01:00", 1, 1),
    ],
)
def test_rule_3_a_day_is_a_local_date_and_an_hour_is_elapsed(zone: str, start: str, end: str, hours: int, days: int):
    period = local(zone, start, end)
    assert (periods.hours(period), periods.local_days(period, zone)) == (hours, days)


def test_rule_3_elapsed_time_is_not_what_the_wall_shows():
    berlin = ZoneInfo("Europe/Berlin")
    night = Period(datetime(2026, 10, 25, 1, tzinfo=berlin), datetime(2026, 10, 25, 4, tzinfo=berlin))
    assert night.to - night.from_ == 3 * HOUR  # the trap: one tzinfo, so Python compares walls
    assert periods.hours(night) == 4
    assert periods.elapsed(night.to, night.from_) == -4 * HOUR


def test_rule_3_hours_are_started_hours():
    lengths = [timedelta(microseconds=1), HOUR, HOUR + timedelta(microseconds=1), 25 * HOUR]
    assert [periods.hours(ahead(HOUR, length)) for length in lengths] == [1, 1, 2, 25]


def test_rule_3_weeks_are_full_weeks_and_days():
    lengths = [(7, (1, 0)), (6, (0, 6)), (20, (2, 6)), (1, (0, 1))]
    for days, expected in lengths:
        assert periods.weeks(ahead(DAY, days * DAY), "Europe/Berlin") == expected


@given(zones, instants, st.integers(1, 60), st.integers(1, 60))
def test_rule_3_days_of_two_halves_that_meet_at_noon_add_up(zone: str, start: datetime, first: int, second: int):
    noon = start.astimezone(ZoneInfo(zone)).replace(hour=12, minute=0, second=0, microsecond=0, tzinfo=None)
    a, b, c = (periods.instant(noon + days * DAY, zone) for days in (0, first, first + second))
    counts = [periods.local_days(p, zone) for p in (Period(a, b), Period(b, c), Period(a, c))]
    assert counts == [first, second, first + second]


@given(zones, instants, st.timedeltas(timedelta(microseconds=1), 90 * DAY), st.timedeltas(timedelta(0), 90 * DAY))
def test_rule_3_longer_never_counts_less(zone: str, start: datetime, length: timedelta, more: timedelta):
    short, long = Period(start, start + length), Period(start, start + length + more)
    assert periods.hours(short) <= periods.hours(long)
    assert periods.local_days(short, zone) <= periods.local_days(long, zone)
    assert periods.weeks(short, zone) <= periods.weeks(long, zone)


@given(zones, instants, st.timedeltas(timedelta(microseconds=1), 90 * DAY), zones)
def test_rule_2_the_offset_an_instant_was_written_with_changes_nothing(
    zone: str, start: datetime, length: timedelta, other: str
):
    utc = Period(start, start + length)
    elsewhere = Period(*(i.astimezone(ZoneInfo(other)) for i in (utc.from_, utc.to)))
    assert periods.hours(utc) == periods.hours(elsewhere)
    assert periods.local_days(utc, zone) == periods.local_days(elsewhere, zone)
    assert told(utc, terms(), start) == told(elsewhere, terms(), start)


# --- rule 3: wall times ---


@pytest.mark.parametrize(
    ("zone", "wall", "utc"),
    [
        ("Europe/Berlin", "2026-03-29T01:59", "2026-03-29T00:59Z"),
        ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:30Z"),  # shown as 03:30
        ("Europe/Berlin", "2026-03-29T03:00", "2026-03-29T01:00Z"),
        ("America/Santiago", "2024-09-08T00:00", "2024-09-08T04:00Z"),  # shown as 01:00
        ("Africa/Cairo", "2024-04-26T00:15", "2024-04-25T22:15Z"),
        ("Pacific/Apia", "2011-12-30T08:00", "2011-12-30T18:00Z"),  # shown as the 31st
        ("Europe/Berlin", "2026-10-25T02:30+02:00", "2026-10-25T00:30Z"),
        ("Europe/Berlin", "2026-10-25T02:30+01:00", "2026-10-25T01:30Z"),
        ("Europe/Berlin", "2026-10-25T03:00", "2026-10-25T02:00Z"),
    ],
)
def test_rule_3_a_nonexistent_wall_time_moves_forward(zone: str, wall: str, utc: str):
    assert periods.instant(datetime.fromisoformat(wall), zone) == datetime.fromisoformat(utc)


@pytest.mark.parametrize(
    ("zone", "wall", "offsets"),
    [
        ("Europe/Berlin", "2026-10-25T02:30", ["02:30+02:00", "02:30+01:00"]),
        ("America/Santiago", "2024-04-06T23:30", ["23:30-03:00", "23:30-04:00"]),
        ("Atlantic/Azores", "2024-10-27T00:00", ["00:00+00:00", "00:00-01:00"]),
        ("Asia/Beirut", "2024-10-26T23:59", ["23:59+03:00", "23:59+02:00"]),
        ("America/Asuncion", "2024-03-23T23:00", ["23:00-03:00", "23:00-04:00"]),
    ],
)
def test_rule_3_an_ambiguous_wall_time_needs_an_offset(zone: str, wall: str, offsets: list[str]):
    with pytest.raises(NotValid) as refused:
        periods.instant(datetime.fromisoformat(wall), zone, at="to")
    (mistake,) = refused.value.mistakes
    assert mistake.at == "to"
    assert " or ".join(f"{wall[:10]} {offset}" for offset in offsets) in mistake.message


@given(zones, instants)
def test_rule_3_wall_times_come_back(zone: str, moment: datetime):
    shown = moment.astimezone(ZoneInfo(zone))
    assert periods.instant(shown, zone) == moment
    try:
        assert periods.instant(shown.replace(tzinfo=None), zone) == moment
    except NotValid:
        assert shown.utcoffset() != shown.replace(fold=1 - shown.fold).utcoffset()


# --- started days, for what is late ---


@pytest.mark.parametrize(
    ("zone", "start", "end", "days"),
    [
        ("Europe/Berlin", "2026-07-03T10:00", "2026-07-03T10:00", 0),
        ("Europe/Berlin", "2026-07-03T10:00", "2026-07-03T09:00", 0),
        ("Europe/Berlin", "2026-07-03T10:00", "2026-07-03T10:01", 1),
        ("Europe/Berlin", "2026-07-03T10:00", "2026-07-04T10:00", 1),
        ("Europe/Berlin", "2026-07-03T10:00", "2026-07-04T10:01", 2),
        ("Europe/Berlin", "2026-10-24T10:00", "2026-10-25T10:00", 1),  # 25 hours
        ("Europe/Berlin", "2026-10-24T10:00", "2026-10-25T10:01", 2),
        ("Europe/Berlin", "2026-03-28T10:00", "2026-03-29T10:01", 2),  # 23 hours and a minute
        ("America/Santiago", "2024-09-07T00:00", "2024-09-08T01:00", 1),
        ("America/Santiago", "2024-09-07T00:00", "2024-09-08T01:01", 2),
    ],
)
def test_a_started_day_begins_at_the_same_local_time(zone: str, start: str, end: str, days: int):
    late = local(zone, start, end)
    assert periods.started_days(late.from_, late.to, zone) == days


def test_no_day_has_started_at_its_start_not_even_in_an_hour_that_comes_twice():
    again = datetime.fromisoformat("2026-10-25T02:30+01:00")
    assert periods.started_days(again, again, "Europe/Berlin") == 0
    assert periods.started_days(again, again + timedelta(minutes=1), "Europe/Berlin") == 1


@given(zones, instants, st.timedeltas(timedelta(0), 40 * DAY), st.timedeltas(timedelta(0), 3 * HOUR))
def test_later_never_starts_fewer_days(zone: str, start: datetime, late: timedelta, more: timedelta):
    days, later_days = (periods.started_days(start, start + by, zone) for by in (late, late + more))
    assert days <= later_days <= days + 1
    assert abs(days - late / DAY) < 1.1


# --- rules 1 and 4 ---


def test_a_decent_period_has_no_mistakes():
    assert told(ahead(HOUR), terms()) == []


@pytest.mark.parametrize("length", [timedelta(0), timedelta(microseconds=-1), -400 * DAY])
def test_rule_1_empty_and_negative_are_refused(length: timedelta):
    assert told(ahead(DAY, length), terms()) == [("to", "must be after `from`")]


def test_rule_1_empty_is_judged_by_the_moment_not_by_the_wall():
    twice = Period(datetime.fromisoformat("2026-10-25T02:50+02:00"), datetime.fromisoformat("2026-10-25T02:10+01:00"))
    assert told(twice, terms(min_hours=1), datetime(2026, 10, 24, tzinfo=UTC)) == [
        ("to", "is too close to `from`: the shortest period is 1 hour")
    ]
    berlin = ZoneInfo("Europe/Berlin")
    wrong = Period(datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=berlin), datetime(2026, 10, 25, 2, 50, tzinfo=berlin))
    assert told(wrong, terms(), datetime(2026, 10, 24, tzinfo=UTC)) == [("to", "must be after `from`")]


def test_rule_4_nothing_starts_in_the_past_but_for_a_grace():
    assert told(ahead(timedelta(minutes=-5)), terms()) == []
    assert told(ahead(timedelta(minutes=-5, microseconds=-1)), terms()) == [
        ("from", "is in the past: the earliest start is 2026-07-01 14:00+02:00")
    ]


def test_rule_4_nothing_starts_inside_its_notice():
    asks = terms(notice_hours=48)
    assert told(ahead(timedelta(hours=47, minutes=55)), asks) == []
    why = "the earliest start is 2026-07-03 14:00+02:00, because 2 days of notice are asked for"
    assert told(ahead(timedelta(hours=47, minutes=54)), asks) == [("from", f"is too soon: {why}")]
    assert told(ahead(timedelta(minutes=-5)), asks) == [("from", f"is too soon: {why}")]
    assert told(ahead(-DAY), asks) == [("from", f"is in the past: {why}")]


def test_rule_4_nothing_starts_beyond_the_horizon_counted_in_local_dates():
    last_moment, next_moment = (datetime(2026, 7, 31, 22, tzinfo=UTC) - d for d in (timedelta(microseconds=1), 0 * DAY))
    assert told(Period(last_moment, last_moment + DAY), terms()) == []
    assert told(Period(next_moment, next_moment + DAY), terms()) == [
        ("from", "is too far ahead: at most 30 days, so up to 2026-07-31")
    ]
    assert told(Period(next_moment, next_moment + DAY), terms(time_zone="UTC")) == []


def test_shortest_and_longest_are_allowed_and_no_more():
    assert [places(ahead(HOUR, length), terms()) for length in (2 * HOUR, 10 * DAY)] == [[], []]
    tick = timedelta(microseconds=1)
    assert told(ahead(HOUR, 2 * HOUR - tick), terms()) == [
        ("to", "is too close to `from`: the shortest period is 2 hours")
    ]
    assert told(ahead(HOUR, 10 * DAY + tick), terms()) == [
        ("to", "is too far from `from`: the longest period is 10 days")
    ]


@pytest.mark.parametrize("per", ["day", "week", None])
def test_rule_3_a_change_of_clocks_breaks_no_limit(per: Per | None):
    one_day = terms(per, min_hours=24, max_hours=24)
    spring, autumn = datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC)
    for now, start, end in [
        (autumn, "2026-10-24T12:00", "2026-10-25T12:00"),  # a day by the clock, 25 hours
        (autumn, "2026-10-24T12:00", "2026-10-25T11:00"),  # 24 hours, 23 by the clock
        (spring, "2026-03-28T12:00", "2026-03-29T12:00"),  # a day by the clock, 23 hours
        (spring, "2026-03-28T12:00", "2026-03-29T13:00"),  # 24 hours, 25 by the clock
    ]:
        assert told(local("Europe/Berlin", start, end), one_day, now) == []
    for now, start, end in [
        (autumn, "2026-10-24T12:00", "2026-10-25T12:01"),
        (autumn, "2026-10-24T12:00", "2026-10-25T10:59"),
        (spring, "2026-03-28T12:00", "2026-03-29T13:01"),
        (spring, "2026-03-28T12:00", "2026-03-29T11:59"),
    ]:
        assert places(local("Europe/Berlin", start, end), one_day, now) == ["to"]


def test_rule_3_by_the_hour_only_elapsed_time_counts():
    one_day, now = terms("hour", min_hours=24, max_hours=24), datetime(2026, 10, 24, tzinfo=UTC)
    assert places(local("Europe/Berlin", "2026-10-24T12:00", "2026-10-25T11:00"), one_day, now) == []
    assert places(local("Europe/Berlin", "2026-10-24T12:00", "2026-10-25T12:00"), one_day, now) == ["to"]


def test_more_than_there_are_is_refused():
    assert [places(ahead(HOUR), terms(), quantity=n) for n in (1, 3, 4, 0)] == [[], [], ["quantity"], ["quantity"]]
    assert told(ahead(HOUR), terms(), quantity=4) == [("quantity", "is more than there are: at most 3")]


def test_all_mistakes_are_told_at_once():
    assert places(ahead(-DAY, 400 * DAY), terms(), quantity=9) == ["from", "to", "quantity"]
    assert places(ahead(31 * DAY, -DAY), terms(), quantity=9) == ["from", "to", "quantity"]
    contradiction = terms(notice_hours=80 * 24)
    assert places(ahead(40 * DAY), contradiction) == ["from", "from"]


extremes = st.sampled_from(
    [
        "0001-01-01T00:00:00+14:00",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00-23:59",
        "1970-01-01T00:00:00Z",
        "2026-07-02T12:00:00Z",
        "9999-12-31T23:59:59-12:00",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59+23:59",
    ]
)


@given(extremes, extremes, zones, st.sampled_from(["hour", "day", "week", None]))
def test_no_year_overflows(start: str, end: str, zone: str, per: Per | None):
    period = msgspec.convert({"from": start, "to": end}, Period)
    assume("2026" not in start or "2026" not in end)
    assert places(period, terms(per, time_zone=zone, notice_hours=1))
    assert places(period, terms(per, time_zone=zone), now=period.to) is not None
    assert periods.hours(period) >= 1
    assert periods.local_days(period, zone) >= 1
    assert periods.started_days(period.from_, period.to, zone) >= 0
    assert periods.instant(period.from_, zone).tzinfo is UTC
    assert periods.instant(period.from_.replace(tzinfo=None), zone).tzinfo is UTC


def test_later_ends_where_the_calendar_ends():
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert periods.later(last, DAY) == last
    assert periods.later(first, -DAY) == first
    assert periods.later(NOW, DAY) == NOW + DAY


def test_lengths_in_words():
    assert [periods.in_words(n) for n in (1, 24, 47, 48, 49, 240)] == [
        "1 hour",
        "24 hours",
        "47 hours",
        "2 days",
        "49 hours",
        "10 days",
    ]
