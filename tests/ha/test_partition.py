"""The negative control of `test_failover.py`: a primary that is cut off from its peers, but not from its clients.

Without synchronous replication it goes on acknowledging what nobody else ever gets, and the check for lost bookings
must see that. With it, it waits, and nothing is lost.
"""

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.faults.test_kill import booking
from tests.ha.lines import CLIENTS, PEERS, Lines, laid
from tests.ha.patroni import NAMES, Patroni, patroni
from tests.ha.servers import room
from tests.ha.test_failover import Pulse
from tests.inside import check, rows, until_at_rest
from tests.needs import need
from tests.platform import OWNERS, Platform, started

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(500)]
WRITERS = 8


@pytest.mark.parametrize("synchronous", [False, True], ids=["asynchronous", "synchronous"])
async def test_the_primary_is_cut_off_from_its_peers(tmp_path: Path, synchronous: bool) -> None:
    for tool in ("ip", "iptables"):
        need(tool, "a line between nodes that can be cut")
    if os.geteuid() != 0:
        pytest.skip("network namespaces are root's")
    with (
        laid(NAMES, "sy" if synchronous else "as") as lines,
        room() as place,
        patroni(place, synchronous=synchronous, lines=lines.of(), host=PEERS, clients=CLIENTS) as cluster,
    ):
        cluster.create_databases(*OWNERS)
        with started("far", tmp_path, COMMONRY_DATABASE_URL=cluster.url("{service}")) as platform:
            lost = await _lost_in_a_partition(cluster, platform, lines)
            if synchronous:
                await until_at_rest(platform, 120)
                check(platform)
            assert (lost == set()) is synchronous


async def _lost_in_a_partition(cluster: Patroni, platform: Platform, lines: Lines) -> set[str]:
    """Bookings that were acknowledged, and that the new primary does not know as such."""
    async with booking(platform, WRITERS) as crowd:
        pulse = Pulse(crowd)
        watching = asyncio.create_task(pulse.watch())
        await pulse.until_well(90)
        was = await asyncio.to_thread(cluster.primary)
        before, at = len(crowd.acknowledged), time.monotonic()
        lines.cut(was.name)
        await asyncio.to_thread(cluster.until_moved, was)
        alone = len(crowd.acknowledged) - before
        await pulse.until_well(120)
        watching.cancel()
        lines.mend(was.name)
    states = {str(r["id"]): r["state"] for r in rows(platform, "bookings", "SELECT id, state FROM bookings")}
    lost = {i for i in crowd.acknowledged if states.get(i) not in ("confirmed", "requested")}
    pause = pulse.longest_pause(at)
    print(f"{alone} of {len(crowd.acknowledged)} booked on a primary alone, {pause:.1f} s pause, {len(lost)} lost")
    return lost
