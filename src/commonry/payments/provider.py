"""What is asked of whoever moves the money: set aside, take, let go, give back, each under a key of ours.

A provider does what it is asked once per key, however often and however concurrently it is asked. It never speaks of
bookings, and a call that raises anything but `Declined` or `Closed` says nothing about whether it was done.
"""

from datetime import datetime
from typing import NamedTuple, Protocol

from commonry.contracts.money import Money


class Declined(Exception):
    """The provider refuses: nothing was moved under this key."""


class Closed(Exception):
    """The charge was let go before: nothing is, and nothing ever will be, set aside or taken under this key."""


class Authorised(NamedTuple):
    """Money is set aside: the provider's own name for it, and when it has to be renewed so that it does not lapse."""

    ref: str
    renew_before: datetime


class Charge(NamedTuple):
    """One charge: our key for it, and the provider's own name, unless its answer never reached us."""

    key: str
    ref: str | None


class Provider(Protocol):
    """A payment provider. Every call may hang; the caller's patience ends it."""

    name: str

    async def authorise(self, key: str, amount: Money, method: str) -> Authorised:
        """Set money aside. The same key again: the same answer. Raises `Declined`, `Closed`."""
        ...

    async def capture(self, charge: Charge, amount: int) -> int:
        """Take `amount` and let go of the rest; what has been taken, now or before. Raises `Declined`, `Closed`."""
        ...

    async def void(self, charge: Charge) -> int:
        """Close the charge for good, also one never heard of; what was already taken, which then stays taken."""
        ...

    async def refund(self, charge: Charge, key: str, amount: int) -> None:
        """Give `amount` of what was taken back, once per `key`. Raises `Declined`."""
        ...
