"""The negative control of `test_failover.py`: a primary that is cut off from its peers, but not from its clients.

Without synchronous replication it goes on acknowledging what nobody else ever gets, and the check for lost bookings
must see that. With it, it waits, and nothing is lost.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from commonry.kit.db import Database, value
from commonry.kit.problems import Unavailable
from tests.faults.test_kill import booking
from tests.ha.lines import CLIENTS, PEERS, Lines, laid
from tests.ha.patroni import NAMES, Patroni, patroni
from tests.ha.servers import Server, room
from tests.ha.test_failover import Pulse
from tests.inside import check, rows, until_at_rest
from tests.needs import need
from tests.platform import OWNERS, Platform, started

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(500)]
WRITERS = 8
VANISHED = 15.0
"""Seconds, of which the timers take 6 to 10: less than `LONGEST`, which a statement may take."""


@pytest.mark.parametrize("synchronous", [False, True], ids=["asynchronous", "synchronous"])
async def test_the_primary_is_cut_off_from_its_peers(tmp_path: Path, synchronous: bool) -> None:
    _need_namespaces()
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


def _need_namespaces() -> None:
    for tool in ("ip", "iptables"):
        need(tool, "a line between nodes that can be cut")
    if os.geteuid() != 0:
        pytest.skip("network namespaces are root's")


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


@pytest.fixture
def far_away() -> Iterator[tuple[Server, Callable[[], None]]]:
    """A server at the end of a line, and what cuts that."""
    _need_namespaces()
    with laid(["away"], "va") as lines, room() as place:
        server = Server(place, "away", listen_addresses="*").make()
        with (server.data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all trust\n")
        server.host, server.inside = lines.of()["away"]
        yield server.start(), lambda: lines.cut("away")
        server.stop()


@pytest.mark.parametrize("asked", ["before", "after"])
async def test_a_server_that_vanished_without_a_word_is_given_up(
    far_away: tuple[Server, Callable[[], None]], asked: str
) -> None:
    """By the timers of TCP, long before a statement would have taken too long: whether it owes an answer by then, or
    is asked later."""
    server, cut = far_away
    db = Database(server.url(), name="away", size=1)
    await db.open()

    async def ask() -> None:
        async with db.read() as tx:
            await value(tx, "SELECT pg_sleep(%(seconds)s)", {"seconds": 60 if asked == "before" else 0})

    async with db.read() as tx:
        await value(tx, "SELECT 1")
    asking = asyncio.create_task(ask() if asked == "before" else asyncio.sleep(0))
    while asked == "before" and server.ask("SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sl' || 'eep%'") == []:
        await asyncio.sleep(0.05)
    cut()
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await (asking if asked == "before" else ask())
    took = time.monotonic() - began
    print(f"asked {asked} it was cut: given up after {took:.1f} s")
    assert took < VANISHED
    await db.close()
