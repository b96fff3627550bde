"""The calendar's arithmetic against the slowest and plainest way to do the same."""

import itertools
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from commonry.inventory.rules.calendar import Load, Span, free_and_busy, pack
from commonry.inventory.rules.items import is_meant
from commonry.inventory.rules.search import Search

START = datetime(2030, 3, 30, 22, tzinfo=UTC)  # clocks change in the night that follows
UNITS = [UUID(int=n) for n in range(1, 4)]


def at(hour: int) -> datetime:
    return START + timedelta(hours=hour)


def hour(instant: datetime) -> int:
    return int((instant - START) / timedelta(hours=1))


spans = st.tuples(st.integers(0, 20), st.integers(1, 8)).map(lambda t: Span(at(t[0]), at(t[0] + t[1])))


@given(st.lists(st.lists(spans, max_size=4), min_size=1, max_size=3), st.lists(spans, max_size=2), st.integers(0, 3))
def test_rules_6_and_7_free_is_what_can_be_booked_hour_by_hour(
    taken: list[list[Span]], closed: list[Span], buffer: int
) -> None:
    """Spans of one unit may overlap here: where a buffer was made longer they do, and the unit counts once."""

    def blocked(span: Span, begin: int) -> bool:
        return hour(span.start) < begin + 1 + buffer and begin < hour(span.end)

    def units(begin: int) -> int:
        """How many units could be had for the hour, at each moment of it and of the buffer after it."""
        if any(blocked(c, begin) for c in closed):
            return 0
        moments = range(begin, begin + 1 + buffer)
        return len(taken) - max(
            sum(any(hour(s.start) <= m < hour(s.end) for s in unit) for unit in taken) for m in moments
        )

    free, busy = free_and_busy(len(taken), taken, closed, Span(at(0), at(30)), timedelta(hours=buffer))
    shown = {h: f.units for f in free for h in range(hour(f.from_), hour(f.to))}
    assert shown == {h: units(h) for h in range(30) if units(h)}
    assert {h for b in busy for h in range(hour(b.from_), hour(b.to))} == set(range(30)) - set(shown)
    edges = sorted([(s.from_, s.to) for s in (*free, *busy)])
    assert edges[0][0] == at(0)
    assert edges[-1][1] == at(30)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(edges))
    assert all(a.to < b.from_ for a, b in itertools.pairwise(busy)), "neighbours are merged"


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 8)), max_size=9), st.integers(1, 3), st.data())
def test_rule_6_packing_succeeds_exactly_when_no_moment_needs_more_units(
    periods: list[tuple[int, int]], units: int, data: st.DataObject
) -> None:
    pinned = [
        Load(-n, unit, at(0), at(end), at(end), pinned=True)
        for n, unit in enumerate(UNITS[:units], 1)
        if (end := data.draw(st.integers(0, 9)))
    ]
    loads = [Load(n, None, at(b), at(b + d), at(b + d)) for n, (b, d) in enumerate(periods, 1)]
    most = max((sum(p.start <= at(h) < p.end for p in (*pinned, *loads)) for h in range(30)), default=0)
    placed = pack(UNITS[:units], [*loads, *pinned])
    assert (placed is not None) == (most <= units)
    for load, unit in placed or []:
        assert not load.pinned or unit == load.unit
        others = [o for o, u in placed or [] if u == unit and o is not load]
        assert all(o.end <= load.start or load.end <= o.start for o in others)


def test_packing_leaves_alone_what_may_stay() -> None:
    loads = [
        Load(1, UNITS[1], at(1), at(2), at(2)),
        Load(2, UNITS[0], at(1), at(2), at(2)),
        Load(3, UNITS[0], at(3), at(4), at(4)),
    ]
    assert pack(UNITS, loads) == [(load, load.unit) for load in loads]
    late = Load(1, UNITS[0], at(1), at(9), at(2), pinned=True)
    assert pack(UNITS[:1], [late, loads[2]]) == [(late, UNITS[0]), (loads[2], UNITS[0])]
    assert pack(UNITS[1:2], [late]) is None


def test_if_match_names_versions_as_rfc_9110_says() -> None:
    assert is_meant(None, 3)
    assert is_meant("*", 3)
    assert is_meant('"v2", "v3"', 3)
    assert not is_meant('"v2"', 3)
    assert not is_meant('W/"v3"', 3)
    assert not is_meant("", 3)


def test_the_usual_order_is_what_was_asked_for_first() -> None:
    assert [
        Search(**q).order for q in ({"q": "a", "near": "0,0"}, {"near": "0,0"}, {}, {"q": "a", "sort": "price"})
    ] == [
        "relevance",
        "distance",
        "newest",
        "price",
    ]
