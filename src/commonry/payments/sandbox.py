"""The sandbox: a payment provider that moves no real money, and keeps its own book as a real one would.

It plays the third party: its tables are nobody else's, its effects are committed on their own, and it knows only the
keys it is sent. The names of its payment methods are those of Stripe's test mode, so that switching to test keys
changes nothing else.
"""

import asyncio
from datetime import timedelta
from typing import LiteralString, NamedTuple
from uuid import UUID

from commonry.contracts.money import Money
from commonry.kit import clock
from commonry.kit.db import Database, one, run
from commonry.kit.ids import new_id
from commonry.payments.provider import Authorised, Charge, Closed, Declined

GOOD = {"pm_card_visa", "pm_sandbox_captureFails", "pm_sandbox_timeout", "pm_sandbox_slow"}
"""Methods whose money can be set aside; any other is declined."""
RENEWED_WITHIN = timedelta(days=6)
"""Cards let go of a hold after seven days; this leaves one to renew it in."""


class _Kept(NamedTuple):
    status: str
    ref: UUID
    captured: int


class Sandbox:
    """`patience_seconds` is how long its customers wait: a slow answer takes seven tenths of that."""

    name = "sandbox"

    def __init__(self, db: Database, patience_seconds: float) -> None:
        self.db, self.slow_seconds = db, patience_seconds * 0.7

    async def authorise(self, key: str, amount: Money, method: str) -> Authorised:
        """See `Provider`. `pm_sandbox_timeout` does the work and never answers; `pm_sandbox_slow` takes its time."""
        status = "authorised" if method in GOOD else "declined"
        row = {"key": key, "ref": new_id(), "status": status, "method": method}
        async with self.db.alone() as tx:
            kept = await one(tx, _Kept, _OPEN, row | {"amount": amount.amount, "currency": amount.currency})
        if method == "pm_sandbox_slow":
            await asyncio.sleep(self.slow_seconds)
        if method == "pm_sandbox_timeout":
            await asyncio.Event().wait()
        return _authorised(kept)

    async def capture(self, charge: Charge, amount: int) -> int:
        """See `Provider`. `pm_sandbox_captureFails` is refused here."""
        async with self.db.alone() as tx:
            kept = await one(tx, _Kept, _CAPTURE, {"key": charge.key, "amount": amount})
            kept = kept or await one(tx, _Kept, _READ, {"key": charge.key})
        if kept is not None and kept.status == "voided":
            raise Closed
        if kept is None or kept.status != "captured":
            raise Declined
        return kept.captured

    async def void(self, charge: Charge) -> int:
        """See `Provider`. A key never heard of is remembered as closed, so that a late authorisation finds it so."""
        async with self.db.alone() as tx:
            kept = await one(tx, _Kept, _VOID, {"key": charge.key, "ref": new_id()})
        return kept.captured if kept else 0

    async def refund(self, charge: Charge, key: str, amount: int) -> None:
        """See `Provider`."""
        row = {"key": key, "charge": charge.key, "amount": amount}
        async with self.db.tx() as tx:
            if await run(tx, _NOTE_REFUND, row) and not await run(tx, _REFUND, row):
                raise Declined


def _authorised(kept: _Kept | None) -> Authorised:
    if kept is None or kept.status == "declined":
        raise Declined
    if kept.status == "voided":
        raise Closed
    return Authorised(f"sandbox_{kept.ref.hex}", clock.now() + RENEWED_WITHIN)


_OPEN: LiteralString = """
    INSERT INTO sandbox_charges (key, ref, status, method, amount, currency)
    VALUES (%(key)s, %(ref)s, %(status)s, %(method)s, %(amount)s, %(currency)s)
    ON CONFLICT (key) DO UPDATE SET key = excluded.key
    RETURNING status, ref, captured"""
_READ: LiteralString = "SELECT status, ref, captured FROM sandbox_charges WHERE key = %(key)s"
_CAPTURE: LiteralString = """
    UPDATE sandbox_charges SET status = 'captured', captured = %(amount)s
    WHERE key = %(key)s AND status = 'authorised' AND amount >= %(amount)s AND method <> 'pm_sandbox_captureFails'
    RETURNING status, ref, captured"""
_VOID: LiteralString = """
    INSERT INTO sandbox_charges (key, ref, status, method, amount) VALUES (%(key)s, %(ref)s, 'voided', '', 0)
    ON CONFLICT (key) DO UPDATE
        SET status = CASE sandbox_charges.status WHEN 'captured' THEN 'captured' ELSE 'voided' END
    RETURNING status, ref, captured"""
_NOTE_REFUND: LiteralString = """
    INSERT INTO sandbox_refunds (key, charge_key, amount)
    SELECT %(key)s, key, %(amount)s FROM sandbox_charges WHERE key = %(charge)s
    ON CONFLICT (key) DO NOTHING"""
_REFUND: LiteralString = """
    UPDATE sandbox_charges SET refunded = refunded + %(amount)s
    WHERE key = %(charge)s AND refunded + %(amount)s <= captured"""
