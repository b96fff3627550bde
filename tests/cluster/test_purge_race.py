"""After each acknowledged write no read that starts later returns the older version, at no gateway.

Two gateways over one inventory and a Redis Cluster; writers and readers hammer one item, and an inventory that answers
late now and then, so that old answers arrive after the news. The negative control runs the same at two gateways that
keep what they get whatever has changed meanwhile: this file, run as a program, is the command line made so.
"""

import asyncio
import random
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import aiohttp
import msgspec
import pytest

from tests.faults.proxy import Proxy, before
from tests.platform import SHORT, Person, Platform, far, running
from tests.redis_cluster import RedisCluster

pytestmark = [pytest.mark.faults, pytest.mark.race, pytest.mark.timeout(180)]
READERS, WRITERS = 12, 3
LATE = 0.004
"""Seconds that the inventory's answers, and the questions to it, are held up at most."""


class Place(NamedTuple):
    platform: Platform
    proxy: Proxy


@pytest.fixture(scope="module")
def place(redis_cluster: RedisCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The first two gateways are as they are, the others without epochs."""
    told = SHORT | {"COMMONRY_CACHE_URL": redis_cluster.url, "COMMONRY_LOG_LEVEL": "warning"}
    platform = far(tmp_path_factory.mktemp("race"), told, {"gateway": 4})
    with ExitStack() as stack:
        proxy = stack.enter_context(before(platform.processes["inventory"].url))
        for number in ("", "-2", "-3", "-4"):
            gateway = platform.processes[f"gateway{number}"]
            gateway.env["COMMONRY_INVENTORY_URL"] = proxy.url
            if number in ("-3", "-4"):
                gateway.command[gateway.command.index("commonry")] = __name__
        yield Place(stack.enter_context(running(platform)), proxy)


class Race:
    """One item, what was acknowledged of it, and who was told something older."""

    def __init__(self, item: str, owner: Person, session: aiohttp.ClientSession) -> None:
        self.item, self.owner, self._session = item, owner, session
        self.acknowledged = 0
        self.writes = self.reads = self.kept = 0
        self.wrong: list[str] = []
        self.going = True

    async def write(self, gateway: str, number: int) -> None:
        headers = {"authorization": f"Bearer {self.owner.token}", "content-type": "application/json"}
        while self.going:
            body = msgspec.json.encode({"description": f"writer {number}, {self.writes}"})
            url = f"{gateway}/api/v1/items/{self.item}"
            async with self._session.patch(url, data=body, headers=headers) as got:
                assert got.status == 200, await got.text()
                made = msgspec.json.decode(await got.read())
            self.acknowledged = max(self.acknowledged, made["version"])
            self.writes += 1
            await asyncio.sleep(random.uniform(0, 0.02))

    async def read(self, gateway: str, number: int) -> None:
        """Read the item, every third reader conditionally, another the list of its owner's items."""
        in_list, known, tag = number % 3 == 1, 0, ""
        path = f"items?owner={self.owner.id}" if in_list else f"items/{self.item}"
        while self.going:
            least, headers = self.acknowledged, {"if-none-match": tag} if tag else {}
            async with self._session.get(f"{gateway}/api/v1/{path}", headers=headers) as got:
                body, how = await got.read(), got.headers.get("cache-status", "")
                assert got.status in (200, 304), body
            if got.status == 200:
                said = msgspec.json.decode(body)
                known = said["data"][0]["version"] if in_list else said["version"]
                tag = got.headers["etag"] if number % 3 == 2 else ""
            self.reads += 1
            self.kept += "hit" in how
            if known < least:
                self.wrong.append(f"{path} {got.status} {how}: {known} when {least} was acknowledged")
            await asyncio.sleep(random.uniform(0, 0.003))


async def raced(place: Place, *gateways: str, seconds: float) -> Race:
    """What came of a race at these gateways."""
    urls = [place.platform.processes[name].url for name in gateways]
    owner = await place.platform.person("owner")
    made = await owner.must("POST", "/items", _thing())
    proxy, until = place.proxy, time.monotonic() + seconds
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        race = Race(made["id"], owner, session)
        tasks = [asyncio.create_task(race.read(urls[n % 2], n // 2)) for n in range(READERS)]
        tasks += [asyncio.create_task(race.write(urls[n % 2], n)) for n in range(WRITERS)]
        try:
            while time.monotonic() < until:
                proxy.latency = random.choice((0.0, random.uniform(0, LATE)))
                done, _ = await asyncio.wait(tasks, timeout=0.05)
                assert not done, [t.exception() for t in done]
        finally:
            race.going, proxy.latency = False, 0.0
            await asyncio.gather(*tasks, return_exceptions=True)
    await owner.close()
    print(f"{race.writes} writes, {race.reads} reads, {race.kept} of them kept ones, {len(race.wrong)} wrong")
    assert race.writes > 10 * seconds
    assert race.kept > race.reads / 10, "they do remember, or it would prove nothing"
    return race


@pytest.mark.parametrize("seconds", [10, pytest.param(30, marks=pytest.mark.long)])
async def test_no_read_returns_what_is_older_than_an_acknowledged_write(place: Place, seconds: float) -> None:
    """The promise, over two gateways, for the item, its list, and the answer that nothing has changed."""
    race = await raced(place, "gateway", "gateway-2", seconds=seconds)
    assert race.wrong == []


async def test_without_epochs_reads_are_wrong(place: Place) -> None:
    """The negative control: purges are heard and acknowledged, but what was asked for before is kept after them."""
    race = await raced(place, "gateway-3", "gateway-4", seconds=5)
    print(*race.wrong[:3], *race.wrong[-3:], sep="\n")
    assert race.wrong


def _thing() -> dict[str, Any]:
    return {
        "title": "A thing",
        "category": "other",
        "location": {"lat": 52.5, "lon": 13.4, "label": "Here"},
        "price": {"amount": 500, "currency": "EUR", "per": "hour"},
    }


def without_epochs() -> None:
    """Make this process's gateway forget which message is newer than what it asked for.

    It takes nothing from the other gateways either: what they share is worthless after a purge by its epoch alone, and
    without epochs every read would be wrong for that reason.
    """
    from commonry.gateway.caching.entries import Entries
    from commonry.gateway.caching.layers import Layers

    async def nothing(*_: object) -> None:
        pass

    Entries.is_current = lambda *_: True
    Layers.flight = lambda self, target: self._flights.get(target)
    Layers.from_others = nothing


if __name__ == "__main__":
    from commonry.cli import main

    without_epochs()
    sys.exit(main())
