"""A cache that may forget at any time, and the bus that says what to forget: in memory here, in a cluster elsewhere.

A cache never fails a request: whoever implements `Cache` turns every fault into a miss. Every message on the bus has a
number, its *epoch*, which only grows. What was read while epoch E was the newest one heard may be kept only as long as
no later message says that it changed; that is how an older answer never lands after the news. Messages can be lost, and
a process can be cut off: then hearers are told that they may have `missed` something, and `in_touch` says so meanwhile.
"""

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import NamedTuple, Protocol

from commonry.kit.rates import Buckets, Limit, Verdict


class Hearer(NamedTuple):
    """Who listens to a channel: `hear` each message; `missed`, when some may have been lost."""

    hear: Callable[[str], None]
    missed: Callable[[], None]


def _nothing() -> None:
    """For hearers to whom a lost message is no more than a hint that did not come."""


class Cache(Protocol):
    """Bytes by key, each with a time to live in seconds; counts that all processes share; messages to all of them."""

    epoch: int
    """Number of the newest message heard here."""

    async def get(self, key: str) -> bytes | None:
        """The value, or None: never put, dropped, past its time, evicted, or the cache is away."""
        ...

    async def put(self, key: str, value: bytes, *, ttl: float) -> None:
        """Keep for `ttl` seconds, if possible."""
        ...

    async def drop(self, *keys: str) -> None:
        """Forget these keys now."""
        ...

    async def lead(self, key: str, *, seconds: float) -> bool:
        """Whether this caller is the one, of all processes, to do what `key` names in the next `seconds`."""
        ...

    async def take(self, subject: str, limit: Limit) -> Verdict:
        """One request out of a bucket that all processes share; of this process alone while the cache is away."""
        ...

    async def publish(self, channel: str, message: str, *, wait: bool = True) -> None:
        """Tell everybody who listens to the channel, here and elsewhere.

        With `wait`, returns when every process that is in touch has heard it; those that do not say so within
        a lease are out of touch by then, and know it.
        """
        ...

    def subscribe(self, channel: str, hear: Callable[[str], None], missed: Callable[[], None] = _nothing) -> None:
        """From now on call `hear` with each message of the channel; `epoch` is then that message's number."""
        ...

    def in_touch(self) -> bool:
        """Whether messages published now would be heard here."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class MemoryCache:
    """A bounded, least-recently-used cache in this process: at most `max_bytes` of keys and values.

    Where other processes change things too and there is no way to hear of it, it is one of `several`.
    """

    def __init__(
        self, *, max_bytes: int = 32 * 2**20, several: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._several = several
        self.max_bytes, self.size, self.epoch, self._clock = max_bytes, 0, 0, clock
        self._kept: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._hearers: dict[str, list[Hearer]] = defaultdict(list)
        self._buckets = Buckets(clock)

    async def get(self, key: str) -> bytes | None:
        """The value, unless it was never put, was dropped, evicted, or is past its time."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept[1] <= self._clock():
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return kept[0]

    async def put(self, key: str, value: bytes, *, ttl: float) -> None:
        """Keep for `ttl` seconds, evicting what was used longest ago. A value over the whole size is not kept."""
        self._forget(key)
        if ttl <= 0 or len(key) + len(value) > self.max_bytes:
            return
        self._kept[key] = (value, self._clock() + ttl)
        self.size += len(key) + len(value)
        while self.size > self.max_bytes:
            self._forget(next(iter(self._kept)))

    async def drop(self, *keys: str) -> None:
        """Forget these keys now."""
        for key in keys:
            self._forget(key)

    async def lead(self, key: str, *, seconds: float) -> bool:
        """Whether nobody else leads this now."""
        if await self.get(key) is not None:
            return False
        await self.put(key, b"1", ttl=seconds)
        return True

    async def take(self, subject: str, limit: Limit) -> Verdict:
        """One request out of this process's bucket, which is the only one."""
        return self._buckets.take(subject, limit)

    async def publish(self, channel: str, message: str, *, wait: bool = True) -> None:  # noqa: ARG002 why: the interface's
        """Tell every subscriber of the channel, before returning."""
        self.epoch += 1
        for hearer in self._hearers[channel]:
            hearer.hear(message)

    def subscribe(self, channel: str, hear: Callable[[str], None], missed: Callable[[], None] = _nothing) -> None:
        """Call `hear` with each message published on the channel from now on."""
        self._hearers[channel].append(Hearer(hear, missed))

    def in_touch(self) -> bool:
        """Whether nobody else publishes."""
        return not self._several

    async def close(self) -> None:
        """Nothing to let go of."""

    def _forget(self, key: str) -> None:
        if kept := self._kept.pop(key, None):
            self.size -= len(key) + len(kept[0])
