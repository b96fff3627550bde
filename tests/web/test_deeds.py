"""How bookings are laid out for whoever lends or borrows."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec

from commonry.contracts.bookings import Booking
from commonry.web.rules.deeds import shelves

START = datetime(2027, 5, 1, tzinfo=UTC)


class Some(msgspec.Struct):
    """As much of a booking as shelves look at."""

    state: str
    from_: datetime
    disputed: bool = False
    overdue: bool = False


def laid(side: Any, *bookings: Some) -> dict[str, list[str]]:
    made = shelves(cast("list[Booking]", list(bookings)), side)
    return {shelf.title: [f"{b.state} {(b.from_ - START).days}" for b in shelf.bookings] for shelf in made}


def some(state: str, day: int, **more: bool) -> Some:
    return Some(state, START + timedelta(days=day), **more)


def test_requests_come_first_and_what_a_manager_decides_waits_for_nobody_else() -> None:
    given = [some("returned", 1), some("returned", 2, disputed=True), some("requested", 9), some("in_use", 3)]
    given += [some("in_use", 0, overdue=True), some("confirmed", 5), some("completed", 4), some("requested", 8)]
    assert laid("owner", *given) == {
        "Waiting for you": ["requested 8", "requested 9", "in_use 0", "returned 1"],
        "A manager looks at it": ["returned 2"],
        "With the borrower": ["in_use 3"],
        "Coming up": ["confirmed 5"],
        "Before": ["completed 4"],
    }
    assert laid("borrower") == {}
