"""Idempotency keys: the same key and body gives the same answer, however often and however concurrent.

The key's row is inserted in the same transaction as the effect, so both exist or neither does; a concurrent twin
waits on the primary key until the first has committed, then replays its answer. Scope keeps one caller's keys apart
from another's.
"""

import hashlib
from typing import Any, NamedTuple

from commonry.kit.db import Tx, as_json, one, run
from commonry.kit.problems import IdempotencyKeyReused

KEEP_DAYS = 7


class Key(NamedTuple):
    """Who (`scope`), which (`key`), and a digest of what was asked."""

    scope: str
    key: str
    fingerprint: bytes


class Kept(NamedTuple):
    """An answer given before: HTTP status, headers, body. While the first call is still at work `status` is None and
    `headers` holds the `reference` it left, if any.
    """

    status: int | None
    headers: dict[str, str] | None
    answer: bytes | None


def fingerprint(method: str, path: str, body: bytes, *, secret: bytes = b"") -> bytes:
    """A digest of a request, equal for equal requests.

    A body may hold a password, and a plain digest lets whoever reads the table try millions of them a second: `secret`
    (at most 64 bytes, kept outside the database) takes that away.
    """
    said = b"\0".join((method.encode(), path.encode(), body))
    return hashlib.blake2b(said, digest_size=16, key=secret).digest()


async def claim(tx: Tx, key: Key, reference: str | None = None) -> Kept | None:
    """None if the key is new (it is now ours in this transaction), else what was kept under it.

    Work that outlasts this transaction leaves a `reference` to what it made, for whoever comes with the key before
    the answer is kept. Raises `IdempotencyKeyReused` when the same key came with another request.
    """
    note = as_json({"reference": reference}) if reference else None
    mine = await run(tx, _CLAIM, key._asdict() | {"note": note})
    return None if mine else await recall(tx, key)


async def recall(tx: Tx, key: Key) -> Kept | None:
    """What was kept under a key, None if nothing. Raises `IdempotencyKeyReused` when the request differs."""

    def check(fingerprint: bytes, **kept: Any) -> Kept:
        if fingerprint != key.fingerprint:
            raise IdempotencyKeyReused
        return Kept(**kept)

    return await one(tx, check, _RECALL, key._asdict())


async def keep(tx: Tx, key: Key, status: int, headers: dict[str, str], answer: bytes) -> None:
    """Remember the first answer given; a later one does not replace it."""
    await run(tx, _KEEP, {"status": status, "headers": as_json(headers), "answer": answer} | key._asdict())


async def forget_old(tx: Tx) -> int:
    """Drop keys older than `KEEP_DAYS`; how many."""
    return await run(tx, _FORGET, {"days": KEEP_DAYS})


_CLAIM = """
    INSERT INTO idempotency_keys (scope, key, fingerprint, headers)
    VALUES (%(scope)s, %(key)s, %(fingerprint)s, %(note)s)
    ON CONFLICT DO NOTHING"""
_RECALL = """
    SELECT fingerprint, status, headers, answer FROM idempotency_keys WHERE scope = %(scope)s AND key = %(key)s"""
_KEEP = """
    UPDATE idempotency_keys SET status = %(status)s, headers = %(headers)s, answer = %(answer)s
    WHERE scope = %(scope)s AND key = %(key)s AND status IS NULL"""
_FORGET = "DELETE FROM idempotency_keys WHERE made_at < now() - make_interval(days => %(days)s)"
