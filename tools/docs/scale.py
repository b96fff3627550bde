"""The arithmetic of growth, from what was measured (benchmarks/results) and what is assumed; both are shown beside it.

Nothing here is measured at that size: it is multiplied, and the page says so.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from tools.docs.markdown import table

RESULTS = Path(__file__).parents[2] / "benchmarks/results"
YEAR = 365 * 24 * 3600
DAYS_A_BOOKING = 3
PEAK = 10
LOOKS_A_BOOKING = 100
FROM_MEMORY = 0.5
AHEAD_DAYS = 45
DAYS_AN_ITEM = 60
APART = 2
SEARCH_MS = 30.0
KEPT_BYTES = 3000
NOT_FOR_EVER = {"items", "units", "idempotency_keys"}
"""Tables that do not grow with every booking for good: keys are forgotten after a week."""
SIZES = {"a town": 100_000, "Turo": 24_400_000, "Airbnb": 1_000_000_000}
"""Booked days a year."""


class Size(NamedTuple):
    """What so many booked days a year mean."""

    days: int

    @property
    def bookings(self) -> float:
        return self.days / DAYS_A_BOOKING

    @property
    def items(self) -> float:
        return self.days / DAYS_AN_ITEM

    @property
    def bookings_a_second(self) -> float:
        return self.bookings / YEAR

    @property
    def looks_a_second(self) -> float:
        return self.bookings_a_second * LOOKS_A_BOOKING

    @property
    def live(self) -> float:
        """Claims in the calendar at a time."""
        return self.bookings * AHEAD_DAYS / 365


def assumed() -> str:
    """What nobody has measured, and may be different for you."""
    return table(
        ["assumed", "is", "because"],
        [
            ["days a booking", str(DAYS_A_BOOKING), "fewer days make more bookings, so this is on the safe side"],
            ["peak over average", str(PEAK), "a season, a time of day, and room"],
            ["looks (searches, items) a booking", str(LOOKS_A_BOOKING), "one in a hundred looks ends in a booking"],
            ["looks answered from memory", f"{FROM_MEMORY:.0%}", "lists with dates are kept for a second only"],
            ["days an item is out in a year", str(DAYS_AN_ITEM), "gives the number of items"],
            ["days a booking is made ahead", str(AHEAD_DAYS), "gives what is in the calendar at a time"],
            ["services apart cost", f"{APART} ×", "of all in one process: HTTP between them, and no shared caches"],
        ],
    )


def measured() -> str:
    """What the figures come from."""
    booking, far, rows = _of("booking"), _far(), _of("rows")
    per_booking = _bytes_a_booking(rows)
    return table(
        ["measured", "is", "in `benchmarks/results`"],
        [
            ["CPU of a booking, all of it", f"{booking['cpu_ms_per_booking']:.1f} ms", "`booking.json`"],
            ["of that PostgreSQL", f"{booking['cpu_ms_postgresql']:.1f} ms", "`booking.json`"],
            ["gateway, a look passed on", f"{far['get']:.0f} µs", "`gateway.json`"],
            ["gateway, a look from memory", f"{far['cached']:.0f} µs", "`gateway.json`"],
            ["gateway, a write", f"{far['write']:.0f} µs", "`gateway.json`"],
            ["an item with its indexes", _size(rows["tables"]["items"]["bytes"]), "`rows.json`"],
            ["a booking with all that follows", _size(per_booking), "`rows.json`"],
            ["a live claim in the constraint's index", f"{rows['bytes_of_live_claim']} bytes", "`rows.json`"],
        ],
    )


def arithmetic() -> str:
    """The two multiplied."""
    sizes = [Size(days) for days in SIZES.values()]
    lines = {what: [shown(size) for size in sizes] for what, shown in _LINES.items()}
    return table(["a year", *SIZES], [[what, *cells] for what, cells in lines.items()])


def _of(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())


def _far() -> dict[str, float]:
    cases = _of("gateway")["cases"]
    return {case: cases[case]["16"]["far"]["cpu_us_own"] for case in ("get", "cached", "write")}


def _bytes_a_booking(rows: dict[str, Any]) -> float:
    return sum(t["per_booking"] * t["bytes"] for name, t in rows["tables"].items() if name not in NOT_FOR_EVER)


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if count >= 10 or unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    raise ValueError(count)


def _number(count: float) -> str:
    if count < 0.01:
        return "< 0.01"
    for least, unit in ((1e9, " billion"), (1e6, " million")):
        if count >= least:
            return f"{count / least:.3g}{unit}"
    return f"{count:,.0f}" if count >= 10 else f"{count:.2g}"


def _booking_cores(size: Size) -> float:
    return size.bookings_a_second * PEAK * _of("booking")["cpu_ms_per_booking"] * APART / 1000


def _postgres_cores(size: Size) -> float:
    return size.bookings_a_second * PEAK * _of("booking")["cpu_ms_postgresql"] / 1000


def _search_cores(size: Size) -> float:
    return size.looks_a_second * PEAK * (1 - FROM_MEMORY) * SEARCH_MS / 1000


def _gateway_cores(size: Size) -> float:
    far = _far()
    look = FROM_MEMORY * far["cached"] + (1 - FROM_MEMORY) * far["get"]
    return PEAK * (size.looks_a_second * look + size.bookings_a_second * far["write"]) / 1e6


_LINES = {
    "booked days": lambda s: _number(s.days),
    "bookings": lambda s: _number(s.bookings),
    "items": lambda s: _number(s.items),
    "bookings a second, average": lambda s: _number(s.bookings_a_second),
    "bookings a second, peak": lambda s: _number(s.bookings_a_second * PEAK),
    "looks a second, average": lambda s: _number(s.looks_a_second),
    "looks a second, peak": lambda s: _number(s.looks_a_second * PEAK),
    "cores for bookings, peak": lambda s: _number(_booking_cores(s)),
    "of those PostgreSQL's": lambda s: _number(_postgres_cores(s)),
    "cores for searching, peak": lambda s: _number(_search_cores(s)),
    "cores for gateways, peak": lambda s: _number(_gateway_cores(s)),
    "rows of bookings and what follows, more each year": lambda s: _number(s.bookings * _rows_a_booking()),
    "room for them, more each year": lambda s: _size(s.bookings * _bytes_a_booking(_of("rows"))),
    "room for items": lambda s: _size(s.items * _of("rows")["tables"]["items"]["bytes"]),
    "live claims": lambda s: _number(s.live),
    "index of the one constraint": lambda s: _size(s.live * _of("rows")["bytes_of_live_claim"]),
    "Redis, if a tenth of all items is asked for again": lambda s: _size(s.items / 10 * KEPT_BYTES),
}


def _rows_a_booking() -> float:
    tables = _of("rows")["tables"]
    return sum(t["per_booking"] for name, t in tables.items() if name not in NOT_FOR_EVER)
