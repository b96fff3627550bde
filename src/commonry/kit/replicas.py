"""The replicas of one service: whom to ask, whom to leave alone, and what to do when one fails.

The one with the fewest requests under way is asked. Each has a breaker, and so has the service as a whole. One that
comes back is loaded slowly: one request at a time first, one more with each that went well. A request is tried again
only where that does no harm, and only out of a budget, so that trouble is not made worse by repeating everything.
"""

import asyncio
import itertools
import socket
import time
from collections.abc import Callable, Sequence
from typing import cast
from urllib.parse import urlsplit

import structlog

from commonry.kit.breaker import USUAL, Breaker, Rules, State
from commonry.kit.http.connection import Answered, Teller
from commonry.kit.http.messages import Fault, Request
from commonry.kit.replica import BROKEN, MOST, Begun, Replica
from commonry.kit.telemetry import breaker_open, upstream_tries

CHECK_SECONDS, CHECK_PATIENCE = 0.25, 1.0
RESOLVE_SECONDS, RESOLVE_PATIENCE = 5.0, 1.0
BY_NAME = "dns+"
LOOK_SECONDS, LONGEST_WAIT = 0.02, 1.5
"""How often, and how long, a request waits for a replica that takes its work slowly at first."""
EARNED, SAVED = 0.2, 100.0
"""Repetitions that each request earns, and how many can be saved up."""
ALL = 0.95
"""Share of bad answers at which the whole service is left alone. Less is the business of its replicas' breakers."""

log = structlog.get_logger()


class Replicas:
    """All of them, asked as one. `rules` are the breakers'."""

    def __init__(self, name: str, urls: Sequence[str], *, rules: Rules = USUAL) -> None:
        self.name, self._urls, self._rules = name, [u.rstrip("/") for u in urls], rules
        whole = rules._replace(share=max(rules.share, ALL))
        self.breaker = Breaker(whole, told=self._changed)
        breaker_open.labels(name, "all").set(0)
        self.hedge_after = 0.0
        """Seconds after which a read is also sent to another replica; 0: never."""
        self.opened: Callable[[str], None] = lambda _: None
        """Told the URL of a replica whose breaker has opened."""
        self._watched = False  # if we are, only our own check is a probe: no caller waits for what may be dead
        self._budget, self._turn, self._resolved_at = SAVED, 0, 0.0
        self.all = [self._replica(u) for u in self._urls if not u.startswith(BY_NAME)]

    def _changed(self, state: State) -> None:
        breaker_open.labels(self.name, "all").set(state == "open")
        log.warning("breaker", service=self.name, replica="all", state=state)

    def _replica(self, url: str) -> Replica:
        return Replica(self.name, url, self._rules, self._tell)

    def _tell(self, url: str) -> None:
        self.opened(url)

    async def ask(self, request: Request, deadline: float) -> Answered:
        """One request, answered by whichever replica can until `deadline` (of `time.monotonic`). Raises `Fault`."""
        if not (turn := self.breaker.admits()):
            raise Fault(f"{self.name} is left alone for a moment", sent=False)
        began = time.monotonic()
        tried: list[Replica] = []
        try:
            if self.hedge_after and request.method == b"GET" and len(self.all) > 1:
                answered = await self._hedged(request, deadline, tried)
            else:
                answered = await self._tried(request, deadline, tried)
        except Fault:
            if tried:
                self.breaker.failed(turn)
            else:
                self.breaker.gave_up(turn)  # nobody was free to be asked, as while one comes back slowly
            raise
        except BaseException:  # why: whatever called it off, it says nothing about the service; and it is raised again
            self.breaker.gave_up(turn)
            raise
        if answered.status in BROKEN:
            self.breaker.failed(turn, hard=False)
        else:
            self.breaker.succeeded(turn, time.monotonic() - began)
        return answered

    def read(self, target: bytes, fields: bytes, seconds: float, tell: Teller) -> Begun | None:
        """A GET without waiting, if nothing speaks against it: all is well, and a connection is there. Else None."""
        if not self.breaker.is_closed or self.hedge_after:
            return None
        replica = self._pick((), probing=False)
        if replica is None:
            return None
        begun = Begun(self.breaker, replica, tell)
        replica.under_way += 1
        begun.connection = replica.pool.read(target, fields, begun.began + seconds, begun.over)
        if begun.connection is None:
            replica.under_way -= 1
            return None
        if self._budget < SAVED:
            self._budget += EARNED
        return begun

    async def _tried(self, request: Request, deadline: float, tried: list[Replica]) -> Answered:
        """Try one replica after the other as long as that does no harm."""
        self._budget = min(self._budget + EARNED, SAVED)
        fault, latest = cast("Fault | None", None), min(deadline, time.monotonic() + LONGEST_WAIT)
        while True:
            replica = self._pick(tried, probing=not self._watched)
            if replica is None and fault is not None and fault.stale and tried.count(tried[-1]) < 2:
                replica = tried[-1]  # only the connection was old
            if replica is None and fault is None and self._is_coming_back() and time.monotonic() < latest:
                await asyncio.sleep(LOOK_SECONDS)  # one that comes back takes more from moment to moment
                continue
            if replica is None:
                raise fault or Fault(f"no replica of {self.name} takes requests", sent=False)
            fresh = replica in tried
            tried.append(replica)
            try:
                return await self._once(replica, request, deadline, fresh=fresh)
            except Fault as e:
                fault = e
                if e.sent and not (request.repeatable and time.monotonic() < deadline and self.may_repeat()):
                    raise
                upstream_tries.labels(self.name, "repeated" if e.sent else "passed on").inc()

    async def _once(self, replica: Replica, request: Request, deadline: float, *, fresh: bool) -> Answered:
        if not (turn := replica.breaker.admits()):
            raise Fault(f"{replica.url} is left alone for a moment", sent=False)
        replica.under_way += 1
        began = time.monotonic()
        try:
            answered = await replica.pool.ask(request, deadline, fresh=fresh)
        except Fault as e:
            if e.stale:
                replica.breaker.gave_up(turn)  # that an old connection was closed says little; the next try says more
            else:
                replica.breaker.failed(turn)
            raise
        except BaseException:  # why: as above
            replica.breaker.gave_up(turn)
            raise
        finally:
            replica.under_way -= 1
        if answered.status in BROKEN:
            replica.breaker.failed(turn, hard=False)
        else:
            replica.breaker.succeeded(turn, time.monotonic() - began)
        return answered

    async def _hedged(self, request: Request, deadline: float, tried: list[Replica]) -> Answered:
        """The first answer of two replicas, the second asked only when the first is slow."""
        first = asyncio.ensure_future(self._tried(request, deadline, tried))
        asked = {first}
        try:
            done, _ = await asyncio.wait(asked, timeout=self.hedge_after)
            if not done and self.may_repeat():
                upstream_tries.labels(self.name, "hedged").inc()
                asked.add(asyncio.ensure_future(self._tried(request, deadline, list(tried))))
            while True:
                done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                good = next((t for t in done if t.exception() is None), None)
                if good is not None or not waiting:
                    for late in done - {good}:
                        _abandon(late)
                    return (good or first).result()
                asked = waiting
        finally:
            for task in asked | {first}:
                task.cancel()

    def _is_coming_back(self) -> bool:
        """Whether somebody would take this request, but has too many for one who has just come back."""
        return any(r.breaker.is_closed and r.under_way < MOST for r in self.all)

    def _pick(self, without: Sequence[Replica], *, probing: bool) -> Replica | None:
        """The free replica with the fewest requests under way; of equals, the next. `probing`: also half-open ones."""
        best: Replica | None = None
        for replica in self._in_turn():
            if not replica.is_free(even_half_open=probing) or replica in without:
                continue
            if best is None or replica.under_way < best.under_way:
                best = replica
        return best

    def _in_turn(self) -> Sequence[Replica]:
        """All of them, another one first each time."""
        if len(self.all) < 2:
            return self.all
        self._turn = (self._turn + 1) % len(self.all)
        return [*self.all[self._turn :], *self.all[: self._turn]]

    def may_repeat(self) -> bool:
        """Whether one more repetition is in the budget; it is taken out."""
        if self._budget < 1:
            return False
        self._budget -= 1
        return True

    async def watch(self) -> None:
        """Look after the replicas for ever: who is there, and who answers. More often at those that owe an answer."""
        self._watched = True
        for tick in itertools.count():
            await self.refresh()
            await asyncio.gather(*(self._check(r) for r in self.all if r.under_way or r.owes or tick % 2 == 0))
            await asyncio.sleep(CHECK_SECONDS)

    async def refresh(self) -> None:
        """Resolve names again when it is time. Replicas that stay keep their state; what fails changes nothing."""
        names = [u for u in self._urls if u.startswith(BY_NAME)]
        if not names or time.monotonic() < self._resolved_at + RESOLVE_SECONDS:
            return
        self._resolved_at = time.monotonic()
        found = {u for u in self._urls if not u.startswith(BY_NAME)}
        for name in names:
            found |= await _addresses(name) or {r.url for r in self.all}
        kept = [r for r in self.all if r.url in found]
        for gone in set(self.all) - set(kept):
            gone.retire()
        self.all = kept + [self._replica(url) for url in sorted(found - {r.url for r in kept})]

    async def check(self, url: str) -> None:
        """Look at one replica now, because somebody else found it unwell."""
        for replica in self.all:
            if replica.url == url:
                await self._check(replica, anyway=True)

    async def _check(self, replica: Replica, *, anyway: bool = False) -> None:
        """Ask whether it is alive, unless its answers say so. One that is silent gives its requests back."""
        pool, began = replica.pool, time.monotonic()
        speaks = replica.breaker.is_closed and pool.heard_at > replica.looked_at
        # Who owed an answer before has no more patience than is left since its last word.
        patience = pool.heard_at + CHECK_PATIENCE - began if replica.owes and not speaks else CHECK_PATIENCE
        replica.looked_at, replica.owes = began, False
        if (speaks and not anyway) or not (turn := replica.breaker.admits()):
            return
        try:
            answered = await pool.ask(_ALIVE, began + max(CHECK_SECONDS, patience))
        except Fault as e:
            if e.sent and pool.heard_at > began:
                replica.looked_at, replica.owes = pool.heard_at, True  # busy, not dead
                replica.breaker.gave_up(turn)
                return
            was_well = replica.breaker.is_closed
            replica.breaker.failed(turn)
            replica.breaker.trip()
            # What may have had its effect is given up only when it is silent for a second time.
            pool.break_off("is silent", only_repeatable=was_well)
            return
        except BaseException:  # why: as above
            replica.breaker.gave_up(turn)
            raise
        if answered.status in BROKEN:
            replica.breaker.failed(turn, hard=False)
        else:
            replica.breaker.succeeded(turn)
            if not self.breaker.is_closed:
                self.breaker.succeeded(self.breaker.admits())

    def wait(self) -> float:
        """Seconds until asking makes sense again."""
        waits = [max(self.breaker.wait(), r.breaker.wait()) for r in self.all]
        return min(waits, default=1.0)

    @property
    def state(self) -> State:
        """The service's breaker as a whole: open also when every replica's is."""
        states = [r.breaker.state for r in self.all]
        if self.breaker.state != "closed" or "closed" in states:
            return self.breaker.state
        return "half-open" if "half-open" in states else "open"

    def close(self) -> None:
        """Close all connections."""
        for replica in self.all:
            replica.pool.close()


def _abandon(late: asyncio.Task[Answered]) -> None:
    if late.exception() is None:
        late.result().abandon()


_ALIVE = Request(b"GET", b"/healthz", b"", repeatable=True)


async def _addresses(name: str) -> set[str]:
    """`dns+http://host:port` → a URL per address; none when the name cannot be resolved now."""
    parts = urlsplit(name.removeprefix(BY_NAME))
    try:
        async with asyncio.timeout(RESOLVE_PATIENCE):
            found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as e:
        log.warning("name not resolved", name=parts.hostname, trouble=str(e))
        return set()
    hosts = {str(address[0]) for *_, address in found}
    return {f"{parts.scheme}://{f'[{h}]' if ':' in h else h}:{parts.port or 80}{parts.path}" for h in hosts}
