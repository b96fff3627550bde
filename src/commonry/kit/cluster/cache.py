"""`Cache` over a Redis Cluster. Any fault is a miss, a count of this process's own, or a message told later."""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable

from commonry.kit.cluster import scripts
from commonry.kit.cluster.bus import BEAT, Bus
from commonry.kit.cluster.link import Away, Link, Place, parse
from commonry.kit.rates import Buckets, Limit, Verdict

MOST_UNDROPPED = 10_000


class ClusterCache(Bus):
    """Keys in the cluster over one link, and the bus over two more, so that neither waits for the other."""

    def __init__(self, store: Link, bus: Link, ears: Link) -> None:
        super().__init__(bus, ears)
        self._store = store
        self._buckets = Buckets()
        self._undropped: dict[str, None] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, place: Place) -> None:
        """Make the clients, and beat from now on. Nothing is waited for."""
        await self._store.open(place)
        await self._link.open(place)
        await self._ears.open(place, hear=self.on_push, channels=(scripts.BUS, scripts.private(self.me)))
        self._tasks = [asyncio.create_task(self.beat_forever()), asyncio.create_task(self._pay_forever())]

    async def get(self, key: str) -> bytes | None:
        """The value, or None; also when the cluster is away."""
        try:
            return await self._store.get(scripts.PREFIX + key)
        except Away:
            return None

    async def put(self, key: str, value: bytes, *, ttl: float) -> None:
        """Keep for `ttl` seconds, if the cluster is there."""
        if ttl <= 0:
            await self.drop(key)
            return
        with contextlib.suppress(Away):
            await self._store.set(scripts.PREFIX + key, value, _milliseconds(ttl))

    async def drop(self, *keys: str) -> None:
        """Forget these keys now; if the cluster is away, as soon as it is back."""
        named = [scripts.PREFIX + key for key in keys]
        try:
            if named:
                await self._store.delete(named)
        except (Away, asyncio.CancelledError) as e:
            self._undropped |= dict.fromkeys(named)
            while len(self._undropped) > MOST_UNDROPPED:
                del self._undropped[next(iter(self._undropped))]
            if not isinstance(e, Away):
                raise

    async def lead(self, key: str, *, seconds: float) -> bool:
        """Whether nobody else leads this now. Without the cluster, everybody does."""
        try:
            return await self._store.set(scripts.PREFIX + key, b"1", _milliseconds(seconds), if_new=True)
        except Away:
            return True

    async def take(self, subject: str, limit: Limit) -> Verdict:
        """One request out of the bucket of this subject; out of this process's own while the cluster is away."""
        key, args = f"{scripts.PREFIX}rate:{subject}", [repr(limit.cost * 1e6), repr(limit.window * 1e6)]
        try:
            allowed, ahead = await self._store.run("take", scripts.TAKE, [key], args)
        except Away:
            return self._buckets.take(subject, limit)
        seconds = int(ahead) / 1e6
        if not allowed:
            return Verdict(False, 0, max(1e-6, seconds - limit.window), seconds - limit.cost)
        return Verdict(True, max(0, math.floor((limit.window - seconds) / limit.cost + 1e-3)), 0.0, seconds)

    async def close(self) -> None:
        """Leave the bus, and let go of connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.leave()
        for link in (self._store, self._link, self._ears):
            await link.close()

    async def _pay_forever(self) -> None:
        """What could not be done when it should have been is done when the cluster is back."""
        while True:
            await asyncio.sleep(BEAT)
            if self.in_touch():
                await _unless_away(self.pay_debts)
                await _unless_away(self._drop_again)

    async def _drop_again(self) -> None:
        if named := list(self._undropped)[:1000]:
            await self._store.delete(named)
            for key in named:
                self._undropped.pop(key, None)


async def connect(url: str) -> ClusterCache:
    """A cache over the cluster at `url`, whether it is there yet or not. Raises ValueError for what is no such URL."""
    place = parse(url)
    cache = ClusterCache(Link("store"), Link("bus"), Link("ears"))
    await cache.start(place)
    return cache


async def _unless_away(work: Callable[[], Awaitable[None]]) -> None:
    with contextlib.suppress(Away):
        await work()


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
