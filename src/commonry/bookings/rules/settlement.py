"""What a deposit pays for when the thing is back: a late fee, and damage a manager confirmed (rules 14, 17)."""

from commonry.contracts.bookings import Booking
from commonry.contracts.money import Money


def owed_from_deposit(booking: Booking, late_fee: Money | None, claim: Money | None) -> Money | None:
    """How much of a held deposit is captured, None if it is released whole. Never more than the deposit."""
    if booking.deposit is None:
        return None
    currency = booking.deposit.currency
    parts = [m.amount for m in (late_fee, claim) if m is not None and m.currency == currency]
    owed = min(sum(parts), booking.deposit.amount)
    return Money(owed, currency) if owed else None
