"""P8: from one release to the next and back, on one set of databases, while people book: not one write fails.

Two replicas of everything, on the same ports in every release. Databases are migrated while the old release runs; then
replica by replica ends, by SIGTERM and nothing else, and comes back as the other release; and so back again.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.inside import check, rows, until_at_rest
from tests.platform import OWNERS, SERVED, Platform, far, near, running
from tests.upgrade import releases
from tests.upgrade.writers import Rotation, Writers, writing

TWO = dict.fromkeys(SERVED, 2)
SIDE_BY_SIDE = 40
"""Writes that are made while both releases run."""
PATIENCE = 60.0


class World(NamedTuple):
    """A running platform, the gateways in use, and who writes."""

    platform: Platform
    rotation: Rotation
    writers: Writers


def migrated(platform: Platform, tree: Path) -> str:
    """What `commonry migrate` of that release says."""
    told = {k: v for k, v in platform.env.items() if k.startswith("COMMONRY_")} | {"PYTHONPATH": str(tree)}
    command = [sys.executable, "-m", "commonry", "migrate"]
    return subprocess.run(command, env=os.environ | told, check=True, capture_output=True, text=True).stdout


async def become(world: World, tree: Path, names: Sequence[str]) -> None:
    """These processes end and come back as another release; over when everybody sends them requests again."""
    await asyncio.gather(*(_become(world, tree, name) for name in names))
    await _in_touch(world.platform)
    for name in names:
        if name.startswith("gateway"):
            world.rotation.again(world.platform.processes[name].url)


async def _become(world: World, tree: Path, name: str) -> None:
    process = world.platform.processes[name]
    if name.startswith("gateway"):
        await world.rotation.without(process.url)
    assert await asyncio.to_thread(process.kill, signal.SIGTERM) == 0, f"{name} did not end well"
    process.env = process.env | {"PYTHONPATH": str(tree)}
    process.start()
    await asyncio.to_thread(process.wait)


async def _in_touch(platform: Platform) -> None:
    """Wait until all are ready and nobody leaves anybody alone: what an operator waits for before going on."""
    async with asyncio.timeout(PATIENCE):
        for process in platform.processes.values():
            while not await asyncio.to_thread(_is_well, process.url):
                await asyncio.sleep(0.05)


def _is_well(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5):
            pass
        with urllib.request.urlopen(f"{url}/metrics", timeout=5) as metrics:
            said = metrics.read().decode()
    except (urllib.error.URLError, OSError):
        return False
    return not re.search(r"^commonry_breaker_open\{.*\} 1\.0$", said, re.MULTILINE)


async def roll(world: World, tree: Path, *, at_once: bool) -> None:
    """All processes of the first replica, then of the second: one after the other, or a replica's all at once."""
    for replica in ("", "-2"):
        services = [f"{name}{replica}" for name in OWNERS]
        for some in [services] if at_once else [[name] for name in services]:
            await become(world, tree, some)
        await world.writers.progress(SIDE_BY_SIDE)
    for replica in ("", "-2"):
        await become(world, tree, [f"gateway{replica}"])
        await world.writers.progress(SIDE_BY_SIDE // 2)


async def checked(world: World) -> None:
    """Everything that was answered is so, and everything that must hold does."""
    platform, writers = world.platform, world.writers
    assert writers.failures == []
    await until_at_rest(platform, 30)
    states = check(platform)
    assert len(writers.acknowledged) > 200, "hardly anything was booked"
    assert {k: states.get(k) for k in writers.acknowledged} == writers.acknowledged
    assert len(states) == len(writers.acknowledged), "something was booked that nobody knows of"
    assert set(writers.acknowledged.values()) == {"confirmed", "cancelled"}
    sums = "SELECT currency, sum(amount) AS n FROM postings GROUP BY currency"
    assert {row["currency"]: int(row["n"]) for row in rows(platform, "payments", sums)} == {"EUR": 0}


async def upgraded_and_back(tmp_path: Path, before: Path, after: Path, *, at_once: bool) -> None:
    with running(far(tmp_path, {"PYTHONPATH": str(before), "COMMONRY_LOG_LEVEL": "warning"}, TWO)) as platform:
        urls = [platform.processes[name].url for name in ("gateway", "gateway-2")]
        rotation = Rotation(urls)
        async with writing(rotation, platform.url) as writers:
            world = World(platform, rotation, writers)
            await writers.progress(SIDE_BY_SIDE)
            assert "Migrated " in await asyncio.to_thread(migrated, platform, after)
            await writers.progress(SIDE_BY_SIDE)
            await roll(world, after, at_once=at_once)
            await roll(world, before, at_once=at_once)
        await checked(world)


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_from_the_last_release_to_this_one_and_back(tmp_path: Path) -> None:
    before, after = releases.old(tmp_path), releases.this(tmp_path)
    await upgraded_and_back(tmp_path, before, after, at_once=True)


@pytest.mark.timeout(120)
async def test_everything_in_one_process_and_back_in_the_same_folder(tmp_path: Path) -> None:
    """`commonry up` migrates by itself, and the release before runs on what it finds then."""
    before, after = releases.old(tmp_path), releases.this(tmp_path)
    with running(near(tmp_path, {"PYTHONPATH": str(before)})) as platform:
        process, owner = platform.processes["platform"], await platform.person("owner")
        borrower = await platform.person("borrower")
        place = {"lat": 52.5, "lon": 13.4, "label": "Here"}
        item = await owner.must("POST", "/items", {"title": "A thing", "category": "other", "location": place})
        booked: list[str] = []
        for day, tree in enumerate((before, after, before), start=2):
            assert process.kill(signal.SIGTERM) == 0
            process.env = process.env | {"PYTHONPATH": str(tree)}
            process.restart()
            await borrower.close()
            borrower._session = None  # no client keeps a connection to what has ended
            start = datetime.now(UTC) + timedelta(days=day)
            period = {"from": start.isoformat(), "to": (start + timedelta(hours=2)).isoformat()}
            made = await borrower.must("POST", "/bookings", {"item_id": item["id"], **period})
            booked.append(made["id"])
            assert [(await borrower.get(f"/bookings/{id}"))["state"] for id in booked] == ["confirmed"] * len(booked)
        (newest,) = rows(platform, "bookings", "SELECT version_num FROM alembic_version")
        assert newest["version_num"] > "0001", "the release between migrated"
        await asyncio.gather(owner.close(), borrower.close())


@pytest.mark.long
@pytest.mark.faults
@pytest.mark.timeout(900)
async def test_from_this_release_to_the_following_and_back(tmp_path: Path) -> None:
    before, after = releases.this(tmp_path), releases.following(tmp_path)
    await upgraded_and_back(tmp_path, before, after, at_once=False)
