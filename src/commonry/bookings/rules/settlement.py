"""What a deposit pays for when the thing is back: a late fee by the terms, and damage a manager has confirmed (rules
14, 17).
"""

from datetime import datetime, timedelta

from commonry.bookings.rules import policies
from commonry.contracts.bookings import Booking
from commonry.contracts.inventory import Terms
from commonry.contracts.money import Money


def owed_from_deposit(
    booking: Booking, terms: Terms, claim: Money | None, returned_at: datetime | None, grace_minutes: float
) -> Money | None:
    """How much of a held deposit is captured, None if it is released whole. Never more than the deposit."""
    if booking.deposit is None:
        return None
    late = None
    if returned_at is not None:
        late = policies.late_fee(terms, booking.quantity, booking.to, returned_at, timedelta(minutes=grace_minutes))
    currency = booking.deposit.currency
    parts = [m.amount for m in (late, claim) if m is not None and m.currency == currency]
    owed = min(sum(parts), booking.deposit.amount)
    return Money(owed, currency) if owed else None
