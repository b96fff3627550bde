"""The bus: numbered messages to every process that is in touch, each acknowledged once it has been acted upon.

What holds, whatever fails: when `publish(wait=True)` has returned, each process has heard the message, or has been told
that it `missed` some, or is not `in_touch`. Two things make it so.

* A process beats several times a lease, and is in touch only while a beat *sent* less than a lease ago has come back
  to it the way messages come. The echo carries the newest epoch at that moment: a lost message shows in the next.
* A publisher waits for each peer that beat within the last lease, and no longer than a lease: by then it has
  acknowledged, or has seen an echo that tells, or is out of touch by its own clock. Where peers may be unknown
  (after a failover or a flush), it waits the whole lease.
* After a failover nobody is in touch for two leases: by then every process whose beats come through can tell the
  others, so that none answers from memory what a slower one has changed meanwhile.
"""

import asyncio
import contextlib
import secrets
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

import structlog
from prometheus_client import Counter, Gauge

from commonry.kit.cache import Hearer
from commonry.kit.cluster import scripts
from commonry.kit.cluster.link import Away, Link

log = structlog.get_logger()

BEAT, LEASE, MARGIN = 0.3, 1.0, 0.05
"""Seconds: between beats, that one is good for, and that clocks may differ over a lease."""
REMEMBERED = 10_000
MOST_OWED = 1_000
ALL = "*"
"""Channel: something was lost that nobody repeers, so everybody may have missed anything."""

hears_others = Gauge("commonry_bus_in_touch", "Whether this process hears what others publish.")
misses = Counter("commonry_bus_missed_total", "Times this process had to forget all, as it may have missed a message.")
unacknowledged = Counter(
    "commonry_bus_unacknowledged_total", "Messages that somebody did not acknowledge within a lease."
)


def nothing() -> None:
    """For hearers to whom a lost message is no more than a hint that did not come."""


class Bus:
    """One process's end of the bus. `epoch` is the newest message's number, and rises whenever anything was missed.

    It hears over another client than it speaks over: while that subscribes anew, the driver (2.6) takes the
    confirmation for the answer to whatever was asked over the same connection.
    """

    def __init__(self, link: Link, ears: Link, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.epoch, self.me = 0, secrets.token_hex(8)
        self._link, self._ears, self._clock = link, ears, clock
        self._loop = asyncio.get_running_loop()
        self._hearers: dict[str, list[Hearer]] = defaultdict(list)
        self._last = 0  # the newest number as it was sent; `epoch` may be ahead of it
        self._heard: OrderedDict[int, None] = OrderedDict()
        self._beats, self._sent = 0, dict[int, float]()
        self._touched, self._complete_from = float("-inf"), float("-inf")
        self._hurry = asyncio.Event()
        self._waiting: dict[int, _Waiting] = {}
        self._early: OrderedDict[int, set[str]] = OrderedDict()
        self._to_acknowledge: dict[str, list[str]] = defaultdict(list)
        self._acknowledging: set[asyncio.Task[None]] = set()
        self._owed: dict[tuple[str, str], None] = {}

    # --- for everybody ---

    def subscribe(self, channel: str, hear: Callable[[str], None], missed: Callable[[], None] = nothing) -> None:
        """Call `hear` with each message from now on; `missed` when some may have been lost, and once when in touch."""
        if channel not in self._hearers:
            self._complete_from = self._clock()
            self._hurry.set()
        self._hearers[channel].append(Hearer(hear, missed))

    def in_touch(self) -> bool:
        """Whether a beat that was sent less than a lease ago, for all our channels, has come back."""
        return self._clock() - self._touched < LEASE and self._touched >= self._complete_from

    async def publish(self, channel: str, message: str, *, wait: bool = True) -> None:
        """Tell everybody; with `wait`, until they have heard it or are out of touch."""
        started = self._clock()
        try:
            epoch, unsure, alive = await self._send(channel, message, wait=wait)
        except asyncio.CancelledError:
            self._owe(channel, message)
            raise
        except Away:
            self._owe(channel, message)
            self._hear_alone(channel, message)
            if wait:
                await self._until_leases_end(started)
            return
        others = {peer.decode() for peer in alive} - {self.me}
        if not self.in_touch():
            self._hear_alone(channel, message)
        elif channel in self._hearers:
            others.add(self.me)
        if wait:
            await self._acknowledged(int(epoch), others, unsure=bool(unsure))

    # --- publishing ---

    async def _send(self, channel: str, message: str, *, wait: bool) -> Any:
        keys = [scripts.BUS, scripts.listeners(channel)]
        args = [self.me, _lease(), str(self.epoch), str(int(wait)), channel, message]
        return await self._link.run("bus", scripts.PUBLISH, keys, args)

    async def _acknowledged(self, epoch: int, others: set[str], *, unsure: bool) -> None:
        others -= self._early.pop(epoch, set())
        if self._has_heard(epoch):
            others.discard(self.me)
        if unsure:
            await asyncio.sleep(LEASE + MARGIN)
        elif others:
            waiting = self._waiting[epoch] = _Waiting(others, self._loop.create_future())
            try:
                await asyncio.wait_for(waiting.over, LEASE + MARGIN)
            except TimeoutError:
                unacknowledged.inc()
            finally:
                del self._waiting[epoch]
        if self.me in others and not self._has_heard(epoch):
            self._miss(epoch)

    async def _until_leases_end(self, started: float) -> None:
        """Others are in touch at most a lease after the cluster went away. If that was long ago, they no longer are."""
        if self._clock() - self._touched < LEASE + 3 * BEAT:
            await asyncio.sleep(started + LEASE + MARGIN - self._clock())

    def _owe(self, channel: str, message: str) -> None:
        if len(self._owed) >= MOST_OWED:
            self._owed.clear()
            channel, message = ALL, ""
        if (ALL, "") not in self._owed:
            self._owed[channel, message] = None

    async def pay_debts(self) -> None:
        """Publish what could not be published when it should have been."""
        for channel, message in list(self._owed):
            await self._send(channel, message, wait=False)
            self._owed.pop((channel, message), None)

    # --- hearing ---

    def on_push(self, pushed: Any, _: Any) -> None:
        """What the driver calls with everything that arrives; in our loop, unless another one was there first."""
        if self._loop is asyncio.get_running_loop():
            self._on_text(pushed.message.decode())
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._on_text, pushed.message.decode())

    def _on_text(self, text: str) -> None:
        kind, _, rest = text.partition(" ")
        if kind == "beat":
            number, stored, early = rest.split(" ")
            self._on_beat(int(number), int(stored), too_early=early == "1")
        elif kind == "ack":
            peer, *epochs = rest.split(" ")
            for epoch in epochs:
                self._on_acknowledged(int(epoch), peer)
        else:
            previous, publisher, wait, channel, message = rest.split(" ", 4)
            self._on_message(int(kind), int(previous), channel, message)
            if wait == "1" and publisher == self.me:
                self._on_acknowledged(int(kind), self.me)
            elif wait == "1" and channel in self._hearers:
                self._acknowledge(publisher, kind)

    def _on_message(self, epoch: int, previous: int, channel: str, message: str) -> None:
        if self._has_heard(epoch):
            return  # while the driver changes nodes, it hears both
        self._heard[epoch] = None
        if len(self._heard) > REMEMBERED:
            self._heard.popitem(last=False)
        is_next, self._last = previous == self._last, epoch
        self.epoch = max(self.epoch + 1, epoch)
        if not is_next or channel == ALL:
            self._tell_missed()
        self._tell(channel, message)

    def _on_beat(self, number: int, stored: int, *, too_early: bool) -> None:
        sent = self._sent.pop(number, float("-inf"))
        is_new = sent > self._touched and self._clock() - sent < LEASE and not too_early
        was_in_touch = self.in_touch()
        if is_new:
            self._touched = sent
        if stored not in (0, self._last) and not self._has_heard(stored):  # 0: the cluster has forgotten it, not we
            self._last = stored
            self._miss(stored)
        elif self.in_touch() and not was_in_touch:
            self._miss(self._last)
        hears_others.set(self.in_touch())

    def _has_heard(self, epoch: int) -> bool:
        return epoch in self._heard

    def _miss(self, epoch: int) -> None:
        self.epoch = max(self.epoch + 1, epoch)
        self._tell_missed()

    def _hear_alone(self, channel: str, message: str) -> None:
        self.epoch += 1
        self._tell(channel, message)

    def _tell(self, channel: str, message: str) -> None:
        for hearer in self._hearers.get(channel, ()):
            self._call(hearer.hear, message)

    def _tell_missed(self) -> None:
        misses.inc()
        for hearers in list(self._hearers.values()):
            for hearer in hearers:
                self._call(hearer.missed)

    def _call(self, told: Callable[..., None], *message: str) -> None:
        try:
            told(*message)
        except Exception as e:  # why: one hearer's mistake must not keep the news from the others
            log.exception("a hearer failed", hearer=getattr(told, "__qualname__", repr(told)), trouble=repr(e))

    # --- acknowledgements and beats ---

    def _on_acknowledged(self, epoch: int, peer: str) -> None:
        if waiting := self._waiting.get(epoch):
            waiting.peers.discard(peer)
            if not waiting.peers and not waiting.over.done():
                waiting.over.set_result(None)
            return
        self._early.setdefault(epoch, set()).add(peer)
        if len(self._early) > REMEMBERED:
            self._early.popitem(last=False)

    def _acknowledge(self, publisher: str, epoch: str) -> None:
        """Soon: what arrives together is acknowledged together."""
        if not self._to_acknowledge:
            task = self._loop.create_task(self._send_acknowledgements())
            self._acknowledging.add(task)
            task.add_done_callback(self._acknowledging.discard)
        self._to_acknowledge[publisher].append(epoch)

    async def _send_acknowledgements(self) -> None:
        due = dict(self._to_acknowledge)
        self._to_acknowledge.clear()
        for publisher, epochs in due.items():
            with contextlib.suppress(Away):  # then the publisher waits for the end of our lease
                await self._link.publish(scripts.private(publisher), f"ack {self.me} {' '.join(epochs)}")

    async def beat_forever(self) -> None:
        """Say every `BEAT` seconds that we are here, and which channels we hear."""
        while True:
            self._hurry.clear()
            started = self._clock()
            await self._beat()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), max(0.01, started + BEAT - self._clock()))

    async def _beat(self) -> None:
        with contextlib.suppress(Away):
            if not self.in_touch():
                await self._ears.wake()
        self._beats, now = self._beats + 1, self._clock()
        self._sent = {number: sent for number, sent in self._sent.items() if now - sent < LEASE} | {self._beats: now}
        keys = [scripts.BUS, *map(scripts.listeners, self._hearers)]
        with contextlib.suppress(Away):
            await self._link.run("beat", scripts.BEAT, keys, [self.me, _lease(), str(self._beats)], regardless=True)
        hears_others.set(self.in_touch())

    async def leave(self) -> None:
        """Nobody has to wait for us any more."""
        self._touched = float("-inf")
        with contextlib.suppress(Away):
            await self._link.leave([scripts.listeners(channel) for channel in self._hearers], self.me)


class _Waiting:
    """A publisher's wait for those who have not acknowledged yet."""

    def __init__(self, peers: set[str], over: asyncio.Future[None]) -> None:
        self.peers, self.over = peers, over


def _lease() -> str:
    return str(int(LEASE * 1_000_000))
