"""Metrics of a whole platform, read as Prometheus reads them: there from the start, and right where nobody works."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import psycopg
import pytest

from commonry.bookings.rules.transitions import LIVE
from commonry.contracts.bookings import BookingState
from commonry.payments.metrics import KINDS
from tests.numbers import numbers
from tests.platform import Person, Platform, started

QUEUES = {"users": ["outbox"], "bookings": ["bookings", "outbox"], "payments": ["payments"]}
DUE = ("commonry_due_waiting", "commonry_due_oldest_seconds", "commonry_due_stuck", "commonry_due_failures_total")
LAST = {
    "users": "commonry_outbox_waiting users",
    "bookings": "commonry_saga_oldest_seconds",
    "payments": "commonry_due_waiting payments",
}
"""What each service looks at last."""
UNANSWERED = "UPDATE bookings SET due = now() - interval '40 s'"


async def page(url: str) -> dict[str, float]:
    """The numbers at one address."""
    scraper = Person(url)
    status, body, _ = await scraper.call("GET", "/metrics")
    await scraper.close()
    assert status == 200
    return numbers(body)


async def pages(platform: Platform) -> dict[str, dict[str, float]]:
    """The numbers of every process, as soon as each has looked at its database."""
    async with asyncio.timeout(60):
        while True:
            said = {name: await page(process.url) for name, process in platform.processes.items()}
            if all(looked(name, told) for name, told in said.items()):
                return said
            await asyncio.sleep(0.2)


def looked(name: str, said: dict[str, float]) -> bool:
    """Whether this process has looked at all of its databases."""
    service = name.partition("-")[0]
    return all(last in said for whose, last in LAST.items() if service in (whose, "platform"))


def asked(item: str) -> dict[str, Any]:
    begin = datetime.now(UTC) + timedelta(days=2)
    span = {"from": begin.isoformat(), "to": (begin + timedelta(days=1)).isoformat()}
    return {"item_id": item, "payment_method": "pm_card_visa", **span}


def check_all_is_zero(said: dict[str, dict[str, float]]) -> None:
    """What can be counted is there before it happens."""
    every = {key: value for told in said.values() for key, value in told.items()}
    wanted = [f"{name} {queue}" for queues in QUEUES.values() for queue in queues for name in DUE]
    wanted += [f"commonry_bookings_total {state}" for state in get_args(BookingState)]
    wanted += [f"commonry_sagas_running {state}" for state in LIVE]
    wanted += [f"commonry_money_minor_total EUR {kind}" for kind in KINDS.values()]
    wanted += ["commonry_outbox_waiting users", "commonry_outbox_waiting bookings"]
    wanted += ["commonry_saga_oldest_seconds", "commonry_passwords_waiting"]
    assert {name: every.get(name) for name in wanted} == dict.fromkeys(wanted, 0)
    for service in ("users", "inventory", "bookings", "payments"):
        assert every[f"commonry_database_pool_size {service}"] == 6
        assert f"commonry_database_pool_used {service}" in every


@pytest.mark.parametrize("mode", ["near", "far"])
async def test_what_nobody_works_on_shows(mode: str, tmp_path: Path) -> None:
    """Where every worker is stopped an unanswered request stays due, and each replica tells so."""
    with started(mode, tmp_path, COMMONRY_WORKERS="false") as platform:
        check_all_is_zero(await pages(platform))
        owner, borrower = await platform.person("owner"), await platform.person("borrower")
        place = {"lat": 52.5, "lon": 13.4, "label": "Here", "address": "Street 1"}
        price = {"amount": 1000, "currency": "EUR", "per": "day"}
        wanted = {
            "title": "A tandem",
            "category": "other",
            "location": place,
            "price": price,
            "booking_mode": "request",
        }
        item = await owner.must("POST", "/items", wanted)
        booking = await borrower.must("POST", "/bookings", asked(item["id"]))
        assert booking["state"] == "requested"
        with psycopg.connect(platform.database("bookings"), autocommit=True) as db:
            assert db.execute(UNANSWERED).rowcount == 1
        async with asyncio.timeout(60):
            while not all(is_overdue(said) for said in await of_bookings(platform)):
                await asyncio.sleep(0.3)
        said = await pages(platform)
        assert sum(told.get("commonry_bookings_total requested", 0) for told in said.values()) == 1
        assert sum(told.get("commonry_money_minor_total EUR authorised", 0) for told in said.values()) == 1000
        await owner.close()
        await borrower.close()


async def of_bookings(platform: Platform) -> list[dict[str, float]]:
    names = [name for name in platform.processes if name.startswith(("bookings", "platform"))]
    assert len(names) == (1 if platform.mode == "near" else 2)
    return [await page(platform.processes[name].url) for name in names]


def is_overdue(said: dict[str, float]) -> bool:
    one, old = said["commonry_due_waiting bookings"], said["commonry_due_oldest_seconds bookings"]
    running = said["commonry_sagas_running requested"]
    if 0 in (one, running):  # they are looked at one after the other
        return False
    assert (one, running) == (1, 1)
    assert 40 <= old == pytest.approx(said["commonry_saga_oldest_seconds"], abs=5)
    return True


async def test_only_a_services_own_process_tells_of_it(platform: Platform) -> None:
    """A dashboard that adds up, or that takes the largest, gets no number from a process that cannot know."""
    said = await pages(platform)
    for name, told in said.items():
        assert [k for k in told if k.startswith("commonry_build_info")], name
        if platform.mode == "far":
            service = name.partition("-")[0]
            assert ("commonry_saga_oldest_seconds" in told) == (service == "bookings"), name
            assert any(k.startswith("commonry_money") for k in told) == (service == "payments"), name
            assert ("commonry_passwords_waiting" in told) == (service == "users"), name
