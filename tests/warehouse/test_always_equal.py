"""The warehouse's numbers are the services' own, whatever happens: random changes, late commits, runs that are killed.

After every run that ends, each view is compared count by count and sum by sum, and each mart with what plain Python
makes of the services' tables. The negative control: without looking back, a late commit is missed.
"""

import csv
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import commonry
from commonry.contracts.published import VIEWS
from commonry.warehouse.extract import reconcile, rows
from tests.warehouse.conftest import Warehouse
from tests.warehouse.directly import Services
from tests.warehouse.life import Life

KEYS = {
    "totals": (),
    "overview": ("month",),
    "utilisation": ("item",),
    "demand": ("words", "category"),
    "retention": ("cohort", "months_later"),
    "late": ("month", "category"),
    "money": ("month", "currency", "kind"),
    "impact": ("month", "category"),
}
FACTORS = Path(commonry.__file__).parent / "warehouse" / "impact.csv"
STEPS = 45
"""More than a run tells."""


@pytest.fixture
def life(town: Warehouse) -> Iterator[Life]:
    lived = Life(town.server, town.databases, seed=random.randrange(10**6))
    yield lived
    lived.close()


def views_are_equal(town: Warehouse) -> list[str]:
    """In words, what the warehouse has otherwise than the services, right now."""
    found: list[str] = []
    for view in VIEWS:
        with rows.reading(town.urls[view.service]) as connection:
            expected = reconcile.of_service(connection, view)
        found += reconcile.differences(view, expected, reconcile.of_source(town.folder.source, view))
    return found


def marts_are_equal(town: Warehouse, life: Life) -> None:
    status = town.folder.status()
    assert status is not None
    assert status.as_of is not None
    services = Services(life.db, status.as_of)
    with FACTORS.open() as file:
        factors = {row["category"]: row for row in csv.DictReader(file)}
    for name, key in KEYS.items():
        made = services.impact(factors) if name == "impact" else getattr(services, name)()
        expected, found = by(key, made), by(key, town.mart(name))
        assert found.keys() == expected.keys(), name
        for which, row in expected.items():
            for column, value in row.items():
                assert same(found[which][column], value), (name, which, column, found[which][column], value)


def by(key: tuple[str, ...], made: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    return {tuple(row[column] for column in key): row for row in made}


def same(a: Any, b: Any) -> bool:
    return math.isclose(a, b, abs_tol=0.011) if isinstance(a, float) and b is not None else a == b


def live(town: Warehouse, life: Life, rounds: int, seed: int) -> int:
    """Rounds of life, with runs at random, killed at random; how many were killed."""
    chance, kills = random.Random(seed), 0
    for _ in range(rounds):
        life.step(chance.randint(5, 60))
        if chance.random() < 0.5:
            life.late()
        if chance.random() < 0.4:
            kills += town.killed(at_step=chance.randint(1, STEPS))
        elif chance.random() < 0.3:
            kills += town.killed(after=chance.uniform(0.1, 3))
        life.step(chance.randint(0, 20))
        town.run()
        life.commit_late()
        town.run()
        assert views_are_equal(town) == []
        marts_are_equal(town, life)
    return kills


@pytest.mark.timeout(240)
def test_after_a_little_life_everything_is_equal(town: Warehouse, life: Life) -> None:
    life.step(250)
    town.run()
    marts_are_equal(town, life)
    kills = live(town, life, rounds=2, seed=random.randrange(10**6))
    kills += town.killed(at_step=3) + town.killed(at_step=12)
    assert kills >= 2
    town.run()
    assert views_are_equal(town) == []
    marts_are_equal(town, life)


@pytest.mark.long
@pytest.mark.faults
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(3))
def test_after_a_long_life_everything_is_equal(town: Warehouse, life: Life, seed: int) -> None:
    life.step(500)
    assert live(town, life, rounds=15, seed=seed) > 0


@pytest.mark.faults
@pytest.mark.timeout(240)
def test_killed_at_every_step_it_is_whole_afterwards(town: Warehouse, life: Life) -> None:
    life.step(60)
    for step in (1, 5, 11, 13, 16):  # while it reads the first time, merges, notes cursors, and builds
        town.killed(at_step=step)
    town.run()
    assert views_are_equal(town) == []
    before = town.folder.current()
    life.step(60)
    for step in (2, 11, 12, 14, 25):
        assert town.killed(at_step=step)
        assert town.folder.current() == before  # yesterday's numbers stay
        life.step(10)
    town.run()
    assert views_are_equal(town) == []
    marts_are_equal(town, life)


@pytest.mark.timeout(240)
def test_without_looking_back_a_late_commit_is_missed_and_the_comparison_names_it(town: Warehouse, life: Life) -> None:
    for lag, missed in ((0, True), (60, False)):
        town.told(etl_lag_seconds=lag)
        town.run()
        life.late()
        for _ in range(3):
            life.book()
            life.search()
            life.join()
            life.list_item()
        life.pay()
        town.run()
        life.commit_late()
        town.run()
        assert bool(views_are_equal(town)) == missed
    # The same again, and this time somebody compares: what is missing is named, and read.
    town.told(etl_lag_seconds=0)
    life.late()
    life.book()
    town.run()
    life.commit_late()
    status = town.run(compare=True)
    assert any(words.startswith("bookings.bookings: rows is ") for words in status.differences)
    assert views_are_equal(town) == []
    assert town.run(compare=True).differences == []
