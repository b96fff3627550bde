"""P4: what was acknowledged survives kill -9 of anything at any moment, and every saga ends by itself."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.inside import check, rows, until_at_rest
from tests.platform import Person, Platform, started

CLIENTS = 20
KILLS = 30
CARDS = ("pm_card_visa", "pm_card_visa", "pm_card_visa", "pm_card_visa_chargeDeclined", "pm_sandbox_captureFails")
FIRST = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=3)


class Crowd:
    """Clients that book without end, and remember what they were told."""

    def __init__(self, people: list[Person], items: list[str], cards: tuple[str, ...] = CARDS) -> None:
        self.people, self.items, self.cards = people, items, cards
        self.acknowledged: dict[str, str] = {}
        self.by_key: dict[str, set[str]] = {}
        self.server_errors: list[Any] = []
        self.chance = random.Random(7)
        self.stopped = False

    async def client(self, person: Person) -> None:
        """Book; after a cut connection, ask again with the same key until there is an answer."""
        number = 0
        while not self.stopped:
            number += 1
            key, body = f"{person.id}-{number}-{id(self)}", self._wish()
            while not self.stopped and not await self._asked(person, key, body):
                await asyncio.sleep(0.05)

    def _wish(self) -> dict[str, Any]:
        start = FIRST + timedelta(hours=self.chance.randint(0, 4000))
        return {
            "item_id": self.chance.choice(self.items),
            "from": start.isoformat(),
            "to": (start + timedelta(hours=self.chance.randint(1, 6))).isoformat(),
            "payment_method": self.chance.choice(self.cards),
        }

    async def _asked(self, person: Person, key: str, body: dict[str, Any]) -> bool:
        try:
            status, answer, _ = await person.with_key(key).call("POST", "/bookings", body)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
        if status == 201:
            self.acknowledged[answer["id"]] = answer["state"]
            self.by_key.setdefault(key, set()).add(answer["id"])
        if status >= 500 and status != 503:
            self.server_errors.append(answer)
        return status not in (202, 503)


@asynccontextmanager
async def booking(platform: Platform, clients: int, **more: Any) -> AsyncIterator[Crowd]:
    """A crowd that books on this platform until the end of the block."""
    people = [await Person(platform.url, f"c{n}").register() for n in range(4)]
    owner = await Person(platform.url, "owner").register()
    crowd = Crowd(people, [await _item(owner, n) for n in range(6)], **more)
    tasks = [asyncio.create_task(crowd.client(people[n % 4])) for n in range(clients)]
    try:
        yield crowd
    finally:
        crowd.stopped = True
        done = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(p.close() for p in (*people, owner)))
    assert not [d for d in done if isinstance(d, BaseException)]


async def _item(owner: Person, number: int) -> str:
    body = {
        "title": f"Thing {number}",
        "category": "other",
        "location": {"lat": 52.5, "lon": 13.4, "label": "Here"},
        "price": {"amount": 500, "currency": "EUR", "per": "hour"},
        "quantity": 1 + number % 3,
        "booking_mode": "request" if number == 5 else "instant",
    }
    return (await owner.must("POST", "/items", body))["id"]


def postgres_of(folder: Path) -> list[int]:
    """Processes of the PostgreSQL that keeps its data below `folder`, found by the files they have open or are run
    on.
    """
    running = psutil.process_iter(["name", "cwd"])
    ours = (p for p in running if str(folder) in (p.info["cwd"] or ""))
    return [p.pid for p in ours if (p.info["name"] or "").startswith("postgres")]


@pytest.mark.faults
@pytest.mark.timeout(400)
async def test_p4_killed_thirty_times_under_load_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    chance = random.Random(11)
    with started("near", tmp_path) as platform:
        process = platform.processes["platform"]
        async with booking(platform, CLIENTS) as crowd:
            for _ in range(KILLS):
                await asyncio.sleep(chance.uniform(0.05, 0.9))  # a random moment is the point here
                process.kill()
                process.start()
                await asyncio.to_thread(process.wait)
        await until_at_rest(platform, 60)
        states = check(platform)
        assert crowd.server_errors == []
        assert len(crowd.acknowledged) > KILLS, "hardly anything was booked"
        assert {i for i in crowd.acknowledged if states.get(i) not in ("confirmed", "requested")} == set()
        assert all(len(ids) == 1 for ids in crowd.by_key.values()), "one key, two bookings"
    assert postgres_of(tmp_path) == []


@pytest.mark.faults
@pytest.mark.timeout(200)
async def test_p4_postgresql_killed_under_load(tmp_path: Path) -> None:
    with started("near", tmp_path) as platform:
        async with booking(platform, 8) as crowd:
            for _ in range(3):
                await asyncio.sleep(0.7)  # let it work for a while
                servers = [psutil.Process(pid) for pid in postgres_of(tmp_path)]
                (postmaster,) = [p for p in servers if p.ppid() not in {s.pid for s in servers}]
                postmaster.kill()
                before = len(crowd.acknowledged)
                async with asyncio.timeout(20):
                    while len(crowd.acknowledged) <= before:
                        await asyncio.sleep(0.05)
        await until_at_rest(platform, 60)
        states = check(platform)
        assert crowd.server_errors == []
        assert {i for i in crowd.acknowledged if states.get(i) not in ("confirmed", "requested")} == set()


@pytest.mark.faults
@pytest.mark.timeout(200)
async def test_a_replica_killed_for_good_leaves_its_sagas_to_the_other(tmp_path: Path) -> None:
    at_work = (
        "SELECT count(DISTINCT holder) AS n FROM bookings WHERE step IN ('authorise', 'capture', 'confirm', 'hold')"
    )
    with started("far", tmp_path, COMMONRY_PROVIDER_SECONDS="2") as platform:
        async with booking(platform, CLIENTS, cards=("pm_sandbox_slow",)) as crowd:
            while rows(platform, "bookings", at_work)[0]["n"] < CLIENTS // 2:
                await asyncio.sleep(0.02)
            platform.processes["bookings"].kill()
            stranded = {
                str(r["id"])
                for r in rows(platform, "bookings", "SELECT id FROM bookings WHERE lease_until IS NOT NULL")
            }
            crowd.stopped = True
        started_at = time.monotonic()
        await until_at_rest(platform, 30)
        states = check(platform)
        assert stranded
        assert {states[i] for i in stranded} <= {"confirmed", "failed", "requested"}
        assert {i for i in crowd.acknowledged if states.get(i) not in ("confirmed", "requested")} == set()
        assert time.monotonic() - started_at < 30
