"""P4 and P1 under Patroni: what was acknowledged survives the loss of the primary's machine, and work on it is a pause.

The negative control is in `test_partition.py`.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.faults.test_kill import Crowd, booking
from tests.ha.patroni import Patroni, patroni
from tests.ha.servers import Room
from tests.inside import check, until_at_rest
from tests.platform import OWNERS, Platform, started

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]
CLIENTS = 8
ENOUGH = 40
"""Bookings that show that all is well again."""
LOST_MACHINE, SWITCHED_OVER = 30.0, 5.0
"""Seconds without a booking, at most."""


@pytest.fixture(scope="module")
def cluster(place: Room) -> Iterator[Patroni]:
    with patroni(place) as running:
        running.create_databases(*OWNERS)
        yield running


@pytest.fixture(scope="module")
def platform(cluster: Patroni, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    url = cluster.url("{service}")
    with started("far", tmp_path_factory.mktemp("over-patroni"), COMMONRY_DATABASE_URL=url) as running:
        yield running


class Pulse:
    """When bookings were acknowledged, to a few hundredths of a second."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd, self.beats = crowd, [time.monotonic()]

    async def watch(self) -> None:
        known = 0
        while True:
            if len(self.crowd.acknowledged) > known:
                known = len(self.crowd.acknowledged)
                self.beats.append(time.monotonic())
            await asyncio.sleep(0.02)

    def longest_pause(self, since: float) -> float:
        """Seconds without a booking, from the last one before that instant on."""
        first = max(i for i, at in enumerate(self.beats) if at <= since)
        return max(b - a for a, b in itertools.pairwise(self.beats[first:]))

    async def until_well(self, seconds: float) -> None:
        """Until enough more are acknowledged."""
        enough = len(self.crowd.acknowledged) + ENOUGH
        async with asyncio.timeout(seconds):
            while len(self.crowd.acknowledged) < enough:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def watched(platform: Platform) -> AsyncIterator[Pulse]:
    """A crowd that books through the block, and all promises at its end."""
    async with booking(platform, CLIENTS) as crowd:
        pulse = Pulse(crowd)
        watching = asyncio.create_task(pulse.watch())
        await pulse.until_well(60)
        try:
            yield pulse
        finally:
            watching.cancel()
    await until_at_rest(platform, 90)
    states = check(platform)
    assert crowd.server_errors == []
    assert {i for i in crowd.acknowledged if states.get(i) not in ("confirmed", "requested")} == set()
    assert all(len(ids) == 1 for ids in crowd.by_key.values()), "one key, two bookings"
    print(f"{len(crowd.acknowledged)} bookings acknowledged, none lost")


async def test_the_primarys_machine_is_lost(cluster: Patroni, platform: Platform) -> None:
    async with watched(platform) as pulse:
        lost, at = await asyncio.to_thread(cluster.primary), time.monotonic()
        await asyncio.to_thread(lost.kill)
        await pulse.until_well(120)
        pause = pulse.longest_pause(at)
        print(f"a machine lost: {pause:.1f} s without a booking")
        lost.start()
        await asyncio.to_thread(cluster.until_well)
        assert pause < LOST_MACHINE


async def test_the_primary_is_moved_and_moved_again(cluster: Patroni, platform: Platform) -> None:
    pauses, calm = [], 0.0
    async with watched(platform) as pulse:
        for _ in range(2):
            calm_since = time.monotonic()
            await pulse.until_well(60)
            calm = max(calm, pulse.longest_pause(calm_since))
            was, at = await asyncio.to_thread(cluster.primary), time.monotonic()
            said = await asyncio.to_thread(cluster.switch_over)
            await pulse.until_well(120)
            pauses.append(pulse.longest_pause(at))
            print(f"{said.strip()}: {pauses[-1]:.1f} s without a booking")
            assert (await asyncio.to_thread(cluster.primary)).name != was.name
            await asyncio.to_thread(cluster.until_well)
    assert max(pauses) < SWITCHED_OVER + calm, f"{pauses}, and {calm:.1f} s when nothing was the matter"
