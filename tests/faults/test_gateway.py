"""P5: a service whose process is killed, hangs, or cannot be reached, seen from the gateway under load.

Two gateways over two inventories. The first gateway knows both: one directly, one behind a proxy. The second knows a
single one, behind a proxy of its own. Everybody shares a Redis Cluster.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import aiohttp
import pytest

from tests.faults.crowd import crowd, settled, until
from tests.faults.proxy import Proxy, before
from tests.platform import SHORT, Platform, Process, far, running
from tests.redis_cluster import RedisCluster

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]
CALM, BROKEN, AFTER = 1.2, 3.2, 1.5
"""Seconds of load before something breaks, while it is broken, and after it is back."""
OPENS, RECOVERS, SLOW_START = 2.0, 5.0, 0.5
REFUSED_WITHIN = 0.05
READS = ("item", "free", "search", "mine")
"""One that hangs is given to another replica within 1.5 s, and none is sent to find out whether the first is back."""
CHECK = "GET /healthz"
KEPT = {"item": 8, "free": 4, "mine": 2, "nothing": 4, "search": 3, "offer": 1}


class Place(NamedTuple):
    """The platform, and the proxies before `inventory-2`: the first gateway's, the second's."""

    platform: Platform
    shared: Proxy
    only: Proxy

    @property
    def urls(self) -> tuple[str, str]:
        return self.platform.url, self.platform.processes["gateway-2"].url


class Fault(NamedTuple):
    """A way to break an inventory, and to bring it back; instants are those at which it was done."""

    process: Process
    proxy: Proxy
    name: str

    async def begin(self) -> float:
        at = time.monotonic()
        if self.name == "kill":
            self.proxy.become("refuse")
            self.process.kill()
        elif self.name == "stop":
            self.process.pause()
        else:
            self.proxy.become("hole")
        return at

    async def end(self) -> float:
        if self.name == "kill":
            self.process.start()
            await asyncio.to_thread(self.process.wait)
            self.proxy.become("pass")
        elif self.name == "stop":
            self.process.go_on()
        else:
            self.proxy.become("pass")
        return time.monotonic()


@pytest.fixture(scope="module")
def place(redis_cluster: RedisCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    told = SHORT | {"COMMONRY_CACHE_URL": redis_cluster.url}
    platform = far(tmp_path_factory.mktemp("gateways"), told, {"gateway": 2, "inventory": 2})
    one, two = (platform.processes[name].url for name in ("inventory", "inventory-2"))
    with ExitStack() as stack:
        shared, only = stack.enter_context(before(two)), stack.enter_context(before(two))
        for process in platform.processes.values():
            process.env["COMMONRY_INVENTORY_URL"] = f"{one},{shared.url}"
        platform.processes["gateway-2"].env["COMMONRY_INVENTORY_URL"] = only.url
        yield Place(stack.enter_context(running(platform)), shared, only)


@pytest.mark.parametrize("name", ["kill", "stop", "hole"])
async def test_one_replica_of_two_is_lost_and_at_most_one_request_in_a_thousand_fails(place: Place, name: str) -> None:
    """kill -9, SIGSTOP, a black hole: ≤ 0.1 % of the requests of 64 clients fail, and all is well once it is back."""
    fault = Fault(place.platform.processes["inventory-2"], place.shared, name)
    gateway = place.urls[0]
    await settled(*place.urls)
    async with crowd(gateway) as people:
        await asyncio.sleep(CALM)
        began = await fault.begin()
        await asyncio.sleep(BROKEN)
        back = await fault.end()
        await until(lambda: _closed(gateway, place.shared), "its breaker is closed again", seconds=RECOVERS)
        recovered = time.monotonic()
        await asyncio.sleep(AFTER)
    failed = people.failures()
    usual, meanwhile = people.slowness(0, began), people.slowness(began, back)
    said = f"{name}: {len(failed)} of {len(people.calls)} failed, p95 {usual:.3f} s, {meanwhile:.3f} s meanwhile"
    print(f"{said}, closed after {recovered - back:.2f} s, {dict(people.statuses)}\n{people.worst(6)}")
    assert len(failed) <= len(people.calls) / 1000, people.worst()
    assert all(c.began + c.took < back for c in people.between(0, back - BROKEN / 2, *READS)), people.worst()
    assert people.failures(back) == [], people.worst()
    assert not people.too_old()
    assert people.refused() == [], people.worst()
    assert people.slowness(recovered) < 3 * usual + 0.2, people.worst()


@pytest.mark.parametrize("name", ["kill", "stop", "hole"])
async def test_the_only_replica_is_lost(place: Place, name: str) -> None:
    """The breaker opens within 2 s, status and metrics say so; what is kept is given on, stale where it must be; other
    requests are 503 within 50 ms; it is used again within 5 s of its return, having seen one probe and no flood.
    """
    fault = Fault(place.platform.processes["inventory-2"], place.only, name)
    gateway = place.urls[1]
    await settled(*place.urls)
    async with crowd(gateway, mix=KEPT) as people:
        await asyncio.sleep(CALM)
        clock, began = datetime.now(UTC), await fault.begin()
        await until(lambda: _opened(gateway, place.only), "its breaker is open", seconds=10)
        opened = time.monotonic()
        assert (await _status(gateway))["services"]["inventory"]["breaker"] in ("open", "half-open")
        await asyncio.sleep(BROKEN)
        ended, over = time.monotonic(), datetime.now(UTC)
        back = await fault.end()
        await until(lambda: _closed(gateway, place.only), "its breaker is closed again", seconds=15)
        recovered = time.monotonic()
        await asyncio.sleep(AFTER)
        assert (await _status(gateway))["services"]["inventory"]["breaker"] == "closed"
    at = _noted(place, place.only, since=clock)
    took_to_open, own = (at - clock).total_seconds(), _own_times(place, at, over)
    kept = people.between(began, ended, "item", "free")
    others = people.between(opened + 0.05, ended - 0.05, "nothing", "offer", "search")
    refused = [c for c in others if c.kind != "search" or c.status == 503]  # a list may be kept for two seconds
    took = sorted(c.took for c in refused)
    first = place.only.answered(ended, CHECK)
    probes = _reads(place.only.requests(ended, first))
    eager = _reads(place.only.requests(first, first + 0.1))
    middle, most, slowest = took[len(took) // 2], took[int(0.95 * len(took))], max(c.took for c in kept)
    quickly = sorted(c.took for c in kept if c.began > opened)
    print(
        f"{name}: open after {took_to_open:.2f} s, closed {recovered - back:.2f} s after it was back;"
        f" {len(kept)} kept, the slowest in {slowest:.2f} s, when open in {quickly[-1]:.2f} s;"
        f" {len(refused)} refused in {middle:.4f} s, p95 {most:.4f} s, the slowest {took[-1]:.4f} s, of its own in p95"
        f" {own[int(0.95 * len(own))]:.4f} s, the slowest {own[-1]:.4f} s;"
        f" probes {probes}, {len(eager)} in 0.1 s then"
        f"\n{dict(people.statuses)}\n{people.worst(10)}"
    )
    assert took_to_open <= OPENS
    assert [c for c in kept if c.failed] == [], people.worst()
    assert quickly[int(0.95 * len(quickly))] < 0.3, people.worst()
    assert any("origin-away" in c.said for c in kept), "stale answers were given, and said so"
    assert {c.status for c in refused} == {503}, people.worst()
    assert middle <= REFUSED_WITHIN
    assert own[int(0.95 * len(own))] <= REFUSED_WITHIN
    assert took[-1] < 1.0, people.worst()
    assert first < recovered
    assert probes in ([CHECK], []), "one at most, and no person's; what was answered may have been sent before"
    assert recovered - back <= RECOVERS
    assert people.failures(recovered + SLOW_START) == [], people.worst()
    assert not people.too_old()


def _reads(requests: list[str]) -> list[str]:
    """Those that are for the service's sake: not what we ask it ourselves for its status."""
    return [r for r in requests if r.startswith("GET ") and not r.endswith("/readyz")]


def _log(place: Place, word: str) -> list[dict[str, Any]]:
    """Lines of the second gateway's log with this word."""
    return [json.loads(line) for line in place.platform.output("gateway-2").splitlines() if word in line]


def _noted(place: Place, proxy: Proxy, *, since: datetime) -> datetime:
    """When the breaker of the replica behind the proxy opened, by the gateway's own log."""
    events = [
        e
        for e in _log(place, '"breaker"')
        if e.get("replica") == proxy.url.partition("://")[2] and e["state"] == "open"
    ]
    return next(at for at in (datetime.fromisoformat(e["timestamp"]) for e in events) if at >= since)


def _own_times(place: Place, since: datetime, until: datetime) -> list[float]:
    """How many seconds the gateway itself took for each 503 asked for then: not what clients waited for the CPU."""
    refused = [(datetime.fromisoformat(e["timestamp"]), e["ms"] / 1000) for e in _log(place, '"status":503')]
    return sorted(took for at, took in refused if since + timedelta(seconds=took + 0.05) < at < until)


async def _status(gateway: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(f"{gateway}/api/v1/status") as got:
        return await got.json()


async def _gauge(gateway: str, proxy: Proxy) -> float:
    """`commonry_breaker_open` of the replica behind this proxy."""
    async with aiohttp.ClientSession() as session, session.get(f"{gateway}/metrics") as got:
        page = await got.text()
    line = next(x for x in page.splitlines() if x.startswith("commonry_breaker_open{") and str(proxy.port) in x)
    assert 'service="inventory"' in line
    return float(line.rpartition(" ")[2])


async def _opened(gateway: str, proxy: Proxy) -> bool:
    return await _gauge(gateway, proxy) == 1


async def _closed(gateway: str, proxy: Proxy) -> bool:
    said = (await _status(gateway))["services"]["inventory"]
    return said["breaker"] == "closed" and all(r["breaker"] == "closed" for r in said["replicas"])
