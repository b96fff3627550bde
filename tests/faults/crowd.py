"""A crowd at the gateways: 64 clients who read, search, change and book, and remember how each request went.

It knows what it was told: no item may be older than the newest change that was acknowledged before the reading began,
no list or calendar older than its bound. Whoever breaks something asks afterwards what failed, and how long it took.
"""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any, NamedTuple
from uuid import uuid4

import aiohttp
import msgspec

from tests.platform import Person

CLIENTS = 64
PAUSE = (0.1, 0.35)
"""Seconds between the requests of a client: the machine is shared, and it is not its speed that is measured."""
PATIENCE = 12.0
BOUND = 2.0
"""Seconds that a calendar, or a list with dates, may be old."""
FIRST = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=3)
MIX = {"item": 10, "free": 4, "search": 2, "mine": 3, "change": 1, "book": 1}
"""How often each kind of request is made, by the names of `Crowd`'s methods."""


class Call(NamedTuple):
    """One request: instants and durations in seconds of `time.monotonic`. No status is 0."""

    kind: str
    status: int
    began: float
    took: float
    said: str

    @property
    def failed(self) -> bool:
        return self.status == 0 or self.status >= 500


class Stale(NamedTuple):
    """An answer that was too old: how long ago a newer one had been acknowledged, or infinite when beyond its bound."""

    seconds: float
    said: str


class Thing:
    """An item: what was acknowledged of it, and when."""

    def __init__(self, made: dict[str, Any]) -> None:
        self.id = str(made["id"])
        self.versions = [(time.monotonic(), int(made["version"]))]
        self.booked: list[tuple[float, str]] = []
        self.slots = itertools.count()

    def least(self, at: float) -> int:
        """The newest version acknowledged before this instant."""
        return max((v for t, v in self.versions if t <= at), default=0)


class Crowd:
    """`urls` are the gateways'. `stale` says which answers were older than they may be."""

    def __init__(self, urls: Sequence[str], people: list[Person], things: list[Thing], mix: Mapping[str, int]) -> None:
        self.urls, self.people, self.things, self.mix = urls, people, things, mix
        self.calls: list[Call] = []
        self.stale: list[Stale] = []
        self.statuses: Counter[str] = Counter()
        self.going, self.began = True, time.monotonic()
        self.chance = random.Random(5)
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)
        self._numbers = itertools.count()

    # how it went

    def between(self, since: float, until: float = inf, *kinds: str) -> list[Call]:
        """Requests that began then."""
        return [c for c in self.calls if since <= c.began < until and (not kinds or c.kind in kinds)]

    def failures(self, since: float = 0.0, until: float = inf) -> list[Call]:
        return [c for c in self.between(since, until) if c.failed]

    def too_old(self, bound: float = 0.0) -> str:
        """Answers older than they may be, items by more than `bound` seconds; empty when there are none."""
        return "\n".join(s.said for s in self.stale if s.seconds > bound)

    def refused(self) -> list[Call]:
        """Requests that ended with a 4xx."""
        return [c for c in self.calls if 400 <= c.status < 500]

    def slowness(self, since: float, until: float = inf, share: float = 0.95) -> float:
        """How long all but the slowest took."""
        took = sorted(c.took for c in self.between(since, until))
        assert len(took) > 20, f"hardly anything was asked: {len(took)}"
        return took[int(share * len(took))]

    def worst(self, number: int = 8) -> str:
        """Failures, and the slowest, for people."""
        shown = [*self.failures()[:number], *sorted(self.calls, key=lambda c: -c.took)[:number]]
        return "\n".join(f"{self._at(c.began)} {c.kind} {c.status} {c.took:.3f} s {c.said}" for c in shown)

    def _at(self, instant: float) -> str:
        return f"{instant - self.began:.2f} s"

    # what it does

    async def client(self, number: int) -> None:
        url = self.urls[number % len(self.urls)]
        kinds, weights = list(self.mix), list(self.mix.values())
        await asyncio.sleep(self.chance.uniform(0, PAUSE[1]))
        while self.going:
            kind = self.chance.choices(kinds, weights)[0]
            await getattr(self, kind)(url)
            await asyncio.sleep(self.chance.uniform(*PAUSE))

    async def item(self, url: str) -> None:
        thing, began = self.chance.choice(self.things), time.monotonic()
        least = thing.least(began)
        got = await self.ask("item", "GET", f"{url}/api/v1/items/{thing.id}")
        if got and got["version"] < least:
            ago = began - min(t for t, v in thing.versions if v > got["version"])
            said = f"version {got['version']} when {least} was acknowledged, {ago:.2f} s after the next one was"
            self.stale.append(Stale(ago, f"item, at {self._at(began)}: {said}; {self.calls[-1].said}"))

    async def search(self, url: str) -> None:
        first = FIRST + timedelta(days=200, hours=self.chance.randrange(4))
        query = f"from={first:%Y-%m-%dT%H:%M:%SZ}&to={first + timedelta(hours=5):%Y-%m-%dT%H:%M:%SZ}&limit=50"
        began = time.monotonic()
        got = await self.ask("search", "GET", f"{url}/api/v1/items?{query}")
        found = {str(item["id"]): item["version"] for item in got["data"]} if got else {}
        for thing in self.things:
            if thing.id in found and found[thing.id] < thing.least(began - BOUND):
                said = f"version {found[thing.id]} when {thing.least(began - BOUND)} was acknowledged before its bound"
                self.stale.append(Stale(inf, f"list, at {self._at(began)}: {said}; {self.calls[-1].said}"))

    async def free(self, url: str) -> None:
        thing, began = self.chance.choice(self.things), time.monotonic()
        last = FIRST + timedelta(days=80)
        query = f"from={FIRST:%Y-%m-%dT%H:%M:%SZ}&to={last:%Y-%m-%dT%H:%M:%SZ}"
        got = await self.ask("free", "GET", f"{url}/api/v1/items/{thing.id}/availability?{query}")
        if got is None:
            return
        busy = {datetime.fromisoformat(b["from"]).isoformat() for b in got["busy"]}
        missing = [start for at, start in thing.booked if at < began - BOUND and start not in busy]
        at = self._at(began)
        said = self.calls[-1].said
        self.stale += [Stale(inf, f"calendar, at {at}: not busy from {start}; {said}") for start in missing]

    async def mine(self, url: str) -> None:
        path = self.chance.choice(("members/me", "bookings?limit=5"))
        await self.ask("mine", "GET", f"{url}/api/v1/{path}", self.chance.choice(self.people))

    async def change(self, url: str) -> None:
        thing = self.chance.choice(self.things)
        body = {"description": f"changed {next(self._numbers)}"}
        got = await self.ask("change", "PATCH", f"{url}/api/v1/items/{thing.id}", self.people[0], body)
        if got:
            thing.versions.append((time.monotonic(), int(got["version"])))

    async def book(self, url: str) -> None:
        thing, person = self.chance.choice(self.things), self.chance.choice(self.people[1:])
        start = FIRST + timedelta(hours=2 * next(thing.slots))
        period = {"from": start.isoformat(), "to": (start + timedelta(hours=1)).isoformat()}
        body = {"item_id": thing.id, "payment_method": "pm_card_visa", **period}
        key = f"crowd-{next(self._numbers)}-{id(self)}"
        got = await self.ask("book", "POST", f"{url}/api/v1/bookings", person, body, key)
        if got and got["state"] == "confirmed":
            thing.booked.append((time.monotonic(), start.isoformat()))

    async def nothing(self, url: str) -> None:
        """What nobody keeps, as it is not there."""
        await self.ask("nothing", "GET", f"{url}/api/v1/items/{uuid4()}")

    async def offer(self, url: str) -> None:
        """A write, refused for want of a token."""
        await self.ask("offer", "POST", f"{url}/api/v1/items", None, {})

    async def ask(
        self, kind: str, method: str, url: str, person: Person | None = None, body: Any = None, key: str = ""
    ) -> Any:
        """The JSON of a good answer, else None."""
        headers = {"authorization": f"Bearer {person.token}"} if person else {}
        headers |= {"content-type": "application/json"} if body is not None else {}
        headers |= {"idempotency-key": key} if key else {}
        data, began = msgspec.json.encode(body) if body is not None else None, time.monotonic()
        status, said, answer = 0, "", b""
        try:
            async with self._session.request(method, url, data=data, headers=headers) as got:
                answer, status = await got.read(), got.status
                said = got.headers.get("cache-status", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as e:
            said = repr(e)
        self.statuses[f"{kind} {status}"] += 1
        said = f"{said} {answer[:300].decode()}" if status >= 300 else said
        self.calls.append(Call(kind, status, began, time.monotonic() - began, said))
        return msgspec.json.decode(answer) if 200 <= status < 300 else None

    async def close(self) -> None:
        await self._session.close()


async def settled(*urls: str, seconds: float = 20.0) -> None:
    """Wait until these gateways say that all is well."""
    async with asyncio.timeout(seconds), aiohttp.ClientSession() as session:
        for url in urls:
            while True:
                async with session.get(f"{url}/api/v1/status") as got:
                    said = await got.json()
                if said["status"] == "ok" and all(s["breaker"] == "closed" for s in said["services"].values()):
                    break
                await asyncio.sleep(0.1)


@asynccontextmanager
async def crowd(*urls: str, clients: int = CLIENTS, mix: Mapping[str, int] = MIX) -> AsyncIterator[Crowd]:
    """A crowd at these gateways until the end of the block. Whoever is still waiting then is waited for."""
    people = [await Person(urls[0], f"c{n}").register() for n in range(4)]
    things = [Thing(await people[0].must("POST", "/items", _offered(n))) for n in range(8)]
    running = Crowd(urls, people, things, mix)
    tasks = [asyncio.create_task(running.client(n)) for n in range(clients)]
    try:
        yield running
    finally:
        running.going = False
        await asyncio.gather(*tasks)
        await running.close()
        await asyncio.gather(*(p.close() for p in people))


def _offered(number: int) -> dict[str, Any]:
    return {
        "title": f"Thing {number}",
        "category": "other",
        "location": {"lat": 52.5, "lon": 13.4, "label": "Here"},
        "price": {"amount": 500, "currency": "EUR", "per": "hour"},
    }


async def until(condition: Callable[[], Any], what: str, *, seconds: float = 10.0) -> float:
    """Wait until the condition holds (it may be a coroutine function); how long that took."""
    began = time.monotonic()
    while True:
        holds = condition()
        if asyncio.iscoroutine(holds):
            holds = await holds
        if holds:
            return time.monotonic() - began
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)
