"""Rule 5 under real load: many people want the same thing for the same time, through the gateway, over and over.

The negative control drops the constraint in a database of its own: the same race must then lend something twice, or
the test could not fail.
"""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.inside import TWICE, count
from tests.platform import Person, Platform, started

CLIENTS = 50
FIRST = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=2)


async def crowd(url: str) -> list[Person]:
    """People who are signed in. Ten accounts share the clients, so that hashing passwords is not what is measured."""
    people = await asyncio.gather(*(Person(url, f"racer{n}").register() for n in range(10)))
    return [people[n % 10] for n in range(CLIENTS)]


async def thing(owner: Person, units: int) -> str:
    """An item that many want."""
    body = {
        "title": "What everyone wants",
        "category": "other",
        "location": {"lat": 52.5, "lon": 13.4, "label": "Here"},
        "price": {"amount": 300, "currency": "EUR", "per": "hour"},
        "quantity": units,
        "horizon_days": 700,
    }
    return (await owner.must("POST", "/items", body))["id"]


async def race(people: list[Person], item: str, number: int) -> Counter[int]:
    """Everyone asks for the same hour at once; how often each status was answered."""
    start = FIRST + timedelta(hours=2 * number)
    body = {
        "item_id": item,
        "from": start.isoformat(),
        "to": (start + timedelta(hours=1)).isoformat(),
        "payment_method": "pm_card_visa",
    }
    answers = await asyncio.gather(*(p.call("POST", "/bookings", body) for p in people))
    refused = [a.json for a in answers if a.status != 201]
    assert {r["type"] for r in refused} <= {"/problems/item-taken"}, refused[:1]
    return Counter(a.status for a in answers)


async def races(platform: Platform, units: int, how_many: int) -> list[Counter[int]]:
    """Race after race on one item."""
    people = await crowd(platform.url)
    owner = await Person(platform.url, "owner").register()
    item = await thing(owner, units)
    try:
        return [await race(people, item, number) for number in range(how_many)]
    finally:
        await asyncio.gather(*(p.close() for p in {*people, owner}))


def how_many(platform: Platform, config: pytest.Config) -> int:
    """100 in one process; fewer where every call crosses processes on the same two cores."""
    return 100 if platform.mode == "near" else 25


@pytest.mark.race
@pytest.mark.timeout(400)
@pytest.mark.parametrize("units", [1, 3])
async def test_rule_5_exactly_as_many_win_as_there_are_units(platform: Platform, units: int, pytestconfig: Any) -> None:
    results = await races(platform, units, how_many(platform, pytestconfig))
    assert set(map(str, results)) == {str(Counter({409: CLIENTS - units, 201: units}))}
    assert count(platform, "inventory", TWICE) == 0


@pytest.mark.long
@pytest.mark.race
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("units", [1, 3])
async def test_rule_5_a_thousand_times(platform: Platform, units: int) -> None:
    results = await races(platform, units, 1000)
    assert all(r == Counter({409: CLIENTS - units, 201: units}) for r in results)


@pytest.mark.race
@pytest.mark.timeout(300)
async def test_negative_control_without_the_constraint_things_are_lent_twice(tmp_path: Path) -> None:
    with started("near", tmp_path) as platform:
        with psycopg.connect(platform.database("inventory"), autocommit=True) as conn:
            name = conn.execute("SELECT conname FROM pg_constraint WHERE contype = 'x'").fetchone()
            assert name is not None
            conn.execute(f"ALTER TABLE claims DROP CONSTRAINT {name[0]}")
        results = await races(platform, 1, 20)
        assert any(r[201] > 1 for r in results)
        assert count(platform, "inventory", TWICE) > 0
