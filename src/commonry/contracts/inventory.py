"""What others may know of the inventory service: items for everyone, the calendar for bookings."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from commonry.contracts.money import Amount, Currency, Money
from commonry.contracts.photos import Photo
from commonry.contracts.words import ZONES, Body, Instant, Label, Message, Note, Period, Quantity, Slug, Text, Title
from commonry.kit.peers import Client

Per = Literal["hour", "day", "week"]
Condition = Literal["new", "good", "worn"]
BookingMode = Literal["instant", "request"]
Handover = Literal["in_person", "self_service"]
Cancellation = Literal["flexible", "moderate", "strict"]
ItemStatus = Literal["listed", "unlisted"]
ReservationState = Literal["held", "confirmed", "in_use", "released"]
Sort = Literal["relevance", "distance", "price", "newest"]

Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
Minutes = Annotated[int, Meta(ge=0, le=7 * 24 * 60)]
Hours = Annotated[int, Meta(ge=0, le=366 * 24)]
LengthHours = Annotated[int, Meta(ge=1, le=366 * 24)]
Days = Annotated[int, Meta(ge=1, le=730)]


class Location(Struct, forbid_unknown_fields=True, frozen=True):
    """Where an item is. Others see the position to about 100 m; `address` only the other party, once confirmed."""

    lat: Latitude
    lon: Longitude
    label: Label
    address: Annotated[str, Meta(max_length=300)] | None = None


class Price(Struct, forbid_unknown_fields=True, frozen=True):
    """What a unit costs per started hour, day or week."""

    amount: Amount
    currency: Currency
    per: Per


def is_zone(name: str) -> bool:
    """Whether the IANA database lists this time zone."""
    return name in ZONES


class NewItem(Body, kw_only=True):
    """POST /items and PUT /items/{id}. Only title, category and location are required."""

    title: Title
    category: Slug
    location: Location
    description: Text = ""
    condition: Condition = "good"
    time_zone: str | None = None
    price: Price | None = None
    deposit: Money | None = None
    quantity: Quantity = 1
    buffer_minutes: Minutes = 0
    min_hours: LengthHours = 1
    max_hours: LengthHours = 24 * 30
    notice_hours: Hours = 0
    horizon_days: Days = 365
    booking_mode: BookingMode = "instant"
    handover: Handover = "in_person"
    cancellation: Cancellation = "moderate"
    status: ItemStatus = "listed"


class ItemChanges(Body, kw_only=True):
    """PATCH /items/{id}: what is left out stays as it is."""

    title: Title | UnsetType = UNSET
    category: Slug | UnsetType = UNSET
    location: Location | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    condition: Condition | UnsetType = UNSET
    time_zone: str | None | UnsetType = UNSET
    price: Price | None | UnsetType = UNSET
    deposit: Money | None | UnsetType = UNSET
    quantity: Quantity | UnsetType = UNSET
    buffer_minutes: Minutes | UnsetType = UNSET
    min_hours: LengthHours | UnsetType = UNSET
    max_hours: LengthHours | UnsetType = UNSET
    notice_hours: Hours | UnsetType = UNSET
    horizon_days: Days | UnsetType = UNSET
    booking_mode: BookingMode | UnsetType = UNSET
    handover: Handover | UnsetType = UNSET
    cancellation: Cancellation | UnsetType = UNSET
    status: ItemStatus | UnsetType = UNSET


class Rating(Struct, frozen=True):
    """Published reviews in one line: their mean (one decimal, null without any) and how many."""

    average: float | None = None
    count: int = 0


class Item(Message, kw_only=True):
    """An item as anyone sees it (its owner also sees `location.address` and the exact position)."""

    id: UUID
    owner_id: UUID
    title: str
    description: str
    category: str
    condition: Condition
    location: Location
    time_zone: str
    price: Price | None
    deposit: Money | None
    quantity: int
    buffer_minutes: int
    min_hours: int
    max_hours: int
    notice_hours: int
    horizon_days: int
    booking_mode: BookingMode
    handover: Handover
    cancellation: Cancellation
    status: ItemStatus
    version: int
    created_at: datetime
    updated_at: datetime
    rating: Rating = Rating()
    photos: list[Photo] = []
    distance_km: float | None = None


class Category(Message, kw_only=True):
    """A category; `parent` is the slug of the one above."""

    slug: str
    name: str
    parent: str | None = None


class Free(Message, rename={"from_": "from"}, kw_only=True):
    """A stretch in which at least one unit is free, and how many are."""

    from_: datetime
    to: datetime
    units: int


class Busy(Message, rename={"from_": "from"}, kw_only=True):
    """A stretch in which no unit is free."""

    from_: datetime
    to: datetime


class Availability(Message, kw_only=True):
    """GET /items/{id}/availability."""

    time_zone: str
    free: list[Free]
    busy: list[Busy]


class NewBlackout(Body, rename={"from_": "from"}, kw_only=True):
    """POST /items/{id}/blackouts."""

    from_: Instant
    to: Instant
    note: Note = ""


class Blackout(Message, rename={"from_": "from"}, kw_only=True):
    """A time in which the item is not offered; `conflicts` lists bookings that were there before and stay."""

    id: UUID
    from_: datetime
    to: datetime
    note: str = ""
    conflicts: list[UUID] = []


class RowMistake(Message, kw_only=True):
    """Something wrong in a row of an import: the row's number in the file (the heading is row 1), the column, what to
    do.
    """

    row: int
    at: str
    message: str


class ImportReport(Message, kw_only=True):
    """What an import did. With any error nothing was applied, and `applied` is false."""

    created: int
    updated: int
    errors: list[RowMistake]
    applied: bool = True
    unchanged: int = 0
    columns: dict[str, str] = {}
    ignored: list[str] = []
    categories: dict[str, str] = {}


class Terms(Message, kw_only=True):
    """What bookings must know of an item to quote and to run a booking. Frozen into the quote."""

    item_id: UUID
    owner_id: UUID
    title: str
    time_zone: str
    price: Price | None
    deposit: Money | None
    units: int
    buffer_minutes: int
    min_hours: int
    max_hours: int
    notice_hours: int
    horizon_days: int
    booking_mode: BookingMode
    handover: Handover
    cancellation: Cancellation
    location: Location
    offered: bool = True


class Hold(Message, kw_only=True):
    """Claim units for a period until confirmed, at the longest for `seconds`."""

    item_id: UUID
    period: Period
    quantity: int
    seconds: int


class Reservation(Message, kw_only=True):
    """Inventory's claim of units for a period; its id is the booking's id."""

    id: UUID
    state: ReservationState
    item_id: UUID | None = None
    period: Period | None = None
    quantity: int = 1
    expires_at: datetime | None = None


class Move(Message, kw_only=True):
    """Another period for a live reservation, in one atomic swap that excludes itself."""

    period: Period


class InUse(Message, kw_only=True):
    """The thing was handed over at `since`; earlier than the reserved start, the claim is widened if the calendar
    allows.
    """

    since: Instant


class AtRisk(Message, kw_only=True):
    """Bookings whose unit is late and whose start is near."""

    bookings: list[UUID]


class Inventory(Client):
    """The inventory service."""

    async def terms(self, item: UUID) -> Terms:
        """An item's terms. Raises NotFound."""
        return await self.ask("GET", f"/internal/items/{item}/terms", Terms)

    async def hold(self, booking: UUID, hold: Hold) -> Reservation:
        """Idempotent under the booking's id. Raises ItemTaken, NotOffered, NotFound, ReservationReleased."""
        return await self.ask("PUT", f"/internal/reservations/{booking}", Reservation, hold)

    async def confirm(self, booking: UUID) -> Reservation:
        """held → confirmed; again is the same. Raises HoldExpired, ReservationReleased."""
        return await self.ask("POST", f"/internal/reservations/{booking}/confirm", Reservation)

    async def in_use(self, booking: UUID, since: datetime) -> Reservation:
        """confirmed → in_use. Raises ItemTaken when picked up early and someone else still has the unit."""
        return await self.ask("POST", f"/internal/reservations/{booking}/in-use", Reservation, InUse(since=since))

    async def release(self, booking: UUID) -> Reservation:
        """Any state → released, at once; leaves a tombstone even if nothing was held. Never refused."""
        return await self.ask("POST", f"/internal/reservations/{booking}/release", Reservation)

    async def move(self, booking: UUID, period: Period) -> Reservation:
        """Another period. Raises ItemTaken, NotOffered, ReservationReleased; the old claim then stands unchanged."""
        return await self.ask("POST", f"/internal/reservations/{booking}/move", Reservation, Move(period=period))

    async def at_risk(self, booking: UUID) -> list[UUID]:
        """Bookings next on the units that this late booking still has."""
        return (await self.ask("GET", f"/internal/reservations/{booking}/at-risk", AtRisk)).bookings

    async def owned_by(self, member: UUID, token: str) -> list[Any]:
        """Every item of a member, as they see them themselves."""
        return await self.every("/api/v1/items", token=token, query={"owner": str(member), "sort": "newest"})

    async def tell(self, topic: str, event_id: str, event: Any) -> None:
        """Deliver an event."""
        await self.ask("POST", f"/internal/events/{topic}/{event_id}", type(None), event)
