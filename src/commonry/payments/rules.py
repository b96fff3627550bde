"""What money may do, and what each step posts: pure decisions over a payment's row.

The chart of accounts lives here (see the table in `__init__.py`): every function that returns a `Draft` is one kind
of entry, and its lines sum to zero. Amounts are whole minor units; a fee is rounded once per payment, half up.
"""

from typing import NamedTuple
from uuid import UUID

from commonry.contracts.money import Money
from commonry.contracts.payments import Authorise, Payment, Purpose
from commonry.contracts.problems import (
    Mistake,
    NotValid,
    PaymentClosed,
    PaymentDeclined,
    PaymentDiffers,
    PaymentTooMuch,
    Unavailable,
)


class Row(NamedTuple):
    """A payment as we keep it: what everyone may know, and beside it what only this service does.

    `charge` numbers the provider's charge in use, `charges` the last one ever asked for: another card after a
    decline, or a renewal, is another charge. `renewing` says that the two are just being swapped.
    """

    id: UUID
    payment: Payment
    payer: UUID | None
    payee: UUID | None
    ref: str | None
    charge: int
    charges: int
    renewing: bool
    paid_out: bool

    @property
    def status(self) -> str:
        """The payment's."""
        return self.payment.status

    def key(self, charge: int | None = None) -> str:
        """Our name for one of its charges (the one in use) at the provider."""
        return charge_key(self.payment.booking_id, self.payment.purpose, self.charge if charge is None else charge)

    def other_charges(self) -> list[int]:
        """Charges that were asked for and are not in use."""
        return [n for n in range(self.charges + 1) if n != self.charge]


class Draft(NamedTuple):
    """An entry before it is written. `cause` names what happened: the same cause is written once."""

    booking_id: UUID
    kind: str
    cause: str
    currency: str
    lines: tuple[tuple[str, int], ...]


def charge_key(booking: UUID, purpose: Purpose, charge: int) -> str:
    """The idempotency key of a charge: the first has none of the later ones' numbers."""
    return f"{booking}:{purpose}" + (f":{charge}" if charge else "")


def refund_key(row: Row, reason: str) -> str:
    """The idempotency key of a refund."""
    return f"{row.key()}:refund:{reason}"


# --- what may be done ---


def check_amount(amount: Money, currency: str | None = None) -> None:
    """Raises `NotValid` for nothing at all, or another currency than the payment's."""
    mistakes: list[Mistake] = []
    if amount.amount < 1:
        mistakes.append(Mistake("amount.amount", "must be at least 1: for nothing, ask nothing"))
    if currency is not None and amount.currency != currency:
        mistakes.append(Mistake("amount.currency", f"must be {currency}, as the payment's is"))
    if mistakes:
        raise NotValid(*mistakes)


def check_same(row: Row, order: Authorise) -> None:
    """Raises `PaymentDiffers` when this payment was ordered with other terms. A tombstone refuses every order alike."""
    payment = row.payment
    kept = (payment.amount, payment.method, row.payer, row.payee)
    if row.status != "voided" and kept != (order.amount, order.method, order.payer, order.payee):
        raise PaymentDiffers


def standing(row: Row) -> Payment:
    """What an authorisation that was decided before is answered. Raises as the first time."""
    match row.status:
        case "voided":
            raise PaymentClosed
        case "declined":
            raise PaymentDeclined
        case "authorising":
            raise Unavailable("The payment provider has not answered yet.")
        case _:
            return row.payment


def to_take(row: Row, asked: Money | None) -> int:
    """How much a capture takes (all of it unless told). Raises as `standing`, and `PaymentTooMuch`."""
    payment = standing(row)
    if asked is None:
        return payment.captured.amount or payment.amount.amount
    check_amount(asked, payment.amount.currency)
    if asked.amount > payment.amount.amount or (payment.status == "captured" and asked != payment.captured):
        raise PaymentTooMuch
    return asked.amount


def fee_of(amount: int, percent: int) -> int:
    """The platform's share of an amount, half up."""
    return (amount * percent + 50) // 100


# --- what it posts ---


def authorised(row: Row) -> Draft:
    """The payer's limit is blocked."""
    amount = row.payment.amount.amount
    return _draft(row, "authorise", "authorise", (_limit(row), -amount), (_held(row), amount))


def captured(row: Row, taken: int) -> list[Draft]:
    """What was taken leaves the payer's pocket for the booking's pot; the rest of the hold is let go."""
    memo = (_held(row), -taken), (_limit(row), taken)
    draft = _draft(row, "capture", "capture", *memo, (_pocket(row), -taken), (_pot(row), taken))
    rest = row.payment.amount.amount - taken
    return [draft, released(row, rest)] if rest else [draft]


def released(row: Row, amount: int) -> Draft:
    """What was held and not taken is let go."""
    return _draft(row, "release", "release", (_held(row), -amount), (_limit(row), amount))


def refunded(row: Row, amount: int, reason: str, *, from_payee: bool) -> Draft:
    """Back to the payer: out of the booking's pot or, after the payout, out of what the owner was credited."""
    source = _owner(row) if from_payee else _pot(row)
    return _draft(row, "refund", f"refund:{reason}", (source, -amount), (_pocket(row), amount))


def paid_out(row: Row, fee_percent: int) -> Draft | None:
    """What is left in the pot goes to the owner, less the fee; a deposit is no rent and bears none."""
    payment = row.payment
    left = payment.captured.amount - payment.refunded.amount
    fee = 0 if payment.purpose == "deposit" else fee_of(left, fee_percent)
    lines = (_pot(row), -left), (_owner(row), left - fee), ("platform:fees", fee)
    return _draft(row, "payout", "payout", *lines) if left else None


def _draft(row: Row, kind: str, cause: str, *lines: tuple[str, int]) -> Draft:
    payment = row.payment
    whole = f"{payment.booking_id}:{payment.purpose}:{cause}"
    return Draft(payment.booking_id, kind, whole, payment.amount.currency, tuple(line for line in lines if line[1]))


def _limit(row: Row) -> str:
    return f"limit:{row.payer}"


def _held(row: Row) -> str:
    return f"held:{row.payment.booking_id}:{row.payment.purpose}"


def _pocket(row: Row) -> str:
    return f"borrower:{row.payer}"


def _owner(row: Row) -> str:
    return f"owner:{row.payee}"


def _pot(row: Row) -> str:
    return f"{'deposit' if row.payment.purpose == 'deposit' else 'booking'}:{row.payment.booking_id}"
