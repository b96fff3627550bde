"""Passwords: argon2id in a bounded thread pool.

A hash takes about 20 ms of a core and 19 MiB on purpose. So only a few run at a time, a few more wait, and whoever
comes then is turned away at once with 503 instead of dragging everyone down.
"""

import asyncio
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from commonry.kit.gauges import Known
from commonry.kit.problems import Unavailable
from commonry.users.rules import typed

T = TypeVar("T")
passwords_waiting = Known("commonry_passwords_waiting", "Logins that wait for a password hash to begin.")


class Passwords:
    """Makes and checks hashes: `threads` at a time, `queue` more may wait. Raises `Unavailable` beyond that."""

    def __init__(self, *, threads: int, queue: int) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1, type=Type.ID)  # OWASP's choice
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="password")
        self._room = threading.BoundedSemaphore(threads + queue)
        self._nobodys = self._hasher.hash(secrets.token_urlsafe(32))
        passwords_waiting.say(lambda: max(0, queue - self._room._value))  # noqa: SLF001 why: it tells nobody how full it is

    async def hash(self, password: str) -> str:
        """The hash to keep."""
        return await self._run(self._hasher.hash, password)

    async def matches(self, kept: str | None, password: str) -> bool:
        """Whether the hash is of this password. Without a hash it takes as long, and is False."""
        return await self._run(self._verify, kept or self._nobodys, password) and kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(kept)

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[..., T], *arguments: str) -> T:
        if not self._room.acquire(blocking=False):
            raise Unavailable("Many people are signing in at this moment.")
        future = self._pool.submit(work, *arguments[:-1], typed(arguments[-1]))
        # A caller that gives up does not free the place: the thread is at work until it is done.
        future.add_done_callback(lambda _: self._room.release())
        return await asyncio.wrap_future(future)
