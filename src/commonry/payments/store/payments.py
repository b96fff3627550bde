"""Payments: every movement from state to state, each one guarded statement.

`charge` guards what a provider's answer was about: an answer about a charge that is no longer in use changes nothing.
Where a movement has an entry, both are one statement (`WITH moved … entry … posting`), so neither is there alone.
"""

from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from commonry.contracts.money import Money
from commonry.contracts.payments import Authorise, Payment, Purpose
from commonry.kit.db import Tx, many, one, run, value
from commonry.kit.ids import new_id
from commonry.payments import rules
from commonry.payments.rules import Draft, Row
from commonry.payments.store.ledger import record, written


async def find(tx: Tx, booking: UUID, purpose: Purpose) -> Row | None:
    """The payment, or its tombstone."""
    return await one(tx, _row, _FIND, {"booking": booking, "purpose": purpose})


async def find_by_id(tx: Tx, row_id: UUID) -> Row | None:
    """The payment that was claimed as a due row."""
    return await one(tx, _row, _FIND_BY_ID, {"id": row_id})


async def begin(tx: Tx, booking: UUID, purpose: Purpose, order: Authorise, provider: str) -> Row | None:
    """Note that it is being asked for: first, again after silence, or anew after a decline. Else what stands there."""
    params = {"id": new_id(), "booking": booking, "purpose": purpose, "provider": provider} | _order(order)
    row = await one(tx, _row, _BEGIN, params)
    row = row or await one(tx, _row, _BEGIN_ANEW, params)
    return row or await find(tx, booking, purpose)


async def authorised(tx: Tx, row: Row, ref: str, renew_before: datetime) -> Row | None:
    """The provider has set the money aside."""
    params = _of(row) | {"ref": ref, "renew_before": renew_before} | written(rules.authorised(row))
    return await one(tx, _row, _AUTHORISED, params)


async def declined(tx: Tx, row: Row) -> bool:
    """The provider refused."""
    return await run(tx, _DECLINED, _of(row)) > 0


async def captured(tx: Tx, row: Row, amount: int) -> Row | None:
    """The provider took the money, and let go of the rest."""
    params = _of(row) | {"captured": amount} | written(*rules.captured(row, amount))
    return await one(tx, _row, _CAPTURED, params)


async def closed(
    tx: Tx, booking: UUID, purpose: Purpose, known: Row | None, provider: str, currency: str
) -> tuple[Row | None, Draft | None]:
    """Every charge of `known` was closed at the provider: leave a tombstone, unless there is a newer charge. It, and
    the entry that this caused.
    """
    charges = known.charges if known else 0
    params = {"id": new_id(), "booking": booking, "purpose": purpose, "charges": charges}
    row = await one(tx, _row, _RELEASE, params)
    if row:
        draft = rules.released(row, row.payment.amount.amount)
        return row, draft if await record(tx, draft) else None
    return await one(tx, _row, _BURY, params | {"provider": provider, "currency": currency}), None


async def trouble(tx: Tx, row: Row, what: str) -> None:
    """Note what went wrong, for people."""
    await run(tx, _TROUBLE, {"id": row.id, "trouble": what})


async def rest(tx: Tx, row: Row) -> None:
    """Nothing is left to be done: all refunds that were asked for are done, and nothing is held."""
    await run(tx, _REST, {"id": row.id})


async def begin_renewal(tx: Tx, row: Row) -> Row | None:
    """Number a further charge, before the provider is asked for it."""
    return await one(tx, _row, _BEGIN_RENEWAL, _of(row))


async def renewed(tx: Tx, row: Row, ref: str, renew_before: datetime) -> bool:
    """The newest charge holds the money now."""
    params = _of(row) | {"charges": row.charges, "ref": ref, "renew_before": renew_before}
    return await run(tx, _RENEWED, params) > 0


async def renewal_failed(tx: Tx, row: Row) -> None:
    """The provider refused a further charge: the old one still holds; try again later."""
    await run(tx, _RENEWAL_FAILED, _of(row))


async def unpaid(tx: Tx, booking: UUID) -> list[Row]:
    """Captured payments of a booking that were not paid out yet, locked."""
    return await many(tx, _row, _UNPAID, {"booking": booking})


async def pay_out(tx: Tx, row: Row, fee_percent: int) -> list[Draft]:
    """Credit the owner with what is left of a payment; the entry, if it was written now."""
    draft = rules.paid_out(row, fee_percent)
    if draft is not None and not await record(tx, draft):
        return []
    await run(tx, _PAID_OUT, {"id": row.id})
    return [draft] if draft else []


async def of_booking(tx: Tx, booking: UUID, member: UUID, *, manages: bool) -> list[Payment]:
    """A booking's payments as a member may see them: their own, a manager all; the method only to who pays by it."""
    params = {"booking": booking, "member": member, "manages": manages}
    return [row.payment for row in await many(tx, _row, _OF_BOOKING, params)]


async def has_open_money(tx: Tx, member: UUID) -> bool:
    """Whether a member pays or is paid by anything unsettled, or has to give back more than they were credited."""
    return bool(await value(tx, _OPEN_MONEY, {"member": member, "account": f"owner:{member}"}))


def _order(order: Authorise) -> dict[str, Any]:
    money = {"amount": order.amount.amount, "currency": order.amount.currency}
    return money | {"method": order.method, "payer": order.payer, "payee": order.payee}


def _of(row: Row) -> dict[str, Any]:
    return {"id": row.id, "charge": row.charge}


def _row(**r: Any) -> Row:
    currency = r["currency"]
    payment = Payment(
        booking_id=r["booking_id"],
        purpose=r["purpose"],
        status=r["status"],
        amount=Money(r["amount"], currency),
        captured=Money(r["captured"], currency),
        refunded=Money(r["refunded"], currency),
        method=r["method"],
        created_at=r["created_at"],
        updated_at=r["updated_at"],
        renew_before=r["renew_before"],
    )
    kept = {k: r[k] for k in ("id", "payer", "payee", "charge", "charges", "renewing", "paid_out")}
    return Row(payment=payment, ref=r["provider_ref"], **kept)


_FIND: LiteralString = """
    SELECT id, booking_id, purpose, status, amount, currency, captured, refunded, paid_out, method, payer, payee,
        provider_ref, charge, charges, renewing, renew_before, created_at, updated_at
    FROM payments WHERE booking_id = %(booking)s AND purpose = %(purpose)s"""
_FIND_BY_ID: LiteralString = """
    SELECT id, booking_id, purpose, status, amount, currency, captured, refunded, paid_out, method, payer, payee,
        provider_ref, charge, charges, renewing, renew_before, created_at, updated_at
    FROM payments WHERE id = %(id)s"""
_BEGIN: LiteralString = """
    INSERT INTO payments AS p (id, booking_id, purpose, status, amount, currency, method, payer, payee, provider, due)
    VALUES (%(id)s, %(booking)s, %(purpose)s, 'authorising', %(amount)s, %(currency)s, %(method)s, %(payer)s,
        %(payee)s, %(provider)s, app_now() + interval '15 minutes')
    ON CONFLICT (booking_id, purpose) DO UPDATE SET due = excluded.due, updated_at = app_now()
        WHERE p.status = 'authorising'
    RETURNING id, booking_id, purpose, status, amount, currency, captured, refunded, paid_out, method, payer, payee,
        provider_ref, charge, charges, renewing, renew_before, created_at, updated_at"""
_BEGIN_ANEW: LiteralString = """
    UPDATE payments SET status = 'authorising', amount = %(amount)s, currency = %(currency)s, method = %(method)s,
        payer = %(payer)s, payee = %(payee)s, charge = charges + 1, charges = charges + 1,
        due = app_now() + interval '15 minutes', updated_at = app_now()
    WHERE booking_id = %(booking)s AND purpose = %(purpose)s AND status = 'declined'
    RETURNING id, booking_id, purpose, status, amount, currency, captured, refunded, paid_out, method, payer, payee,
        provider_ref, charge, charges, renewing, renew_before, created_at, updated_at"""
_AUTHORISED: LiteralString = """
    WITH moved AS (
        UPDATE payments SET status = 'authorised', provider_ref = %(ref)s, renew_before = %(renew_before)s,
            due = %(renew_before)s, holder = NULL, lease_until = NULL, attempts = 0, trouble = NULL,
            updated_at = app_now()
        WHERE id = %(id)s AND status = 'authorising' AND charge = %(charge)s
        RETURNING id, booking_id, purpose, status, amount, currency, captured, refunded, paid_out, method, payer, payee,
            provider_ref, charge, charges, renewing, renew_before, created_at, updated_at),
    entry AS (
        INSERT INTO entries (id, booking_id, kind, cause)
        SELECT draft.id, moved.booking_id, kind, cause
        FROM moved, unnest(%(entries)s::uuid[], %(kinds)s::text[], %(causes)s::text[]) AS draft (id, kind, cause)
        ON CONFLICT DO NOTHING
        RETURNING id),
    posting AS (
        INSERT INTO postings (entry_id, account, currency, amount)
        SELECT line.id, line.account, moved.currency, line.amount
        FROM moved, unnest(%(lines)s::uuid[], %(accounts)s::text[], %(amounts)s::bigint[]) AS line (id, account, amount)
        JOIN entry USING (id))
    SELECT id, booking_id, purpose, status, amount, currency, captured, refunded, paid_out, method, payer, payee,
        provider_ref, charge, charges, renewing, renew_before, created_at, updated_at
    FROM moved"""
_DECLINED: LiteralString = """
    UPDATE payments SET status = 'declined', due = NULL, holder = NULL, lease_until = NULL, attempts = 0,
        trouble = 'declined by the provider', updated_at = app_now()
    WHERE id = %(id)s AND status = 'authorising' AND charge = %(charge)s"""
_CAPTURED: LiteralString = """
    WITH moved AS (
        UPDATE payments SET status = 'captured', captured = %(captured)s, renewing = false, renew_before = NULL,
            due = NULL, holder = NULL, lease_until = NULL, attempts = 0, trouble = NULL, updated_at = app_now()
        WHERE id = %(id)s AND status = 'authorised' AND charge = %(charge)s
        RETURNING id, booking_id, purpose, status, amount, currency, captured, refunded, paid_out, method, payer, payee,
            provider_ref, charge, charges, renewing, renew_before, created_at, updated_at),
    entry AS (
        INSERT INTO entries (id, booking_id, kind, cause)
        SELECT draft.id, moved.booking_id, kind, cause
        FROM moved, unnest(%(entries)s::uuid[], %(kinds)s::text[], %(causes)s::text[]) AS draft (id, kind, cause)
        ON CONFLICT DO NOTHING
        RETURNING id),
    posting AS (
        INSERT INTO postings (entry_id, account, currency, amount)
        SELECT line.id, line.account, moved.currency, line.amount
        FROM moved, unnest(%(lines)s::uuid[], %(accounts)s::text[], %(amounts)s::bigint[]) AS line (id, account, amount)
        JOIN entry USING (id))
    SELECT id, booking_id, purpose, status, amount, currency, captured, refunded, paid_out, method, payer, payee,
        provider_ref, charge, charges, renewing, renew_before, created_at, updated_at
    FROM moved"""
_RELEASE: LiteralString = """
    UPDATE payments SET status = 'voided', renewing = false, renew_before = NULL, due = NULL, holder = NULL,
        lease_until = NULL, attempts = 0, updated_at = app_now()
    WHERE booking_id = %(booking)s AND purpose = %(purpose)s AND status = 'authorised' AND charges = %(charges)s
    RETURNING id, booking_id, purpose, status, amount, currency, captured, refunded, paid_out, method, payer, payee,
        provider_ref, charge, charges, renewing, renew_before, created_at, updated_at"""
_BURY: LiteralString = """
    INSERT INTO payments AS p (id, booking_id, purpose, status, amount, currency, method, provider)
    VALUES (%(id)s, %(booking)s, %(purpose)s, 'voided', 0, %(currency)s, '', %(provider)s)
    ON CONFLICT (booking_id, purpose) DO UPDATE SET status = 'voided', due = NULL, holder = NULL, lease_until = NULL,
        attempts = 0, updated_at = app_now()
        WHERE p.status IN ('authorising', 'declined') AND p.charges = %(charges)s
    RETURNING id, booking_id, purpose, status, amount, currency, captured, refunded, paid_out, method, payer, payee,
        provider_ref, charge, charges, renewing, renew_before, created_at, updated_at"""
_TROUBLE: LiteralString = "UPDATE payments SET trouble = %(trouble)s, updated_at = app_now() WHERE id = %(id)s"
# `refunded` counts a refund from its reservation on, so a reservation made just now keeps the row due.
_REST: LiteralString = """
    UPDATE payments AS p SET due = NULL, holder = NULL, lease_until = NULL, attempts = 0
    WHERE id = %(id)s AND status IN ('captured', 'voided', 'declined') AND refunded = (
        SELECT coalesce(sum(r.amount), 0) FROM refunds r
        WHERE r.booking_id = p.booking_id AND r.purpose = p.purpose AND r.done_at IS NOT NULL)"""
_BEGIN_RENEWAL: LiteralString = """
    UPDATE payments SET charges = charges + 1, renewing = true
    WHERE id = %(id)s AND status = 'authorised' AND charge = %(charge)s
    RETURNING id, booking_id, purpose, status, amount, currency, captured, refunded, paid_out, method, payer, payee,
        provider_ref, charge, charges, renewing, renew_before, created_at, updated_at"""
_RENEWED: LiteralString = """
    UPDATE payments SET charge = charges, renewing = false, provider_ref = %(ref)s, renew_before = %(renew_before)s,
        due = %(renew_before)s, holder = NULL, lease_until = NULL, attempts = 0, trouble = NULL, updated_at = app_now()
    WHERE id = %(id)s AND status = 'authorised' AND charge = %(charge)s AND charges = %(charges)s"""
_RENEWAL_FAILED: LiteralString = """
    UPDATE payments SET renewing = false, due = app_now() + interval '6 hours', holder = NULL, lease_until = NULL,
        attempts = 0, trouble = 'the provider declined to renew the hold', updated_at = app_now()
    WHERE id = %(id)s AND status = 'authorised' AND charge = %(charge)s"""
_UNPAID: LiteralString = """
    SELECT id, booking_id, purpose, status, amount, currency, captured, refunded, paid_out, method, payer, payee,
        provider_ref, charge, charges, renewing, renew_before, created_at, updated_at
    FROM payments WHERE booking_id = %(booking)s AND status = 'captured' AND NOT paid_out
    ORDER BY purpose FOR UPDATE"""
_PAID_OUT: LiteralString = "UPDATE payments SET paid_out = true, updated_at = app_now() WHERE id = %(id)s"
_OF_BOOKING: LiteralString = """
    SELECT id, booking_id, purpose, status, amount, currency, captured, refunded, paid_out,
        CASE WHEN payer = %(member)s OR %(manages)s THEN method ELSE '' END AS method, payer, payee,
        provider_ref, charge, charges, renewing, renew_before, created_at, updated_at
    FROM payments
    WHERE booking_id = %(booking)s AND payer IS NOT NULL AND (%(manages)s OR payer = %(member)s OR payee = %(member)s)
    ORDER BY created_at, purpose"""
_OPEN_MONEY: LiteralString = """
    SELECT EXISTS (
            SELECT FROM payments
            WHERE (payer = %(member)s OR payee = %(member)s)
                AND (status IN ('authorising', 'authorised') OR captured > refunded AND NOT paid_out))
        OR coalesce((SELECT sum(amount) FROM postings WHERE account = %(account)s) < 0, false)"""
