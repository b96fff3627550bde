"""Clients that book, accept and cancel without end, through gateways that come and go, and never try anything again.

Each wants hours that nobody else wants, so that every write must succeed. A gateway is entered only while it is in the
rotation, as behind any load balancer; before it ends, it is taken out, and who is inside is waited for.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import aiohttp
import msgspec

from tests.platform import Person

CLIENTS = 6
PAUSE = 0.04
"""Seconds between two writes of a client: it is not the machine's speed that is tested."""
FIRST = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=3)


class Failure(NamedTuple):
    """A write that did not succeed."""

    what: str
    key: str
    said: str


class Rotation:
    """The gateways that are used at the moment."""

    def __init__(self, urls: list[str]) -> None:
        self._urls, self._inside = list(urls), Counter[str]()
        self._turns = itertools.count()

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[str]:
        """A gateway for one request."""
        url = self._urls[next(self._turns) % len(self._urls)]
        self._inside[url] += 1
        try:
            yield url
        finally:
            self._inside[url] -= 1

    async def without(self, url: str) -> None:
        """Take it out; over when nobody is inside any more."""
        self._urls.remove(url)
        while self._inside[url]:
            await asyncio.sleep(0.01)

    def again(self, url: str) -> None:
        """Use it from now on."""
        self._urls.append(url)


class Writers:
    """What they were told, by idempotency key and by booking."""

    def __init__(self, rotation: Rotation, owner: Person, people: list[Person], items: list[str]) -> None:
        self._rotation, self._owner, self._people, self._items = rotation, owner, people, items[:-1]
        self._asked = items[-1]
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        self._going, self._hours = True, itertools.count()
        self.failures: list[Failure] = []
        self.statuses: Counter[str] = Counter()
        self.by_key: dict[str, str] = {}
        self.acknowledged: dict[str, str] = {}
        """Booking → the state that was answered last."""

    @property
    def writes(self) -> int:
        """How many there have been."""
        return sum(self.statuses.values())

    async def write(self, number: int) -> None:
        """One client: books, and every third time cancels; every fourth booking is a request that the owner accepts."""
        person = self._people[number % len(self._people)]
        while self._going:
            hour = next(self._hours)
            asks = hour % 4 == 3
            made = await self._book(person, hour, self._asked if asks else self._items[hour % len(self._items)])
            if made and asks:
                await self._command(self._owner, made, "accept")
            if made and hour % 3 == 0:
                await self._command(person, made, "cancel")
            await asyncio.sleep(PAUSE)

    async def _book(self, person: Person, hour: int, item: str) -> str | None:
        start = FIRST + timedelta(hours=hour)
        period = {"from": start.isoformat(), "to": (start + timedelta(hours=1)).isoformat()}
        body = {"item_id": item, "payment_method": "pm_card_visa", **period}
        made = await self._ask("book", person, "/bookings", body, {201})
        return made["id"] if made else None

    async def _command(self, person: Person, booking: str, command: str) -> None:
        await self._ask(command, person, f"/bookings/{booking}/{command}", None, {200})

    async def _ask(self, what: str, person: Person, path: str, body: Any, good: set[int]) -> Any:
        key = f"{what} {uuid4()}"
        headers = {"authorization": f"Bearer {person.token}", "idempotency-key": key}
        headers |= {"content-type": "application/json"} if body else {}
        sent = msgspec.json.encode(body) if body else None
        async with self._rotation.entered() as url:
            try:
                async with self._session.post(f"{url}/api/v1{path}", data=sent, headers=headers) as got:
                    status, said = got.status, await got.read()
            except (aiohttp.ClientError, TimeoutError, OSError) as e:
                status, said = 0, repr(e).encode()
        self.statuses[f"{what} {status}"] += 1
        if status not in good:
            self.failures.append(Failure(what, key, f"{status} {said[:300].decode()}"))
            return None
        answer = msgspec.json.decode(said)
        self.by_key[key] = answer["id"]
        self.acknowledged[answer["id"]] = answer["state"]
        return answer

    async def progress(self, count: int) -> None:
        """Wait for so many more writes."""
        until = self.writes + count
        while self.writes < until:
            await asyncio.sleep(0.02)

    async def end(self, tasks: list[asyncio.Task[None]]) -> None:
        """Let each finish what it is at."""
        self._going = False
        await asyncio.gather(*tasks)
        await self._session.close()
        await asyncio.gather(*(p.close() for p in [*self._people, self._owner]))


@asynccontextmanager
async def writing(rotation: Rotation, url: str) -> AsyncIterator[Writers]:
    """Clients at work until the end of the block. Nobody's failure stops them."""
    owner = await Person(url, "owner").register()
    people = [await Person(url, f"borrower{n}").register() for n in range(3)]
    items = [(await owner.must("POST", "/items", _offered(n)))["id"] for n in range(5)]
    writers = Writers(rotation, owner, people, items)
    tasks = [asyncio.create_task(writers.write(n)) for n in range(CLIENTS)]
    try:
        yield writers
    finally:
        await writers.end(tasks)


def _offered(number: int) -> dict[str, Any]:
    return {
        "title": f"Thing {number}",
        "category": "other",
        "location": {"lat": 52.5, "lon": 13.4, "label": "Here"},
        "price": {"amount": 500, "currency": "EUR", "per": "hour"},
        "booking_mode": "request" if number == 4 else "instant",
        "horizon_days": 730,
    }
