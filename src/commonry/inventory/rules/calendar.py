"""The arithmetic of the calendar: what is wrong with a period, what is free and busy, which unit each loan gets.

Periods are half-open everywhere (rule 1). The database answers for single units; this answers for many at once.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import accumulate, groupby, pairwise
from typing import NamedTuple
from uuid import UUID

from commonry.contracts.inventory import Busy, Free
from commonry.contracts.problems import Mistake

YEARS = range(2000, 2200)
LONGEST_VIEW = timedelta(days=400)
USUAL_VIEW = timedelta(days=60)


class Span(NamedTuple):
    """Some units are taken from `start` to `end`."""

    start: datetime
    end: datetime
    units: int = 1


class Load(NamedTuple):
    """A claim to be given a unit: `pinned` ones keep theirs. `claim` is None for one that is still only wanted.

    `promised` is when its own unit is free for what is on it already, `end` when any unit is for something new: later,
    if a thing is late or the buffer has become longer."""

    claim: int | None
    unit: UUID | None
    start: datetime
    end: datetime
    promised: datetime
    pinned: bool = False


def mistakes_in_period(from_: datetime, to: datetime, below: str = "") -> list[Mistake]:
    """All that is wrong with a period: empty or negative (rule 1), or not made of usable instants."""
    found = [*mistakes_in_instant(from_, below + "from"), *mistakes_in_instant(to, below + "to")]
    return found or ([Mistake(below + "to", "must be after `from`")] if to <= from_ else [])


def mistakes_in_instant(instant: datetime, at: str) -> list[Mistake]:
    """Without an offset it is not an instant; and a calendar has its years, beyond which arithmetic ends."""
    if instant.tzinfo is None:
        return [Mistake(at, "needs an offset: 2026-07-03T10:00:00Z, or …+02:00")]
    if instant.year not in YEARS:
        return [Mistake(at, f"must be between the years {YEARS[0]} and {YEARS[-1]}")]
    return []


def free_and_busy(
    units: int, taken: Sequence[Sequence[Span]], closed: Sequence[Span], window: Span, buffer: timedelta
) -> tuple[list[Free], list[Busy]]:
    """What can be booked inside `window`: any period within a free stretch fits, its buffer included (rules 6, 7).

    `taken` has what occupies each unit, `closed` the blackouts. A loan also takes the buffer after it, so what begins
    at ten ends the stretch before it a buffer earlier."""
    spans = [*depth(taken), *(Span(c.start, c.end, units) for c in closed)]
    steps = highest([Span(s.start - buffer, s.end, s.units) for s in spans], window)
    free, busy = list[Free](), list[Busy]()
    for left, group in groupby(steps, key=lambda step: max(0, units - step.units)):
        stretch = list(group)
        if left:
            free.append(Free(from_=stretch[0].start, to=stretch[-1].end, units=left))
        else:
            busy.append(Busy(from_=stretch[0].start, to=stretch[-1].end))
    return free, busy


def depth(taken: Sequence[Sequence[Span]]) -> list[Span]:
    """How many units are taken at once, in steps. A unit counts once, however many of its spans overlap."""
    merged = [span for spans in taken for span in _merged(spans)]
    edges = sorted([(s.start, 1) for s in merged] + [(s.end, -1) for s in merged])
    levels = accumulate(change for _, change in edges)
    steps = zip(pairwise(at for at, _ in edges), levels, strict=False)
    return [Span(a, b, level) for (a, b), level in steps if a < b and level]


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    ordered = sorted(spans)
    while ordered:
        start, end, _ = ordered.pop(0)
        while ordered and ordered[0].start <= end:
            end = max(end, ordered.pop(0).end)
        yield Span(start, end)


def highest(spans: Sequence[Span], window: Span) -> Iterator[Span]:
    """The window in steps, each with the most units that any span takes there."""
    cuts = {window.start, window.end}
    cuts |= {at for s in spans for at in (s.start, s.end) if window.start < at < window.end}
    waiting = sorted(spans, reverse=True)
    running: list[tuple[int, datetime]] = []
    for at, until in pairwise(sorted(cuts)):
        while waiting and waiting[-1].start <= at:
            span = waiting.pop()
            heappush(running, (-span.units, span.end))
        while running and running[0][1] <= at:
            heappop(running)
        yield Span(at, until, -running[0][0] if running else 0)


def pack(units: Sequence[UUID], loads: Iterable[Load]) -> list[tuple[Load, UUID]] | None:
    """A unit for every load such that none overlap, or None if these units are too few.

    Colouring intervals from left to right needs no more units than ever overlap at once, provided that what is pinned
    begins before everything else; it does, because only what has begun is pinned. A load stays where it is if that is
    possible, otherwise it goes where it leaves the shortest gap."""
    beginning = datetime.min.replace(tzinfo=UTC)
    ready = dict.fromkeys(units, (beginning, beginning))
    placed: list[tuple[Load, UUID]] = []
    for load in sorted(loads, key=lambda load: (not load.pinned, load.start)):
        unit = load.unit if load.pinned else _snuggest(ready, load)
        if unit is None or unit not in ready:
            return None
        end, promised = ready[unit]
        ready[unit] = max(end, load.end), max(promised, load.promised)
        placed.append((load, unit))
    return placed


def _snuggest(ready: dict[UUID, tuple[datetime, datetime]], load: Load) -> UUID | None:
    if load.unit is not None and load.unit in ready and ready[load.unit][1] <= load.start:
        return load.unit
    fitting = [unit for unit, (end, _) in ready.items() if end <= load.start]
    return max(fitting, key=ready.__getitem__, default=None)
