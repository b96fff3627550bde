"""What others may know of the payments service: money authorised, captured, given back, paid out, per booking."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta

from commonry.contracts.money import Money
from commonry.contracts.words import Message
from commonry.kit.peers import Client

Method = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9_]+$",
        description="a payment method. The sandbox knows pm_card_visa (succeeds), pm_card_visa_chargeDeclined, "
        "pm_sandbox_captureFails, pm_sandbox_timeout and pm_sandbox_slow",
        examples=["pm_card_visa"],
    ),
]
Purpose = Literal["rental", "deposit", "late_fee", "extension"]
PaymentStatus = Literal["authorising", "authorised", "captured", "voided", "declined"]


class Authorise(Message, kw_only=True):
    """Set money aside for a booking. Idempotent under booking and purpose."""

    amount: Money
    method: str
    payer: UUID
    payee: UUID


class Take(Message, kw_only=True):
    """Capture `amount` of what is authorised (None: all of it) and let go of the rest."""

    amount: Money | None = None


class GiveBack(Message, kw_only=True):
    """Refund `amount` of what was captured; `reason` names the refund, so that the same one happens once."""

    amount: Money
    reason: str


class Payment(Message, kw_only=True):
    """Money of one booking for one purpose."""

    booking_id: UUID
    purpose: Purpose
    status: PaymentStatus
    amount: Money
    captured: Money
    refunded: Money
    method: str
    created_at: datetime
    updated_at: datetime
    renew_before: datetime | None = None


class Posting(Message, kw_only=True):
    """One line of an entry: what an account gains (positive) or loses (negative), in minor units."""

    account: str
    amount: int
    currency: str


class Entry(Message, kw_only=True):
    """A ledger entry: its postings sum to zero per currency."""

    id: UUID
    booking_id: UUID | None
    kind: str
    made_at: datetime
    postings: list[Posting]


class StatementLine(Message, kw_only=True):
    """One movement of a member's money. `amount` is what it did to the member's pocket: negative is money spent."""

    entry_id: UUID
    booking_id: UUID | None
    kind: str
    made_at: datetime
    amount: int
    currency: str


class OpenMoney(Message, kw_only=True):
    """Whether a member still has money authorised, owed or to be paid out."""

    open: bool


class Payments(Client):
    """The payments service. `purpose` tells the money of one booking apart."""

    async def authorise(self, booking: UUID, purpose: Purpose, order: Authorise, timeout: float = 3.0) -> Payment:
        """Raises PaymentDeclined, PaymentClosed (tombstone), Unavailable (the provider may or may not have done it)."""
        return await self.ask("PUT", f"/internal/payments/{booking}/{purpose}", Payment, order, timeout=timeout)

    async def capture(
        self, booking: UUID, purpose: Purpose, amount: Money | None = None, timeout: float = 3.0
    ) -> Payment:
        """Raises PaymentDeclined when the provider refuses, PaymentClosed, PaymentTooMuch, NotFound."""
        path = f"/internal/payments/{booking}/{purpose}/capture"
        return await self.ask("POST", path, Payment, Take(amount=amount), timeout=timeout)

    async def void(self, booking: UUID, purpose: Purpose) -> Payment:
        """Let go of what is authorised; leaves a tombstone even if nothing was. What is captured stays: refund it."""
        return await self.ask("POST", f"/internal/payments/{booking}/{purpose}/void", Payment)

    async def refund(self, booking: UUID, purpose: Purpose, amount: Money, reason: str) -> Payment:
        """Once per reason. Raises PaymentTooMuch beyond what was captured."""
        path = f"/internal/payments/{booking}/{purpose}/refund"
        return await self.ask("POST", path, Payment, GiveBack(amount=amount, reason=reason))

    async def pay_out(self, booking: UUID) -> None:
        """Credit the owner with what was captured and not refunded, less the platform's fee. Once per booking."""
        await self.ask("POST", f"/internal/payments/{booking}/payout", type(None))

    async def open_money(self, member: UUID) -> bool:
        """Whether money of this member is still on its way."""
        return (await self.ask("GET", f"/internal/members/{member}/open-money", OpenMoney)).open

    async def statement_of_caller(self, token: str) -> list[Any]:
        """Every movement of a member's money."""
        return await self.every("/api/v1/payments/statement", token=token)

    async def tell(self, topic: str, event_id: str, event: Any) -> None:
        """Deliver an event."""
        await self.ask("POST", f"/internal/events/{topic}/{event_id}", type(None), event)
