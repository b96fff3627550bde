"""All sagas at once: how many are on their way in each state, and for how long the slowest has got no further."""

from typing import LiteralString, NamedTuple

from commonry.bookings.rules.transitions import STEPS
from commonry.contracts.bookings import BookingState
from commonry.kit.db import Tx, many


class Going(NamedTuple):
    """The sagas of one state. `longest` is in seconds, 0 when all of them wait for somebody or for their time."""

    state: BookingState
    how_many: int
    longest: float


async def running(tx: Tx) -> list[Going]:
    """Sagas with something left to do. One whose booking is disputed has stopped, and is not among them."""
    return await many(tx, Going, _RUNNING, {"acting": [name for name, step in STEPS.items() if step.kind == "acts"]})


# A step that fails is due later, but has moved on last when it was last written to by `move` or `take`.
_RUNNING: LiteralString = """
    SELECT state, count(id) AS how_many,
        coalesce(max(extract(epoch FROM app_now() - CASE WHEN step = ANY (%(acting)s) THEN updated_at
            WHEN due <= app_now() THEN due END)), 0)::float8 AS longest
    FROM bookings WHERE due IS NOT NULL GROUP BY state"""
