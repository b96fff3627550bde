"""Sessions as they are kept for good: by the hash of their token, with the member they belong to.

A session that ends keeps its row for a while, so that caches can be told more than once. `changed_at` is the
database's real time: telling caches is mechanism, only expiry is business.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from commonry.contracts.users import SessionRecord
from commonry.kit.db import Tx, many, one, run, values


class Live(msgspec.Struct, array_like=True, frozen=True):
    """What the bearer of a token may do, and until when."""

    member_id: UUID
    roles: list[str]
    expires_at: datetime


async def insert(tx: Tx, token_hash: str, member: UUID, expires_at: datetime) -> None:
    """Keep a new session."""
    await run(
        tx,
        """
        INSERT INTO sessions (token_hash, member_id, expires_at)
        VALUES (%(token_hash)s, %(member)s, %(expires_at)s)""",
        {"token_hash": token_hash, "member": member, "expires_at": expires_at},
    )


async def lock_live(tx: Tx, token_hash: str) -> Live | None:
    """The session if it is live; it neither ends nor changes until this transaction does."""
    return await one(
        tx,
        Live,
        """
        SELECT s.member_id, m.roles, s.expires_at
        FROM sessions s JOIN members m ON m.id = s.member_id
        WHERE s.token_hash = %(token_hash)s AND NOT s.ended AND s.expires_at > app_now() AND m.status = 'active'
        FOR SHARE""",
        {"token_hash": token_hash},
    )


async def end(tx: Tx, token_hash: str) -> bool:
    """End a session; whether it was live."""
    ended = await run(
        tx,
        """
        UPDATE sessions SET ended = true, changed_at = now()
        WHERE token_hash = %(token_hash)s AND NOT ended AND expires_at > app_now()""",
        {"token_hash": token_hash},
    )
    return ended == 1


async def end_all(tx: Tx, member: UUID, *, but: str = "") -> list[str]:
    """End a member's sessions, all or all but one; the hashes of their tokens."""
    return await values(
        tx,
        """
        UPDATE sessions SET ended = true, changed_at = now()
        WHERE member_id = %(member)s AND NOT ended AND token_hash <> %(but)s
        RETURNING token_hash""",
        {"member": member, "but": but},
    )


async def mark_all(tx: Tx, member: UUID) -> list[str]:
    """Say that what caches hold of a member's sessions is wrong; the hashes of their tokens."""
    return await values(
        tx,
        "UPDATE sessions SET changed_at = now() WHERE member_id = %(member)s AND NOT ended RETURNING token_hash",
        {"member": member},
    )


async def changed_within(tx: Tx, seconds: float) -> list[str]:
    """The hashes of tokens whose sessions changed in the last `seconds`."""
    return await values(
        tx,
        "SELECT token_hash FROM sessions WHERE changed_at > now() - make_interval(secs => %(seconds)s)",
        {"seconds": seconds},
    )


async def delete_over(tx: Tx, limit: int) -> list[str]:
    """Delete up to `limit` sessions that expired, or ended an hour ago; the hashes of their tokens."""
    return await values(
        tx,
        """
        DELETE FROM sessions WHERE token_hash IN (
            SELECT token_hash FROM sessions
            WHERE expires_at < app_now() OR (ended AND changed_at < now() - interval '1 hour')
            LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
        RETURNING token_hash""",
        {"limit": limit},
    )


async def of_member(tx: Tx, member: UUID) -> list[SessionRecord]:
    """When a member signed in, oldest first."""
    return await many(
        tx,
        SessionRecord,
        """
        SELECT created_at, expires_at, ended FROM sessions WHERE member_id = %(member)s
        ORDER BY created_at, expires_at""",
        {"member": member},
    )
