"""Members: how they join, change, are managed, and leave.

Whatever a change means for others happens in its transaction: sessions end, an event is announced. Caches are told
right after it has committed.
"""

import asyncio
from typing import TypeVar
from uuid import UUID

from litestar import Response
from msgspec import UNSET, UnsetType

from commonry.contracts.events import RECEIVERS, MemberErased, MemberReinstated, MemberSuspended
from commonry.contracts.problems import BadCredentials, LastManager, MemberHasObligations
from commonry.contracts.surroundings import Peers
from commonry.contracts.users import ManagedChanges, Member, MemberChanges, MemberExport, Registration
from commonry.contracts.words import Message, lower
from commonry.kit.auth import Caller, token_hash
from commonry.kit.db import Database, Tx
from commonry.kit.ids import new_id
from commonry.kit.outbox import announce
from commonry.kit.problems import Conflict, Mistake, NotValid
from commonry.kit.service import Once
from commonry.users import rules
from commonry.users.logins import Logins, account
from commonry.users.passwords import Passwords
from commonry.users.sessions import Sessions
from commonry.users.store import failures, members, sessions
from commonry.users.store.members import Change, Known

T = TypeVar("T")
Changed = tuple[Member, list[str]]
"""A member, and the hashes of tokens about which caches are now wrong."""


class Membership:
    """All members of the community."""

    def __init__(self, db: Database, passwords: Passwords, logins: Logins, kept: Sessions, peers: Peers) -> None:
        self._db, self._passwords, self._logins, self._sessions, self._peers = db, passwords, logins, kept, peers

    async def register(self, said: Registration, once: Once) -> Response[Member]:
        """A new member, once per Idempotency-Key. Raises `EmailTaken`."""
        # Before the transaction: no connection waits for a hash.
        password_hash = await self._passwords.hash(said.password)

        async def work(tx: Tx) -> Member:
            return await members.create(tx, new_id(), said.email, rules.tidy(said.display_name), password_hash)

        return await once(work, location="/api/v1/members/{id}")

    async def change_own(self, caller: Caller, wanted: MemberChanges, address: str) -> Member:
        """Another name, address or password; the last two need the present password and end the other sessions."""
        async with self._db.read() as tx:
            known = await members.known(tx, caller.id)
        proven = rules.needs_password(wanted, known.member)
        if proven:
            await self._prove(known, wanted, address)
        change = await self._own_change(wanted)

        async def work(tx: Tx) -> Changed:
            changed = await members.change(
                tx, caller.id, change, password_set_at=known.password_set_at if proven else None
            )
            if changed is None:
                raise BadCredentials
            return changed, await sessions.end_all(tx, caller.id, but=token_hash(caller.token)) if proven else []

        member, stale = await self._db.transact(work)
        await self._sessions.forget(stale)
        return member

    async def manage(self, member: UUID, wanted: ManagedChanges) -> Member:
        """Roles, state and words of any member. Raises `LastManager`, `NotFound`."""

        async def work(tx: Tx) -> Changed:
            managers = await members.lock_managers(tx) if rules.may_take_power(wanted) else []
            before = await members.lock(tx, member)
            if managers == [member]:
                raise LastManager
            after = await members.change(tx, member, _managed_change(wanted))
            if after is None:
                raise Conflict("This member has left: there is nothing to change any more.")
            return after, await _make_known(tx, before, after)

        after, stale = await self._db.transact(work)
        await self._sessions.forget(stale)
        return after

    async def erase(self, member: UUID) -> None:
        """Forget who this was and keep what they did. Raises `MemberHasObligations`, `LastManager`, `NotFound`."""
        async with self._db.read() as tx:
            found = await members.read(tx, member)
        if found.status == "erased":
            return
        # A booking that begins between this look and the erasure is settled by the event, not by a wider lock.
        if await self._peers.bookings.has_obligations(member) or await self._peers.payments.open_money(member):
            raise MemberHasObligations
        await self._sessions.forget(await self._db.transact(lambda tx: _erase(tx, member)))

    async def export(self, member: UUID, token: str) -> MemberExport:
        """Everything the platform knows of a member: what is here, and what the other services show them."""
        elsewhere = await asyncio.gather(
            self._peers.inventory.owned_by(member, token),
            self._peers.bookings.of_caller(token),
            self._peers.payments.statement_of_caller(token),
            self._peers.bookings.written_by(member),
        )
        async with self._db.read() as tx:
            found = await members.known(tx, member)
            return MemberExport(
                items=elsewhere[0],
                bookings=elsewhere[1],
                payments=elsewhere[2],
                messages=elsewhere[3],
                member=found.member,
                password_set_at=found.password_set_at,
                sessions=await sessions.of_member(tx, member),
                failed_logins=await failures.of_account(tx, account(found.member.email or "")),
            )

    async def _prove(self, known: Known, wanted: MemberChanges, address: str) -> None:
        if wanted.current_password is UNSET:
            raise NotValid(Mistake("current_password", "is required to change the password or the e-mail address"))
        await self._logins.prove_again(known, wanted.current_password, address)

    async def _own_change(self, wanted: MemberChanges) -> Change:
        password, email, name = (_given(x) for x in (wanted.password, wanted.email, wanted.display_name))
        return Change(
            display_name=name and rules.tidy(name),
            about=_given(wanted.about),
            email=email and lower(email),
            password_hash=await self._passwords.hash(password) if password else None,
        )


def _given(wanted: T | UnsetType) -> T | None:
    return None if wanted is UNSET else wanted


def _managed_change(wanted: ManagedChanges) -> Change:
    name = _given(wanted.display_name)
    return Change(
        display_name=name and rules.tidy(name),
        about=_given(wanted.about),
        roles=None if wanted.roles is UNSET else rules.kept_roles(wanted.roles),
        status=_given(wanted.status),
    )


async def _make_known(tx: Tx, before: Member, after: Member) -> list[str]:
    """End or mark the sessions that a manager's change concerns, and tell the other services."""
    match before.status, after.status:
        case "active", "suspended":
            await _announce(tx, MemberSuspended(member_id=after.id))
            return await sessions.end_all(tx, after.id)
        case "suspended", "active":
            await _announce(tx, MemberReinstated(member_id=after.id))
        case _:
            pass
    return await sessions.mark_all(tx, after.id) if before.roles != after.roles else []


async def _erase(tx: Tx, member: UUID) -> list[str]:
    managers = await members.lock_managers(tx)
    found = await members.lock(tx, member)
    if found.status == "erased":
        return []
    if managers == [member]:
        raise LastManager
    await failures.forget(tx, account(found.email or ""))
    await members.erase(tx, member, rules.FORMER)
    await _announce(tx, MemberErased(member_id=member))
    return await sessions.end_all(tx, member)


async def _announce(tx: Tx, event: Message) -> None:
    await announce(tx, type(event).__name__, event, RECEIVERS[type(event)])
