"""The steps money takes: each asks the provider first, under a key, then writes down what it said.

A row says only what the provider has confirmed (`authorising` is the one intention, written before asking), so a
process may die anywhere: asking again is answered the same. No transaction is open while the provider is being asked.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar
from uuid import UUID

from commonry.contracts.money import Money
from commonry.contracts.payments import Authorise, Payment, Purpose
from commonry.contracts.problems import PaymentClosed, PaymentDeclined, PaymentTooMuch
from commonry.kit.db import Database
from commonry.kit.failpoints import failpoint
from commonry.kit.problems import NotFound, Unavailable
from commonry.payments import metrics, rules
from commonry.payments.provider import Charge, Closed, Declined, Provider
from commonry.payments.rules import Row
from commonry.payments.store import payments as store
from commonry.payments.store import refunds

P = ParamSpec("P")
T = TypeVar("T")
ROUNDS = 5
"""How often a void starts over because a further charge was asked for meanwhile."""


@dataclass(frozen=True)
class Till:
    """Where money is taken and given: our book, the provider, and how long it may take to answer."""

    db: Database
    provider: Provider
    patience: float
    fee_percent: int
    currency: str

    async def authorise(self, booking: UUID, purpose: Purpose, order: Authorise) -> Payment:
        """Set money aside, once. Raises PaymentDeclined, PaymentClosed, PaymentDiffers, Unavailable."""
        rules.check_amount(order.amount)
        async with self.db.alone() as tx:
            row = await store.begin(tx, booking, purpose, order, self.provider.name)
        if row is None:
            raise Unavailable
        rules.check_same(row, order)
        return await self._authorise(row) if row.status == "authorising" else rules.standing(row)

    async def _authorise(self, row: Row) -> Payment:
        payment = row.payment
        try:
            got = await self.ask(self.provider.authorise, row.key(), payment.amount, payment.method)
        except Declined:
            return await self._declined(row)
        except Closed:
            await self._bury(row, payment.booking_id, payment.purpose)
            raise PaymentClosed from None
        async with self.db.alone() as tx:
            now = await store.authorised(tx, row, got.ref, got.renew_before)
        if now is None:
            return await self._overtaken(row)
        metrics.count(rules.authorised(row))
        return now.payment

    async def _declined(self, row: Row) -> Payment:
        async with self.db.alone() as tx:
            done = await store.declined(tx, row)
        if done:
            raise PaymentDeclined
        return rules.standing(await self._look(row.payment.booking_id, row.payment.purpose))

    async def _overtaken(self, row: Row) -> Payment:
        """The answer came, but the row has moved on: a twin was quicker, or a void was, whose tombstone stands."""
        latest = await self._look(row.payment.booking_id, row.payment.purpose)
        if latest.status == "voided":
            await self.let_go(row, row.charge)
        return rules.standing(latest)

    async def capture(self, booking: UUID, purpose: Purpose, amount: Money | None) -> Payment:
        """Take what is set aside, or a part. Raises PaymentDeclined, PaymentClosed, PaymentTooMuch, Unavailable."""
        row = await self._look(booking, purpose)
        wanted = rules.to_take(row, amount)
        if row.status == "captured":
            return row.payment
        if row.renewing:
            raise Unavailable("The hold is just being renewed.")
        for spare in row.other_charges():
            await self.let_go(row, spare)
        return await self._capture(row, wanted)

    async def _capture(self, row: Row, wanted: int) -> Payment:
        booking, purpose = row.payment.booking_id, row.payment.purpose
        try:
            taken = await self.ask(self.provider.capture, Charge(row.key(), row.ref), wanted)
        except Declined:
            async with self.db.alone() as tx:
                await store.trouble(tx, row, "the provider declined the capture")
            raise PaymentDeclined("The payment could not be taken: try another payment method.") from None
        except Closed:
            return await self._gone(row)
        return await self.record_capture(row, taken) or rules.standing(await self._look(booking, purpose))

    async def record_capture(self, row: Row, taken: int) -> Payment | None:
        """Write down what the provider took; None if the row has moved on."""
        async with self.db.alone() as tx:
            now = await store.captured(tx, row, taken)
        if now is None:
            return None
        metrics.count(*rules.captured(row, taken))
        return now.payment

    async def _gone(self, row: Row) -> Payment:
        """The charge in use is closed: it was voided, or is being swapped for a fresh one right now."""
        latest = await self._look(row.payment.booking_id, row.payment.purpose)
        if latest.renewing or latest.charge != row.charge:
            raise Unavailable("The hold is just being renewed.")
        await self._bury(row, row.payment.booking_id, row.payment.purpose)
        raise PaymentClosed

    async def void(self, booking: UUID, purpose: Purpose) -> Payment:
        """Let go of what is set aside, and close the name for good. What was taken stays. Raises Unavailable."""
        for _ in range(ROUNDS):
            row = await self._find(booking, purpose)
            if row and row.status in ("captured", "voided"):
                return row.payment
            if done := await self._void(row, booking, purpose):
                return done
        raise Unavailable("The payment keeps changing.")

    async def _void(self, row: Row | None, booking: UUID, purpose: Purpose) -> Payment | None:
        """None when a further charge was asked for meanwhile, which has to be closed too."""
        if row is None:
            await self.ask(self.provider.void, Charge(rules.charge_key(booking, purpose, 0), None))
            return await self._bury(None, booking, purpose)
        for spare in row.other_charges():
            await self.let_go(row, spare)
        if taken := await self.let_go(row, row.charge):
            return await self.record_capture(row, taken)
        return await self._bury(row, booking, purpose)

    async def let_go(self, row: Row, charge: int) -> int:
        """Close one charge of a payment at the provider; what had been taken of it."""
        ref = row.ref if charge == row.charge else None
        return await self.ask(self.provider.void, Charge(row.key(charge), ref))

    async def _bury(self, row: Row | None, booking: UUID, purpose: Purpose) -> Payment | None:
        async with self.db.tx() as tx:
            now, draft = await store.closed(tx, booking, purpose, row, self.provider.name, self.currency)
        if draft:
            metrics.count(draft)
        return now.payment if now else None

    async def refund(self, booking: UUID, purpose: Purpose, amount: Money, reason: str) -> Payment:
        """Give back a part of what was taken, once per reason. Raises PaymentTooMuch, PaymentDiffers."""
        row = await self._look(booking, purpose)
        if row.status != "captured":
            raise PaymentTooMuch
        rules.check_amount(amount, row.payment.amount.currency)
        async with self.db.tx() as tx:
            refund = await refunds.reserve(tx, row, amount.amount, reason)
        if not refund.done:
            await self.finish(row, refund)
        return (await self._look(booking, purpose)).payment

    async def finish(self, row: Row, refund: refunds.Refund) -> None:
        """Have the provider give back what was reserved. Raises PaymentDeclined."""
        charge, key = Charge(row.key(), row.ref), rules.refund_key(row, refund.reason)
        try:
            await self.ask(self.provider.refund, charge, key, refund.amount)
        except Declined:
            async with self.db.tx() as tx:
                await refunds.refused(tx, row, refund)
            raise PaymentDeclined("The payment provider declined the refund.") from None
        async with self.db.tx() as tx:
            written = await refunds.done(tx, row, refund)
        metrics.count(*written)

    async def pay_out(self, booking: UUID) -> None:
        """Credit the owner with what was taken and not given back, less the fee; each payment once."""
        async with self.db.tx() as tx:
            unpaid = await store.unpaid(tx, booking)
            written = [draft for row in unpaid for draft in await store.pay_out(tx, row, self.fee_percent)]
        metrics.count(*written)

    async def ask(self, step: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """The provider's answer; raises `Unavailable` when it is late, and then nobody knows whether it was done."""
        name = f"payments.{getattr(step, '__name__', 'step')}"
        try:
            async with asyncio.timeout(self.patience):
                await failpoint(f"{name}.asking")
                answer = await step(*args, **kwargs)
                await failpoint(f"{name}.answered")
                return answer
        except TimeoutError as e:
            raise Unavailable("The payment provider did not answer in time.") from e

    async def _find(self, booking: UUID, purpose: Purpose) -> Row | None:
        async with self.db.read() as tx:
            return await store.find(tx, booking, purpose)

    async def _look(self, booking: UUID, purpose: Purpose) -> Row:
        row = await self._find(booking, purpose)
        if row is None:
            raise NotFound
        return row
