"""The ledger: entries are written once per cause, never changed, and listed newest first.

That each entry sums to zero is checked by the database when the transaction commits (`every_entry_balances`).
"""

from typing import Any, LiteralString
from uuid import UUID

import msgspec

from commonry.contracts.payments import Entry, Posting, StatementLine
from commonry.kit.db import Tx, many, run
from commonry.kit.ids import new_id
from commonry.kit.pages import Page, decode, page
from commonry.payments.rules import Draft


async def record(tx: Tx, draft: Draft) -> bool:
    """Write an entry, unless its cause has one; whether it was written now."""
    return await run(tx, _RECORD, {"booking": draft.booking_id, "currency": draft.currency} | written(draft)) > 0


def written(*drafts: Draft) -> dict[str, list[Any]]:
    """Entries and their lines as parallel lists, for a statement that writes them with what caused them."""
    named = list(zip(sorted(new_id() for _ in drafts), drafts, strict=True))
    lines = [(entry, *line) for entry, draft in named for line in draft.lines]
    return {
        "entries": [entry for entry, _ in named],
        "kinds": [draft.kind for _, draft in named],
        "causes": [draft.cause for _, draft in named],
        "lines": [entry for entry, _, _ in lines],
        "accounts": [account for _, account, _ in lines],
        "amounts": [amount for _, _, amount in lines],
    }


async def entries(tx: Tx, booking: UUID | None, limit: int, cursor: str | None) -> Page[Entry]:
    """The ledger, or one booking's part of it."""
    name = "booking-ledger" if booking else "ledger"
    (before,) = decode(name, cursor, tuple[UUID]) or (None,)
    params = {"booking": booking, "before": before, "limit": limit + 1}
    rows = await many(tx, _entry, _ENTRIES_OF if booking else _ENTRIES, params)
    return page(rows, limit, name, lambda e: (e.id,))


async def statement(tx: Tx, member: UUID, limit: int, cursor: str | None) -> Page[StatementLine]:
    """What happened to a member's pocket, as borrower and as owner."""
    name = "statement"
    before, currency = decode(name, cursor, tuple[UUID, str]) or (None, None)
    accounts = [f"borrower:{member}", f"owner:{member}"]
    params = {"accounts": accounts, "before": before, "currency": currency, "limit": limit + 1}
    rows = await many(tx, StatementLine, _STATEMENT, params)
    return page(rows, limit, name, lambda line: (line.entry_id, line.currency))


def _entry(*, postings: Any, **columns: Any) -> Entry:
    return Entry(postings=msgspec.convert(postings, list[Posting]), **columns)


_RECORD: LiteralString = """
    WITH entry AS (
        INSERT INTO entries (id, booking_id, kind, cause)
        SELECT id, %(booking)s, kind, cause
        FROM unnest(%(entries)s::uuid[], %(kinds)s::text[], %(causes)s::text[]) AS draft (id, kind, cause)
        ON CONFLICT DO NOTHING
        RETURNING id)
    INSERT INTO postings (entry_id, account, currency, amount)
    SELECT id, account, %(currency)s, amount
    FROM unnest(%(lines)s::uuid[], %(accounts)s::text[], %(amounts)s::bigint[]) AS line (id, account, amount)
    JOIN entry USING (id)"""
_ENTRIES: LiteralString = """
    SELECT e.id, e.booking_id, e.kind, e.made_at,
        (SELECT jsonb_agg(jsonb_build_object('account', p.account, 'amount', p.amount, 'currency', p.currency)
            ORDER BY p.amount, p.account) FROM postings p WHERE p.entry_id = e.id) AS postings
    FROM entries e
    WHERE %(before)s::uuid IS NULL OR e.id < %(before)s
    ORDER BY e.id DESC LIMIT %(limit)s"""
_ENTRIES_OF: LiteralString = """
    SELECT e.id, e.booking_id, e.kind, e.made_at,
        (SELECT jsonb_agg(jsonb_build_object('account', p.account, 'amount', p.amount, 'currency', p.currency)
            ORDER BY p.amount, p.account) FROM postings p WHERE p.entry_id = e.id) AS postings
    FROM entries e
    WHERE e.booking_id = %(booking)s AND (%(before)s::uuid IS NULL OR e.id < %(before)s)
    ORDER BY e.id DESC LIMIT %(limit)s"""
_STATEMENT: LiteralString = """
    SELECT e.id AS entry_id, e.booking_id, e.kind, e.made_at, sum(p.amount)::bigint AS amount, p.currency
    FROM postings p JOIN entries e ON e.id = p.entry_id
    WHERE p.account = ANY (%(accounts)s)
        AND (%(before)s::uuid IS NULL OR (e.id, p.currency) < (%(before)s, %(currency)s::text))
    GROUP BY e.id, p.currency
    ORDER BY e.id DESC, p.currency DESC LIMIT %(limit)s"""
