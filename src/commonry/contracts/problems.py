"""What can be refused, in the domain's words. The docstring's first line is what people read;
`docs/reference/problems.md` lists all.
"""

from commonry.kit.problems import Conflict, Problem
from commonry.kit.problems import Mistake as Mistake  # noqa: PLC0414 why: for rules, which import nothing below contracts
from commonry.kit.problems import NotValid as NotValid  # noqa: PLC0414
from commonry.kit.problems import Unavailable as Unavailable  # noqa: PLC0414


class EmailTaken(Conflict):
    """There is a member with this e-mail address already: sign in instead."""


class BadCredentials(Problem):
    """E-mail address and password do not belong together."""

    status = 401


class MemberHasObligations(Conflict):
    """The member has a thing out, one lent, or money open: finish or cancel those bookings first."""


class LastManager(Conflict):
    """A community needs at least one manager: make someone else a manager first."""


class ItemTaken(Conflict):
    """Another booking has the item for that period."""


class OwnItem(Conflict):
    """You cannot book your own item."""


class NotOffered(Conflict):
    """The item is not offered for that period."""


class ItemHasBookings(Conflict):
    """Live bookings forbid this change: `bookings` lists them."""


class HoldExpired(Conflict):
    """The reservation was held too long without being confirmed, and was given up."""


class ReservationReleased(Conflict):
    """The reservation was released; what was undone stays undone."""


class QuoteExpired(Conflict):
    """The quoted price has expired: ask for a new quote."""


class QuoteMismatch(Conflict):
    """The quote is for another item, period or quantity: ask for a new quote."""


class NotInThatState(Conflict):
    """The booking is not in a state that allows this."""


class TooEarly(Conflict):
    """It is too early for this: `possible_from` says when it becomes possible."""


class AlreadyReviewed(Conflict):
    """You have reviewed this booking; reviews cannot be changed."""


class PaymentDeclined(Problem):
    """The payment was declined: try another payment method."""

    status = 402


class PaymentClosed(Conflict):
    """The payment was voided; what was undone stays undone."""


class PaymentTooMuch(Conflict):
    """More than what is left of the payment was asked for."""


class PaymentDiffers(Conflict):
    """A payment or refund of that name was made already, with another amount, method or party."""
