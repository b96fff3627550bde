"""Who may see and do what with a booking, and how it looks to them (rules 20 and 21)."""

from uuid import UUID

from commonry.bookings.rules.transitions import Who
from commonry.contracts.bookings import Booking, Side
from commonry.contracts.inventory import Location

ADDRESS_SHOWN = ("confirmed", "in_use", "returned")
PUBLIC_DIGITS = 3
"""Decimals of a public position: about 100 m."""


def side(booking: Booking, person: UUID) -> Side | None:
    """Which party of the booking a person is, if any."""
    if person == booking.borrower_id:
        return "borrower"
    return "owner" if person == booking.owner_id else None


def may(who: frozenset[Who], booking: Booking, person: UUID, *, manages: bool) -> bool:
    """Whether a person may give a command that is open to `who`."""
    return side(booking, person) in who or (manages and "manager" in who)


def seen_by(booking: Booking, location: Location, person: UUID) -> Booking:
    """The booking with its place: exact for the owner, and for the borrower once it is confirmed."""
    exact = person == booking.owner_id or booking.state in ADDRESS_SHOWN
    booking.location = location if exact else _blurred(location)
    return booking


def _blurred(location: Location) -> Location:
    lat, lon = round(location.lat, PUBLIC_DIGITS), round(location.lon, PUBLIC_DIGITS)
    return Location(lat=lat, lon=lon, label=location.label)
