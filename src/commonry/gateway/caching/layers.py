"""Where answers are kept: in this process, and in the cluster that all gateways share. And who is asking for what.

Of the many who want the same answer one asks the service. What turns out not to be for keeping is remembered as such
for a minute, here and in the cluster, so that nobody queues for it.
"""

import asyncio
import hashlib
import time
from collections.abc import Coroutine
from typing import Any, NamedTuple

from commonry.gateway.caching.entries import Entries, Entry
from commonry.kit.asgi import RawHeaders
from commonry.kit.cache import Cache
from commonry.kit.problems import Problem

PASS_SECONDS = 60.0
"""How long it is remembered that an address gives nothing to keep."""
MOST_PASSES = 20_000
LEAD_SECONDS = 2.0
LOOKS = (0.005, 0.01, 0.02, 0.04, 0.08)
"""Seconds between looks into the cluster while another gateway asks."""
LONGEST_SHARED = 600.0
NOT_KEPT = b"-"


class Flight(NamedTuple):
    """Somebody asks the service, since this epoch; `done` has the entry, the failure, or None: nothing to share."""

    epoch: int
    done: asyncio.Future[Entry | Problem | None]


class Layers:
    """All that is known without asking a service. `shared`: whether there is a cluster."""

    def __init__(self, cache: Cache, most: int, *, shared: bool) -> None:
        self.entries = Entries(cache, most)
        self._cache, self._shared = cache, shared
        self._flights: dict[bytes, Flight] = {}
        self._passes: dict[bytes, float] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    # who asks

    def flight(self, target: bytes) -> Flight | None:
        """Whoever asks for this address already, unless something has changed since they began."""
        flight = self._flights.get(target)
        return flight if flight is not None and flight.epoch == self._cache.epoch else None

    def begin(self, target: bytes) -> Flight:
        """From now on others may wait for what this request gets."""
        flight = Flight(self._cache.epoch, asyncio.get_running_loop().create_future())
        self._flights[target] = flight
        return flight

    def end(self, target: bytes, flight: Flight, entry: Entry | None) -> None:
        """Those who wait get the entry, or go on by themselves."""
        if self._flights.get(target) is flight:
            del self._flights[target]
        if not flight.done.done():
            flight.done.set_result(entry)

    def fail(self, target: bytes, flight: Flight, problem: Problem) -> None:
        """The service fails. Those who wait need not find out one after the other, here or at another gateway."""
        if not flight.done.done():
            flight.done.set_result(problem)
        if self._shared:
            self.later(self._cache.drop(_lead(target)))

    # what is for keeping

    def keep(self, target: bytes, entry: Entry) -> None:
        """Here and, in the background, for the other gateways."""
        kept = self.entries.put(target, entry)
        if self._shared and kept:
            ttl = min(max(entry.life.revalidate, entry.life.on_error), LONGEST_SHARED)
            self.later(self._share(target, entry.packed(), ttl))
        elif self._shared:
            self.later(self._cache.drop(_lead(target)))

    async def from_others(self, target: bytes, headers: RawHeaders) -> Entry | None:
        """What another gateway has kept, or is about to. None: this one is to ask."""
        if not self._shared or not self.entries.in_touch():
            return None
        for seconds in (0.0, *LOOKS):
            if seconds:
                await asyncio.sleep(seconds)
            packed = await self._cache.get(_key(target))
            if packed == NOT_KEPT:
                self._note_pass(target)
                return None
            entry = Entry.unpacked(packed) if packed else None
            good = entry is not None and entry.suits(headers) and self.entries.is_fresh(entry)
            if entry is not None and good and self.entries.put(target, entry):
                return entry
            if await self._cache.lead(_lead(target), seconds=LEAD_SECONDS):
                return None
        return None

    async def _share(self, target: bytes, packed: bytes, ttl: float) -> None:
        await self._cache.put(_key(target), packed, ttl=ttl)
        await self._cache.drop(_lead(target))

    # what is not

    def passes(self, target: bytes) -> bool:
        """Whether there was nothing to keep at this address a moment ago."""
        until = self._passes.get(target)
        if until is None:
            return False
        if until > time.monotonic():
            return True
        del self._passes[target]
        return False

    def let_pass(self, target: bytes) -> None:
        """There is nothing to keep at this address. The other gateways are told too."""
        self._note_pass(target)
        if self._shared:
            self.later(self._share(target, NOT_KEPT, PASS_SECONDS))

    def _note_pass(self, target: bytes) -> None:
        if len(self._passes) >= MOST_PASSES:
            self._passes.clear()
        self._passes[target] = time.monotonic() + PASS_SECONDS

    # in the background

    def later(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do this beside the requests."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End what runs in the background."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _key(target: bytes) -> str:
    return f"answer:{hashlib.blake2b(target, digest_size=16).hexdigest()}"


def _lead(target: bytes) -> str:
    return f"lead:{_key(target)}"
