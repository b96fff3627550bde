"""The transition table of a booking: what happens where, what follows, and what a person may do.

Data, not branches: the saga runs it, the documentation draws it, the tests walk it. `acts` steps call another service
at once; `waits` steps look up when their time (`due`) comes; `rests` steps are over.
"""

from typing import Literal, NamedTuple

from commonry.contracts.bookings import BookingState

StepName = Literal[
    "hold",
    "authorise",
    "ask",
    "deposit",
    "capture",
    "confirm",
    "confirmed",
    "secure",
    "hand_over",
    "in_use",
    "free",
    "returned",
    "settle",
    "undo_money",
    "undo_calendar",
    "over",
]
Kind = Literal["acts", "waits", "rests"]


class Step(NamedTuple):
    """One place of the saga: the state people see (None: as before), what it leads to, and what it does in plain
    words.
    """

    state: BookingState | None
    kind: Kind
    leads_to: tuple[StepName, ...]
    words: str
    event: str


STEPS: dict[StepName, Step] = {
    "hold": Step("pending", "acts", ("authorise", "ask", "deposit", "confirm", "over"), "Reserve the item", "reserved"),
    "authorise": Step(
        None,
        "acts",
        ("ask", "deposit", "capture", "undo_money"),
        "Set the price aside on the payment method",
        "authorised",
    ),
    "ask": Step("requested", "waits", ("deposit", "undo_money"), "Wait for the owner's answer", "expired"),
    "deposit": Step(
        None,
        "acts",
        ("capture", "confirm", "undo_money"),
        "Hold the deposit, if pickup is within a day",
        "deposit-held",
    ),
    "capture": Step(None, "acts", ("confirm", "undo_money"), "Take the payment", "paid"),
    "confirm": Step(None, "acts", ("confirmed", "undo_money"), "Confirm the reservation", "confirmed"),
    "confirmed": Step("confirmed", "waits", ("confirmed", "secure", "undo_money"), "Wait for the pickup", "looked-at"),
    "secure": Step(None, "acts", ("confirmed", "hand_over"), "Hold the deposit before the pickup", "deposit-held"),
    "hand_over": Step(None, "acts", ("in_use", "confirmed"), "Hand the item over", "handed-over"),
    "in_use": Step("in_use", "waits", ("in_use", "free"), "Wait for the return", "overdue"),
    "free": Step(None, "acts", ("returned", "settle"), "Free the calendar", "returned"),
    "returned": Step("returned", "waits", ("settle",), "Wait in case the owner reports damage", "looked-at"),
    "settle": Step("returned", "acts", ("over",), "Let go of the deposit and pay the owner", "completed"),
    "undo_money": Step(None, "acts", ("undo_calendar",), "Give the money back", "money-returned"),
    "undo_calendar": Step(None, "acts", ("over",), "Free the calendar", "freed"),
    "over": Step(None, "rests", (), "Nothing more to do", "over"),
}
"""Money is undone before the calendar: a failed refund must not free the item (rule 18)."""

ENDS: frozenset[BookingState] = frozenset({"completed", "failed", "declined", "expired", "cancelled", "no_show"})
LIVE: frozenset[BookingState] = frozenset({"pending", "requested", "confirmed", "in_use", "returned"})

Who = Literal["borrower", "owner", "manager"]


class Command(NamedTuple):
    """What a person may ask of a booking: who may, from which steps, and where it leads."""

    who: frozenset[Who]
    from_: tuple[StepName, ...]
    to: StepName
    ending: BookingState | None
    words: str


COMMANDS: dict[str, Command] = {
    "accept": Command(frozenset({"owner"}), ("ask",), "deposit", None, "The owner accepted"),
    "decline": Command(frozenset({"owner"}), ("ask",), "undo_money", "declined", "The owner declined"),
    "cancel": Command(
        frozenset({"borrower", "owner", "manager"}), ("ask", "confirmed"), "undo_money", "cancelled", "Cancelled"
    ),
    "pickup": Command(frozenset({"borrower", "owner"}), ("confirmed",), "secure", None, "Picked up"),
    "return": Command(frozenset({"borrower", "owner"}), ("in_use",), "free", None, "Brought back"),
    "approve": Command(frozenset({"owner"}), ("returned",), "settle", None, "The owner has it back"),
    "resolve": Command(frozenset({"manager"}), ("returned",), "settle", None, "A manager settled the dispute"),
    "no-show": Command(
        frozenset({"owner", "manager"}), ("confirmed",), "undo_money", "no_show", "Nobody came to pick it up"
    ),
}

NEWS = ("confirmed", "decline", "expired", "failed", "cancel", "pickup", "return", "dispute", "resolve", "no-show",
        "overdue", "at-risk", "completed")  # fmt: skip
"""Events of a timeline that a person wants to hear of, if it was not they who did it; and requests, as an owner."""

REVIEWABLE: tuple[BookingState, ...] = ("returned", "completed")
