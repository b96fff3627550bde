"""What others may know of the bookings service: quotes, bookings, their timeline, handovers, reviews."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta

from commonry.contracts.inventory import BookingMode, Cancellation, Handover, Location
from commonry.contracts.money import Money
from commonry.contracts.payments import Method
from commonry.contracts.photos import Photo
from commonry.contracts.words import Body, Instant, Message, Note, Quantity
from commonry.kit.peers import Client

BookingState = Literal[
    "pending",
    "requested",
    "confirmed",
    "in_use",
    "returned",
    "completed",
    "failed",
    "declined",
    "expired",
    "cancelled",
    "no_show",
]
Side = Literal["borrower", "owner"]


class QuoteRequest(Body, rename={"from_": "from"}, kw_only=True):
    """POST /bookings/quote."""

    item_id: UUID
    from_: Instant
    to: Instant
    quantity: Quantity = 1


class Line(Message, kw_only=True):
    """One line of a price. `amount` in the quote's currency; lines sum to the total."""

    label: str
    amount: int
    currency: str
    units: int = 1


class Quote(Message, rename={"from_": "from"}, kw_only=True):
    """A frozen price. `total` is null for a free item."""

    quote_id: UUID
    item_id: UUID
    from_: datetime
    to: datetime
    quantity: int
    lines: list[Line]
    total: Money | None
    deposit: Money | None
    expires_at: datetime
    hash: str


class NewBooking(Body, rename={"from_": "from"}, kw_only=True):
    """POST /bookings. With `quote_id` that price holds; without, today's price is taken."""

    item_id: UUID
    from_: Instant
    to: Instant
    quantity: Quantity = 1
    payment_method: Method | None = None
    message: Note = ""
    quote_id: UUID | None = None


class HandoverReport(Body, kw_only=True):
    """POST …/pickup and …/return: in what condition the thing was handed over."""

    condition: Literal["good", "worn", "damaged", "incomplete"] = "good"
    note: Note = ""
    photos: list[Annotated[str, Meta(max_length=300)]] = []
    """Ids of photos that the party has added to the booking before."""


class HandoverRecord(Message, kw_only=True):
    """What one party wrote down, and photographed, when the thing was picked up or brought back."""

    kind: Literal["pickup", "return"]
    by_id: UUID
    at: datetime
    condition: str
    note: str
    photos: list[Photo] = []


class Why(Body, kw_only=True):
    """An optional word of explanation, for decline, cancel and no-show."""

    note: Note = ""


class Decision(Body, kw_only=True):
    """POST …/resolve, by a manager: how much of the deposit the owner gets (null: nothing, all is released)."""

    from_deposit: Money | None = None
    note: Note = ""


class Booking(Message, rename={"from_": "from"}, kw_only=True):
    """The agreement between a borrower and an owner around one reservation."""

    id: UUID
    state: BookingState
    item_id: UUID
    item_title: str
    borrower_id: UUID
    owner_id: UUID
    from_: datetime
    to: datetime
    quantity: int
    lines: list[Line]
    total: Money | None
    deposit: Money | None
    deposit_state: Literal["none", "due", "held", "released", "captured"] = "none"
    refund: Money | None = None
    booking_mode: BookingMode
    handover: Handover
    cancellation: Cancellation
    message: str = ""
    overdue: bool = False
    disputed: bool = False
    at_risk: bool = False
    settling: bool = False
    answer_by: datetime | None = None
    location: Location | None = None
    problem: dict[str, Any] | None = None
    created_at: datetime
    updated_at: datetime


class RefundPreview(Message, kw_only=True):
    """GET /bookings/{id}/refund: what a cancellation by the caller would give back at this moment; null when nothing
    was to be paid.
    """

    refund: Money | None = None


class TimelineEntry(Message, kw_only=True):
    """Something that happened to a booking: when, what, by whom (null: the platform), in plain words."""

    at: datetime
    event: str
    text: str
    by: UUID | None = None
    state: BookingState | None = None


class Timeline(Message, kw_only=True):
    """GET /bookings/{id}/timeline, oldest first."""

    data: list[TimelineEntry]
    next_cursor: str | None = None


class NewMessage(Body, kw_only=True):
    """POST /bookings/{id}/messages: a word to the other party."""

    text: Annotated[str, Meta(min_length=1, max_length=2000, pattern=r"\S")]


class BookingMessage(Message, kw_only=True):
    """What one party of a booking wrote to the other."""

    id: UUID
    booking_id: UUID
    author_id: UUID
    text: str
    at: datetime


class Conversation(Message, kw_only=True):
    """The messages of a booking in short: the newest, and how many of the other's one has not read."""

    booking_id: UUID
    item_title: str
    state: BookingState
    other_id: UUID
    newest: BookingMessage
    unread: int


class News(Message, kw_only=True):
    """What the other side, or the platform, did to one of a member's bookings; `side` is the member's own."""

    id: int
    at: datetime
    event: str
    text: str
    booking_id: UUID
    item_title: str
    side: Side
    other_id: UUID


class Answers(Message, kw_only=True):
    """How a member answers requests: of the latest, how many; half of them within so many minutes, None of too few."""

    answered: int
    usual_minutes: int | None


class Waiting(Message, kw_only=True):
    """What waits for a member: requests to answer, and messages not read."""

    requests: int
    messages: int


class NewReview(Body, kw_only=True):
    """POST /bookings/{id}/review."""

    rating: Annotated[int, Meta(ge=1, le=5)]
    text: Note = ""


class Review(Message, kw_only=True):
    """A review. Until both sides' are in, or 7 days have passed, only its author sees it (`published` is false)."""

    id: UUID
    booking_id: UUID
    item_id: UUID
    author_id: UUID
    subject_id: UUID
    side: Side
    rating: int
    text: str
    published: bool
    created_at: datetime


class Obligations(Message, kw_only=True):
    """Whether a member has a live booking, on either side."""

    live: bool


class Bookings(Client):
    """The bookings service."""

    async def has_obligations(self, member: UUID) -> bool:
        """Whether the member is a party of a booking that is not over."""
        return (await self.ask("GET", f"/internal/members/{member}/obligations", Obligations)).live

    async def of_caller(self, token: str) -> list[Any]:
        """Every booking that a member is a party of."""
        return await self.every("/api/v1/bookings", token=token)

    async def written_by(self, member: UUID) -> list[Any]:
        """Every message that a member has written."""
        return await self.ask("GET", f"/internal/members/{member}/messages", list[Any])

    async def tell(self, topic: str, event_id: str, event: Any) -> None:
        """Deliver an event."""
        await self.ask("POST", f"/internal/events/{topic}/{event_id}", type(None), event)
