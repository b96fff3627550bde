"""Refunds: reserved first, so that all of them together never exceed what was captured; done when the provider says so.

A payment with a refund that was asked for and not done is due, so that somebody finishes it if the asker never comes
back.
"""

from typing import LiteralString, NamedTuple

from commonry.contracts.problems import PaymentDiffers, PaymentTooMuch
from commonry.kit.db import Tx, many, one, run, value
from commonry.payments import rules
from commonry.payments.rules import Draft, Row
from commonry.payments.store.ledger import record
from commonry.payments.store.payments import rest


class Refund(NamedTuple):
    """A refund that was asked for. `from_payee`: the owner had been credited already."""

    reason: str
    amount: int
    from_payee: bool
    done: bool


async def reserve(tx: Tx, row: Row, amount: int, reason: str) -> Refund:
    """The refund of that name, now asked for if it was not. Raises `PaymentTooMuch`, `PaymentDiffers`."""
    params = {"id": row.id, "amount": amount, **_name(row, reason)}
    if not await run(tx, _ASK, params):
        kept = await one(tx, Refund, _FIND, params)
        if kept is None or kept.amount != amount:
            raise PaymentDiffers
        return kept
    from_payee = await value(tx, _RESERVE, params)
    if from_payee is None:
        raise PaymentTooMuch
    await run(tx, _SOURCE, params | {"from_payee": from_payee})
    return Refund(reason, amount, from_payee, done=False)


async def done(tx: Tx, row: Row, refund: Refund) -> list[Draft]:
    """The provider has given it back; the entry, if it was written now."""
    if not await run(tx, _DONE, _name(row, refund.reason)):
        return []
    draft = rules.refunded(row, refund.amount, refund.reason, from_payee=refund.from_payee)
    is_new = await record(tx, draft)
    await rest(tx, row)
    return [draft] if is_new else []


async def refused(tx: Tx, row: Row, refund: Refund) -> None:
    """The provider will not: the reservation is undone, and the same reason may be tried again."""
    if await run(tx, _DROP, _name(row, refund.reason)):
        await run(tx, _UNRESERVE, {"id": row.id, "amount": refund.amount})


async def unfinished(tx: Tx, row: Row) -> list[Refund]:
    """What was asked for and not done."""
    return await many(tx, Refund, _UNFINISHED, _name(row, ""))


def _name(row: Row, reason: str) -> dict[str, object]:
    return {"booking": row.payment.booking_id, "purpose": row.payment.purpose, "reason": reason}


_ASK: LiteralString = """
    INSERT INTO refunds (booking_id, purpose, reason, amount, from_payee)
    VALUES (%(booking)s, %(purpose)s, %(reason)s, %(amount)s, false)
    ON CONFLICT DO NOTHING"""
_FIND: LiteralString = """
    SELECT reason, amount, from_payee, done_at IS NOT NULL AS done FROM refunds
    WHERE booking_id = %(booking)s AND purpose = %(purpose)s AND reason = %(reason)s"""
_RESERVE: LiteralString = """
    UPDATE payments SET refunded = refunded + %(amount)s, due = app_now() + interval '15 minutes',
        updated_at = app_now()
    WHERE id = %(id)s AND status = 'captured' AND refunded + %(amount)s <= captured
    RETURNING paid_out"""
_SOURCE: LiteralString = """
    UPDATE refunds SET from_payee = %(from_payee)s
    WHERE booking_id = %(booking)s AND purpose = %(purpose)s AND reason = %(reason)s"""
_DONE: LiteralString = """
    UPDATE refunds SET done_at = app_now()
    WHERE booking_id = %(booking)s AND purpose = %(purpose)s AND reason = %(reason)s AND done_at IS NULL"""
_DROP: LiteralString = """
    DELETE FROM refunds
    WHERE booking_id = %(booking)s AND purpose = %(purpose)s AND reason = %(reason)s AND done_at IS NULL"""
_UNRESERVE: LiteralString = """
    UPDATE payments SET refunded = refunded - %(amount)s, trouble = 'the provider declined a refund',
        updated_at = app_now()
    WHERE id = %(id)s"""
_UNFINISHED: LiteralString = """
    SELECT reason, amount, from_payee, done_at IS NOT NULL AS done FROM refunds
    WHERE booking_id = %(booking)s AND purpose = %(purpose)s AND done_at IS NULL
    ORDER BY asked_at"""
