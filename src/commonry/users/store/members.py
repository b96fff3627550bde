"""Members: created, found, changed, erased, listed.

`one_member_per_email` decides who has an address, and becomes `EmailTaken` here. Locks are taken where a decision
must still be true when the transaction commits.
"""

from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from psycopg import errors

from commonry.contracts.problems import EmailTaken
from commonry.contracts.users import Member, MemberStatus
from commonry.contracts.words import lower
from commonry.kit.db import Tx, many, one, run, value, values
from commonry.kit.problems import NotFound

T = TypeVar("T")


class Known(msgspec.Struct, frozen=True):
    """A member with what proves that it is them. Never leaves the service."""

    member: Member
    password_hash: str | None
    password_set_at: datetime


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What to change in a member; None leaves as it is."""

    display_name: str | None = None
    about: str | None = None
    email: str | None = None
    password_hash: str | None = None
    roles: list[str] | None = None
    status: MemberStatus | None = None


def _known(password_hash: str | None, password_set_at: datetime, **member: Any) -> Known:
    return Known(Member(**member), password_hash, password_set_at)


async def create(tx: Tx, member: UUID, email: str, display_name: str, password_hash: str) -> Member:
    """A new, active member. Raises `EmailTaken`."""
    row = {"id": member, "email": lower(email), "display_name": display_name, "password_hash": password_hash}
    made = await one(
        tx,
        Member,
        """
        INSERT INTO members (id, email, display_name, password_hash)
        VALUES (%(id)s, %(email)s, %(display_name)s, %(password_hash)s)
        ON CONFLICT (lower(email)) DO NOTHING
        RETURNING id, email, display_name, about, roles, status, created_at, updated_at""",
        row,
    )
    if made is None:
        raise EmailTaken
    return made


async def read(tx: Tx, member: UUID) -> Member:
    """A member, the erased too. Raises `NotFound`."""
    return _found(
        await one(
            tx,
            Member,
            """
            SELECT id, email, display_name, about, roles, status, created_at, updated_at
            FROM members WHERE id = %(id)s""",
            {"id": member},
        )
    )


async def lock(tx: Tx, member: UUID) -> Member:
    """The same, and nobody else changes them until this transaction ends. Raises `NotFound`."""
    return _found(
        await one(
            tx,
            Member,
            """
            SELECT id, email, display_name, about, roles, status, created_at, updated_at
            FROM members WHERE id = %(id)s FOR NO KEY UPDATE""",
            {"id": member},
        )
    )


async def lock_active(tx: Tx, member: UUID, password_set_at: datetime | None) -> Member | None:
    """The member if they are active, and stay so until this transaction ends.

    With `password_set_at`, only if they have not set another password since.
    """
    return await one(
        tx,
        Member,
        """
        SELECT id, email, display_name, about, roles, status, created_at, updated_at
        FROM members
        WHERE id = %(id)s AND status = 'active'
            AND (%(password_set_at)s::timestamptz IS NULL OR password_set_at = %(password_set_at)s)
        FOR SHARE""",
        {"id": member, "password_set_at": password_set_at},
    )


async def lock_managers(tx: Tx) -> list[UUID]:
    """The active managers; nobody else takes the role from one of them until this transaction ends."""
    return await values(
        tx,
        """
        SELECT id FROM members WHERE status = 'active' AND 'manager' = ANY (roles)
        ORDER BY id FOR NO KEY UPDATE""",
    )


async def by_email(tx: Tx, email: str) -> Known | None:
    """Who has this e-mail address, if anyone."""
    return await one(
        tx,
        _known,
        """
        SELECT id, email, display_name, about, roles, status, created_at, updated_at, password_hash, password_set_at
        FROM members WHERE lower(email) = lower(%(email)s)""",
        {"email": lower(email)},
    )


async def known(tx: Tx, member: UUID) -> Known:
    """A member with their password's hash. Raises `NotFound`."""
    return _found(
        await one(
            tx,
            _known,
            """
            SELECT id, email, display_name, about, roles, status, created_at, updated_at, password_hash, password_set_at
            FROM members WHERE id = %(id)s""",
            {"id": member},
        )
    )


async def change(tx: Tx, member: UUID, wanted: Change, *, password_set_at: datetime | None = None) -> Member | None:
    """The member as changed. Raises `EmailTaken`.

    None if they are erased, or have set another password since `password_set_at`.
    """
    row = msgspec.structs.asdict(wanted) | {"id": member, "password_set_at": password_set_at}
    try:
        return await one(
            tx,
            Member,
            """
            UPDATE members SET
                display_name = coalesce(%(display_name)s, display_name),
                about = coalesce(%(about)s, about),
                email = coalesce(%(email)s, email),
                password_hash = coalesce(%(password_hash)s::text, password_hash),
                password_set_at = CASE WHEN %(password_hash)s::text IS NULL THEN password_set_at ELSE app_now() END,
                roles = coalesce(%(roles)s::text[], roles),
                status = coalesce(%(status)s, status),
                updated_at = app_now()
            WHERE id = %(id)s AND status <> 'erased'
                AND (%(password_set_at)s::timestamptz IS NULL OR password_set_at = %(password_set_at)s)
            RETURNING id, email, display_name, about, roles, status, created_at, updated_at""",
            row,
        )
    except errors.UniqueViolation as e:
        raise EmailTaken from e


async def rehash(tx: Tx, known: Known, password_hash: str) -> None:
    """The same password under today's parameters, unless another was set meanwhile."""
    await run(
        tx,
        """
        UPDATE members SET password_hash = %(new)s
        WHERE id = %(id)s AND password_hash = %(old)s""",
        {"id": known.member.id, "old": known.password_hash, "new": password_hash},
    )


async def erase(tx: Tx, member: UUID, name: str) -> None:
    """Leave a row called `name` without a person, and forget the answers that were kept for their repeated requests."""
    row = {"id": member, "name": name, "scope": str(member), "location": f"/api/v1/members/{member}"}
    await run(
        tx,
        """
        UPDATE members SET status = 'erased', display_name = %(name)s, about = '', email = NULL, password_hash = NULL,
            roles = '{member}', updated_at = app_now(), erased_at = app_now()
        WHERE id = %(id)s""",
        row,
    )
    await run(
        tx,
        "DELETE FROM idempotency_keys WHERE scope = %(scope)s OR headers ->> 'location' = %(location)s",
        row,
    )


async def newest(
    tx: Tx, pattern: str | None, status: MemberStatus | None, before: UUID | None, limit: int
) -> list[Member]:
    """Members, newest first, whose name or e-mail address matches the ILIKE pattern and who are in that state."""
    return await many(
        tx,
        Member,
        """
        SELECT id, email, display_name, about, roles, status, created_at, updated_at
        FROM members
        WHERE (%(before)s::uuid IS NULL OR id < %(before)s)
            AND (%(status)s::text IS NULL OR status = %(status)s)
            AND (%(pattern)s::text IS NULL OR display_name ILIKE %(pattern)s OR email ILIKE %(pattern)s)
        ORDER BY id DESC LIMIT %(limit)s""",
        {"pattern": pattern, "status": status, "before": before, "limit": limit},
    )


async def promote(tx: Tx, email: str) -> bool:
    """Make the active member with this e-mail address a manager; whether there is one.

    Sessions that are open learn it within seconds, whichever process this runs in.
    """
    promoted = await value(
        tx,
        """
        UPDATE members SET roles = '{member,manager}', updated_at = app_now()
        WHERE lower(email) = lower(%(email)s) AND status = 'active'
        RETURNING id""",
        {"email": lower(email)},
    )
    await run(tx, "UPDATE sessions SET changed_at = now() WHERE member_id = %(id)s AND NOT ended", {"id": promoted})
    return promoted is not None


def _found(row: T | None) -> T:
    if row is None:
        raise NotFound
    return row
