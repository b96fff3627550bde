"""What bookings says about itself in numbers: sagas on their way, and bookings that reached each state.

The gauges are read off the database, by every replica alike; the counter counts what this process has done.
"""

from typing import get_args

from prometheus_client import Counter, Gauge

from commonry.bookings.rules.transitions import LIVE
from commonry.bookings.store import sagas
from commonry.contracts.bookings import BookingState
from commonry.kit.db import Tx
from commonry.kit.gauges import Known

sagas_running = Gauge(
    "commonry_sagas_running",
    "Bookings whose saga has something left to do, now or at a known time, by state.",
    ["state"],
)
saga_oldest = Known(
    "commonry_saga_oldest_seconds",
    "For how long the slowest of the sagas that wait for nobody has got no further; 0 without any.",
)
bookings_reached = Counter("commonry_bookings_total", "Bookings that reached this state.", ["state"])


def seen_from_the_start() -> None:
    """The counters are there before anything is counted."""
    for state in get_args(BookingState):
        bookings_reached.labels(state)


def reached(state: BookingState, before: BookingState | None = None) -> None:
    """A booking is in a state; counted unless it was there before."""
    if state != before:
        bookings_reached.labels(state).inc()


class Sagas:
    """The sagas on their way (a `kit.backlog.Fact`)."""

    async def look(self, tx: Tx) -> None:
        """Count them."""
        found = {each.state: each for each in await sagas.running(tx)}
        for state in LIVE:
            sagas_running.labels(state).set(found[state].how_many if state in found else 0)
        saga_oldest.say(max((each.longest for each in found.values()), default=0))

    def forget(self) -> None:
        """It is not known any more."""
        sagas_running.clear()
        saga_oldest.forget()
