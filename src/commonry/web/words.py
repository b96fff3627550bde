"""Plain words for what the services say in fields: money, prices, times, states. Filters of the templates."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from commonry.contracts.inventory import Price
from commonry.contracts.money import EXPONENTS, Money

SIGNS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "INR": "₹"}
PER = {"hour": "an hour", "day": "a day", "week": "a week"}
CONDITIONS = {"new": "As new", "good": "Good", "worn": "Well used"}
HANDED = {
    "good": "as it should be",
    "worn": "used",
    "incomplete": "something is missing",
    "damaged": "damaged",
}
"""What was written down of it → how it is said."""
HANDOVERS = {"in_person": "Meet to hand it over", "self_service": "Pick it up yourself"}
MODES = {"instant": "Booked at once", "request": "The owner is asked first"}
_SECOND_THOUGHTS = " Within an hour of booking you get everything back while the start is at least 24 hours away."
CANCELLATIONS = {
    "flexible": "Everything back if you cancel at least 24 hours before the start, 50 % back if you cancel before the"
    " start, after that nothing.",
    "moderate": "Everything back if you cancel at least 5 days before the start, 50 % back if you cancel at least 24"
    " hours before the start, after that nothing." + _SECOND_THOUGHTS,
    "strict": "Everything back if you cancel at least 14 days before the start, 50 % back if you cancel at least 7 days"
    " before the start, after that nothing." + _SECOND_THOUGHTS,
}
"""As the bookings service makes them of its tiers; a test compares."""
HUES = {
    "tools": 28, "power-tools": 20, "hand-tools": 36, "sewing": 330, "garden": 130, "camping": 158, "bikes": 205,
    "cargo-bikes": 215, "cameras": 265, "music": 285, "kitchen": 48, "cleaning": 185, "party": 345, "kids": 310,
    "sports": 190, "electronics": 230, "books-games": 12,
}  # fmt: skip
"""Category → the hue of its tiles, in degrees; each is a class of the stylesheet."""
PICTURES = {
    "tools": "hammer", "power-tools": "drill", "hand-tools": "wrench", "sewing": "scissors", "garden": "sprout",
    "camping": "tent", "bikes": "bike", "cargo-bikes": "caravan", "cameras": "camera", "music": "guitar",
    "kitchen": "cooking-pot", "cleaning": "brush-cleaning", "party": "party-popper", "kids": "baby",
    "sports": "waves", "electronics": "laptop", "books-games": "dices",
}  # fmt: skip
"""Category → the icon that stands for it."""
DONE = {
    "signed-out": "You are signed out.",
    "welcome": "Welcome! You are signed in.",
    "booked": "It is booked.",
    "asked": "The owner has been asked. You hear from them here.",
    "accepted": "You said yes. The borrower has been told.",
    "declined": "You said no. Nothing was charged.",
    "cancelled": "The booking is cancelled.",
    "picked-up": "Handed over. Enjoy it!",
    "returned": "It is back. Thank you!",
    "reviewed": "Thank you for the review. It is shown once both sides have written, or after a week.",
    "sent": "Your message was sent.",
    "disputed": "The damage is noted. A manager looks at it.",
    "resolved": "It is settled.",
    "no-show": "It is noted that nobody came.",
    "saved": "Your changes are saved.",
    "listed": "Your item is listed.",
    "removed": "It is gone.",
    "blocked": "Those days are blocked.",
    "unblocked": "Those days are open again.",
    "photos": "The photos are saved.",
    "left": "Your account is erased. Goodbye, and thank you.",
    "imported": "The import is done.",
}
"""What a page says on top after something was done, by the name in its address."""


HAPPENED = {
    "requested": ("", "{} asked to borrow it."),
    "confirmed": ("It is yours for the days you chose.", "{} has booked it."),
    "decline": ("{} said no. Nothing was charged.", ""),
    "expired": ("{} did not answer in time. Nothing was charged.", "You did not answer in time."),
    "failed": ("The booking did not come about. Nothing was charged.", ""),
    "cancel": ("It was cancelled. What you get back is on its page.", "It was cancelled."),
    "pickup": ("{} handed it over to you.", "{} has it now."),
    "return": ("{} has it back.", "{} brought it back. Look it over."),
    "dispute": ("{} reported damage. A manager looks at it.", ""),
    "resolve": ("A manager has settled the damage.", "A manager has settled the damage."),
    "no-show": ("It was noted that nobody came to pick it up.", "It was noted that nobody came to pick it up."),
    "overdue": ("It is late. Please bring it back.", "It is late. {} has been told."),
    "at-risk": ("Whoever has it before you is late. It may not be there in time.", "It is late for the next one."),
    "completed": ("All done. Thank you!", "All done. Thank you!"),
}
"""An event of a booking → what it means to its borrower, and to its owner; `{}` is the other one."""


class State(NamedTuple):
    """A booking's state: as a badge, its tone, and what it means to each side."""

    label: str
    tone: str
    borrower: str
    owner: str


STATES = {
    "pending": State("On its way", "wait", "We are reserving it for you.", "It is being reserved."),
    "requested": State(
        "Waiting for an answer",
        "wait",
        "The owner has been asked and answers soon. Nothing is charged before that.",
        "Please answer: yes or no. Until then it is kept free for this borrower.",
    ),
    "confirmed": State("Booked", "good", "It is yours for these days.", "It is booked. Have it ready in time."),
    "in_use": State("In use", "good", "You have it. Bring it back in time.", "The borrower has it."),
    "returned": State(
        "Returned",
        "good",
        "You brought it back. The deposit is released soon.",
        "It is back. Look it over; report damage before the deposit is released.",
    ),
    "completed": State("Done", "quiet", "All done. Thank you!", "All done. Thank you!"),
    "failed": State(
        "Did not work", "bad", "The booking did not come about. Nothing was charged.", "It did not come about."
    ),
    "declined": State("Declined", "quiet", "The owner said no. Nothing was charged.", "You said no."),
    "expired": State(
        "Expired", "quiet", "The owner did not answer in time. Nothing was charged.", "It was not answered in time."
    ),
    "cancelled": State("Cancelled", "quiet", "This booking is cancelled.", "This booking is cancelled."),
    "no_show": State("Not picked up", "bad", "Nobody came to pick it up.", "Nobody came to pick it up."),
}


def happened(event: str, side: str, other: str) -> str:
    """An event in a sentence for one of the two."""
    return HAPPENED[event][side == "owner"].format(other)


def money(given: Money | None) -> str:
    """`€12.50`, `€12`, `12.50 CHF`; `Free` without any."""
    if given is None:
        return "Free"
    return amount(given.amount, given.currency)


def amount(units: int, currency: str) -> str:
    """The same from minor units; what is negative has its sign first."""
    digits = EXPONENTS[currency]
    whole, rest = divmod(abs(units), 10**digits)
    number = f"{whole:,}" + (f".{rest:0{digits}}" if rest else "")
    sign = "−" if units < 0 else ""
    return f"{sign}{SIGNS[currency]}{number}" if currency in SIGNS else f"{sign}{number} {currency}"


def plain(given: Money | Price | None) -> str:
    """As one writes it into a field: `12.50`, empty for none."""
    if given is None:
        return ""
    digits = EXPONENTS[given.currency]
    whole, rest = divmod(given.amount, 10**digits)
    return f"{whole}.{rest:0{digits}}" if rest else str(whole)


def price(given: Price | None) -> str:
    """`€12 a day`, `Free`."""
    return f"{amount(given.amount, given.currency)} {PER[given.per]}" if given else "Free"


def hours(number: int) -> str:
    """`3 hours`, `2 days`, `1 week`."""
    for length, word in ((168, "week"), (24, "day")):
        if number and number % length == 0:
            return many(number // length, word)
    return many(number, "hour")


def minutes(number: int) -> str:
    """Rounded up: `5 minutes`, `2 hours`, `3 days`."""
    for length, word in ((24 * 60, "day"), (60, "hour")):
        if number > length:
            return many(-(-number // length), word)
    return many(max(1, number), "minute")


def many(number: int, word: str, words: str = "") -> str:
    """`1 item`, `2 items`."""
    return f"{number:,} {word if number == 1 else words or word + 's'}"


def km(distance: float | None) -> str:
    """`400 m`, `1.2 km`, `14 km`."""
    if distance is None:
        return ""
    if distance < 1:
        return f"{max(100, round(distance * 10) * 100)} m"
    return f"{distance:.1f} km" if distance < 10 else f"{distance:.0f} km"


def day(given: date | datetime, zone: str = "UTC") -> str:
    """`Sat 5 Dec`, with the year unless it is this one."""
    at = given.astimezone(ZoneInfo(zone)) if isinstance(given, datetime) else given
    said = f"{at:%a} {at.day} {at:%b}"
    return said if at.year == datetime.now(UTC).year else f"{said} {at.year}"


def clock(given: datetime, zone: str = "UTC") -> str:
    """`10:00`."""
    return f"{given.astimezone(ZoneInfo(zone)):%H:%M}"


def moment(given: datetime, zone: str = "UTC") -> str:
    """`Sat 5 Dec, 10:00`."""
    return f"{day(given, zone)}, {clock(given, zone)}"


def span(since: datetime, until: datetime, zone: str = "UTC") -> str:
    """`Sat 5 Dec, 10:00 – 18:00`, or with both days."""
    a, b = since.astimezone(ZoneInfo(zone)), until.astimezone(ZoneInfo(zone))
    return f"{moment(since, zone)} – {clock(until, zone) if a.date() == b.date() else moment(until, zone)}"


def month(given: date | datetime) -> str:
    """`March 2026`."""
    return f"{given:%B} {given.year}"


def ago(given: datetime, now: datetime | None = None) -> str:
    """`just now`, `5 minutes ago`, `in 3 hours`, `2 days ago`."""
    seconds = ((now or datetime.now(UTC)) - given).total_seconds()
    far = abs(seconds)
    for length, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if far >= length:
            said = many(int(far // length), word)
            return f"{said} ago" if seconds > 0 else f"in {said}"
    return "just now" if seconds >= 0 else "in a moment"


def initials(name: str) -> str:
    """`AB` of `Ada Byron`."""
    parts = name.split()
    return "".join(p[0] for p in (parts[:1] + parts[-1:] if len(parts) > 1 else parts)).upper() or "?"


def tone(given: object) -> str:
    """The class of somebody's colour, always the same one."""
    return f"tone-{sum(str(given).encode()) % 8}"


def hue(slug: str) -> str:
    """The class of a category's colour."""
    return f"hue-{slug}" if slug in HUES else "hue-other"


def picture(slug: str) -> str:
    """The icon of a category."""
    return PICTURES.get(slug, "package")


def iso(given: datetime) -> str:
    """For machines: `2026-12-05T10:00:00Z`."""
    return given.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def until_day(given: datetime, zone: str) -> date:
    """The last day that a period ending at this moment touches."""
    return (given.astimezone(ZoneInfo(zone)) - timedelta(seconds=1)).date()


FILTERS: dict[str, Any] = {
    f.__name__: f
    for f in (
        happened,
        money,
        amount,
        plain,
        price,
        hours,
        minutes,
        many,
        km,
        day,
        clock,
        moment,
        span,
        month,
        ago,
        initials,
        tone,
        hue,
        picture,
        iso,
    )
} | {
    "state": STATES.__getitem__,
    "condition": CONDITIONS.__getitem__,
    "handed": HANDED.__getitem__,
    "handover": HANDOVERS.__getitem__,
    "mode": MODES.__getitem__,
    "cancellation": CANCELLATIONS.__getitem__,
}
