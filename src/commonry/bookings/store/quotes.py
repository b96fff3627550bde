"""Frozen prices: a quote is inserted once, read once more when it is booked, and deleted when it has expired."""

from typing import Any, LiteralString
from uuid import UUID

import msgspec

from commonry.contracts.bookings import Line, Quote
from commonry.contracts.inventory import Terms
from commonry.contracts.money import Money
from commonry.kit.db import Tx, as_json, one, run


async def keep(tx: Tx, quote: Quote, terms: Terms) -> Quote:
    """Freeze a quote with the terms it was made under."""
    row: dict[str, Any] = {
        "id": quote.quote_id,
        "item": quote.item_id,
        "from": quote.from_,
        "to": quote.to,
        "quantity": quote.quantity,
        "lines": as_json(msgspec.to_builtins(quote.lines)),
        "total": quote.total and as_json(quote.total),
        "deposit": quote.deposit and as_json(quote.deposit),
        "terms": as_json(terms),
        "hash": quote.hash,
        "expires_at": quote.expires_at,
    }
    await run(tx, _KEEP, row)
    return quote


async def recall(tx: Tx, quote: UUID) -> tuple[Quote, Terms] | None:
    """A quote that was frozen, with its terms; None if there is none (any more)."""
    return await one(tx, _quote, _RECALL, {"id": quote})


async def forget_old(tx: Tx) -> int:
    """Delete quotes that expired more than a day ago; how many."""
    return await run(tx, _FORGET)


def _quote(**r: Any) -> tuple[Quote, Terms]:
    quote = Quote(
        quote_id=r["id"],
        item_id=r["item_id"],
        from_=r["starts_at"],
        to=r["ends_at"],
        quantity=r["quantity"],
        lines=msgspec.convert(r["lines"], list[Line]),
        total=msgspec.convert(r["total"], Money | None),
        deposit=msgspec.convert(r["deposit"], Money | None),
        expires_at=r["expires_at"],
        hash=r["hash"],
    )
    return quote, msgspec.convert(r["terms"], Terms)


_KEEP: LiteralString = """
    INSERT INTO quotes (id, item_id, starts_at, ends_at, quantity, lines, total, deposit, terms, hash, expires_at)
    VALUES (%(id)s, %(item)s, %(from)s, %(to)s, %(quantity)s, %(lines)s, %(total)s, %(deposit)s, %(terms)s, %(hash)s,
        %(expires_at)s)"""
_RECALL: LiteralString = """
    SELECT id, item_id, starts_at, ends_at, quantity, lines, total, deposit, terms, hash, expires_at
    FROM quotes WHERE id = %(id)s"""
_FORGET: LiteralString = "DELETE FROM quotes WHERE expires_at < app_now() - interval '1 day'"
