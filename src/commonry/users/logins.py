"""Proving who one is: the password checked, failures counted, guessing made slow.

A known and an unknown e-mail address take the same way: one look, one hash, one count, one answer. While an account
or an address is blocked nothing is checked, so a guess during that time teaches nothing.
"""

import hashlib
from ipaddress import IPv6Address, ip_address

from commonry.contracts.problems import BadCredentials
from commonry.contracts.users import Credentials, Session
from commonry.contracts.words import lower
from commonry.kit.db import Database, Tx
from commonry.kit.problems import NotAllowed, TooManyRequests
from commonry.users.passwords import Passwords
from commonry.users.rules import FORGET_AFTER, PATIENCE, wait_after
from commonry.users.sessions import Sessions
from commonry.users.store import failures, members
from commonry.users.store.failures import Attempt
from commonry.users.store.members import Known


def account(email: str) -> str:
    """Under what the failures of an e-mail address are counted."""
    return hashlib.sha256(lower(email).encode()).hexdigest()


def network(address: str) -> str:
    """Under what the failures of a client are counted: its address, or in IPv6, where everyone has many, its /64."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


class Logins:
    """Checks passwords."""

    def __init__(self, db: Database, passwords: Passwords, sessions: Sessions) -> None:
        self._db, self._passwords, self._sessions = db, passwords, sessions

    async def login(self, said: Credentials, address: str) -> Session:
        """A new session. Raises `BadCredentials`, `TooManyRequests`, and `NotAllowed` for the suspended."""
        attempt = Attempt(account(said.email), network(address))
        async with self._db.read() as tx:
            await _refuse_while_blocked(tx, attempt)
            known = await members.by_email(tx, said.email)
        known = await self.prove(known, said.password, attempt)
        if known.member.status == "suspended":
            raise NotAllowed("Your membership is suspended: ask a manager of the community.")
        session = await self._db.transact(lambda tx: self._open(tx, known, attempt))
        await self._refresh_hash(known, said.password)
        return session

    async def prove_again(self, known: Known, password: str, address: str) -> None:
        """Check the password of someone who is signed in. Raises `BadCredentials`, `TooManyRequests`."""
        attempt = Attempt(account(known.member.email or ""), network(address))
        async with self._db.read() as tx:
            await _refuse_while_blocked(tx, attempt)
        await self.prove(known, password, attempt)
        await self._db.transact(lambda tx: _refuse_or_forget(tx, attempt))

    async def prove(self, known: Known | None, password: str, attempt: Attempt) -> Known:
        """The member, if the password is theirs; else a counted failure. Raises `BadCredentials`."""
        right = await self._passwords.matches(known and known.password_hash, password)
        if known is None or not right:
            await self._db.transact(lambda tx: _count(tx, attempt))
            raise BadCredentials
        return known

    async def _open(self, tx: Tx, known: Known, attempt: Attempt) -> Session:
        await _refuse_or_forget(tx, attempt)
        session = await self._sessions.open(tx, known.member.id, password_set_at=known.password_set_at)
        if session is None:
            raise BadCredentials
        return session

    async def _refresh_hash(self, known: Known, password: str) -> None:
        if known.password_hash and self._passwords.is_outdated(known.password_hash):
            new = await self._passwords.hash(password)
            async with self._db.tx() as tx:
                await members.rehash(tx, known, new)


async def _refuse_while_blocked(tx: Tx, attempt: Attempt) -> None:
    if seconds := await failures.wait(tx, attempt):
        raise TooManyRequests("Too many failed logins: wait a little.", retry_after=seconds)


async def _refuse_or_forget(tx: Tx, attempt: Attempt) -> None:
    """Asked again after the hash: of many guesses sent at once, the right one must not slip through."""
    await _refuse_while_blocked(tx, attempt)
    await failures.forget(tx, attempt.account)


async def _count(tx: Tx, attempt: Attempt) -> None:
    for counted in await failures.count(tx, attempt, FORGET_AFTER):
        if seconds := wait_after(counted.failures, PATIENCE[counted.kind]):
            await failures.block(tx, counted, seconds)
