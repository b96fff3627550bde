"""What somebody can do with a booking in its state: the one thing to do next, and what else is possible."""

from datetime import datetime, timedelta
from typing import NamedTuple

from commonry.contracts.bookings import Booking, Side


class Deed(NamedTuple):
    """Where it leads below the booking's address, what its button says, and how it looks."""

    name: str
    label: str
    icon: str
    is_risky: bool = False


ACCEPT = Deed("accept", "Say yes", "check")
DECLINE = Deed("decline", "Say no", "x")
PICKUP = Deed("pickup", "Hand it over", "handshake")
TAKE = Deed("pickup", "I have it now", "handshake")
RETURN = Deed("return", "Bring it back", "undo-2")
TAKE_BACK = Deed("return", "It is back", "undo-2")
CANCEL = Deed("cancel", "Cancel", "ban", is_risky=True)
NO_SHOW = Deed("no-show", "Nobody came", "circle-x", is_risky=True)
APPROVE = Deed("return", "All is well with it", "check")
DISPUTE = Deed("dispute", "Report damage", "triangle-alert", is_risky=True)
RESOLVE = Deed("resolve", "Settle it", "scale")
REVIEW = Deed("review", "Write a review", "star")

SOON = timedelta(hours=24)
NO_SHOW_AFTER = timedelta(hours=2)


def possible(
    booking: Booking, side: Side | None, now: datetime, *, manages: bool, reviewed: bool
) -> tuple[Deed | None, list[Deed]]:
    """The next thing to do (None: wait), and what else."""
    if side is None:
        return (RESOLVE if booking.state == "returned" and booking.disputed and manages else None), []
    owner = side == "owner"
    review = [] if reviewed else [REVIEW]
    match booking.state:
        case "requested":
            return (ACCEPT, [DECLINE, CANCEL]) if owner else (None, [CANCEL])
        case "confirmed":
            deeds = [NO_SHOW] if owner and now >= booking.from_ + NO_SHOW_AFTER else []
            handing = PICKUP if owner else TAKE
            near = now >= booking.from_ - SOON
            return (handing if near else None), [*([] if near else [handing]), CANCEL, *deeds]
        case "in_use":
            return (TAKE_BACK if owner else RETURN), []
        case "returned":
            if owner and not booking.disputed:
                return APPROVE, [DISPUTE, *review]
            if booking.disputed and manages:
                return RESOLVE, review
            return (REVIEW if review else None), []
        case "completed":
            return (REVIEW if review else None), []
        case _:
            return None, []


NEXT: dict[str, tuple[str, ...]] = {
    "pending": ("Reserved and paid", "Picked up", "Brought back"),
    "requested": ("The owner answers", "Picked up", "Brought back"),
    "confirmed": ("Picked up", "Brought back", "Deposit released"),
    "in_use": ("Brought back", "Deposit released"),
    "returned": ("Deposit released, owner paid",),
}
"""What is still to come, by state, in people's words."""


def to_come(booking: Booking) -> tuple[str, ...]:
    """What is still to come."""
    steps = NEXT.get(booking.state, ())
    return steps if booking.deposit else tuple(s for s in steps if s != "Deposit released")


ATTENTION: dict[Side, frozenset[str]] = {
    "owner": frozenset({"requested", "returned"}),
    "borrower": frozenset({"pending"}),
}
HANDED_OVER = frozenset({"in_use", "returned", "completed", "no_show"})
"""States in which a thing has changed hands, or should have."""
OVER = frozenset({"completed", "failed", "declined", "expired", "cancelled", "no_show"})


class Shelf(NamedTuple):
    """Bookings that belong together, under a heading."""

    title: str
    bookings: list[Booking]


def shelves(bookings: list[Booking], side: Side) -> list[Shelf]:
    """What needs somebody first, requests before all; then what is out, what comes, what was; no empty ones."""
    disputed = [b for b in bookings if b.disputed]
    open_ = [b for b in bookings if not b.disputed]
    urgent = [b for b in open_ if b.state in ATTENTION[side] or (b.overdue and b.state not in OVER)]
    rest = [b for b in open_ if b not in urgent]
    first = "Waiting for you" if side == "owner" else "Needs a look"
    asked = [b for b in rest if b.state in ("requested", "confirmed", "returned")]
    made = [
        Shelf(first, sorted(urgent, key=lambda b: (b.state != "requested", b.from_))),
        Shelf("A manager looks at it", disputed),
        Shelf("With the borrower" if side == "owner" else "With you now", [b for b in rest if b.state == "in_use"]),
        Shelf("Coming up", sorted(asked, key=lambda b: b.from_)),
        Shelf("Before", sorted((b for b in rest if b.state in OVER), key=lambda b: b.from_, reverse=True)),
    ]
    return [shelf for shelf in made if shelf.bookings]
