"""A cache that may forget at any time: one interface, in memory here, in a cluster elsewhere.

A cache never fails a request: whoever implements `Cache` turns every fault into a miss. `publish` reaches all
processes that share the cache, and this one; it is a hint to forget sooner, never the only way to learn something.
"""

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Protocol


class Cache(Protocol):
    """Bytes by key, each with a time to live in seconds."""

    async def get(self, key: str) -> bytes | None: ...
    async def put(self, key: str, value: bytes, *, ttl: float) -> None: ...
    async def drop(self, *keys: str) -> None: ...
    async def publish(self, channel: str, message: str) -> None: ...
    def subscribe(self, channel: str, hear: Callable[[str], None]) -> None: ...


class MemoryCache:
    """A bounded, least-recently-used cache in this process: at most `max_bytes` of keys and values."""

    def __init__(self, *, max_bytes: int = 32 * 2**20, clock: Callable[[], float] = time.monotonic) -> None:
        self.max_bytes, self.size, self._clock = max_bytes, 0, clock
        self._kept: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._hearers: dict[str, list[Callable[[str], None]]] = defaultdict(list)

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

    async def publish(self, channel: str, message: str) -> None:
        """Tell every subscriber of the channel, before returning."""
        for hear in self._hearers[channel]:
            hear(message)

    def subscribe(self, channel: str, hear: Callable[[str], None]) -> None:
        """Call `hear` with each message published on the channel from now on."""
        self._hearers[channel].append(hear)

    def _forget(self, key: str) -> None:
        if kept := self._kept.pop(key, None):
            self.size -= len(key) + len(kept[0])
