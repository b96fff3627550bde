"""What bookings counts and what it sees of its sagas, over real bookings."""

import asyncio
from typing import get_args

import pytest

from commonry.bookings.metrics import Sagas
from commonry.contracts.bookings import BookingState
from commonry.kit import failpoints
from tests.numbers import numbers
from tests.town import Town, period

OLDEST = "commonry_saga_oldest_seconds"


async def looked(town: Town) -> dict[str, float]:
    async with town.databases["bookings"].read() as tx:
        await Sagas().look(tx)
    return numbers()


def gained(before: dict[str, float], after: dict[str, float]) -> dict[str, int]:
    name = "commonry_bookings_total"
    states = {state: int(after[f"{name} {state}"] - before[f"{name} {state}"]) for state in get_args(BookingState)}
    return {state: times for state, times in states.items() if times}


async def test_a_booking_is_counted_once_in_every_state_that_it_reaches(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists(booking_mode="request")
    before = numbers()
    _, booking = await borrower.books(item, start=0.1, idempotency_key="once")
    await borrower.books(item, start=0.1, idempotency_key="twice")  # refused: it is taken
    assert gained(before, numbers()) == {"pending": 2, "requested": 1, "failed": 1}
    await owner.does("accept", booking)
    await borrower.does("pickup", booking)
    assert gained(before, numbers())["in_use"] == 1
    await owner.does("return", booking, {"condition": "good"})
    every = {"pending": 2, "requested": 1, "failed": 1, "confirmed": 1, "in_use": 1, "returned": 1, "completed": 1}
    # Nothing was held back that could be claimed, so it went from in use to completed by way of `returned`.
    assert gained(before, numbers()) == every


async def test_an_answer_given_again_is_not_counted_again(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists()
    body = {"item_id": item["id"], "payment_method": "pm_card_visa", **period(48, 24)}
    await borrower.call("POST", "/bookings", body, idempotency_key="same")
    before = numbers()
    status, _ = await borrower.call("POST", "/bookings", body, idempotency_key="same")
    assert status == 201
    assert gained(before, numbers()) == {}


async def test_sagas_on_their_way_are_told_by_state_and_those_that_wait_for_a_person_are_not_old(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    said = await looked(town)
    assert {
        said[f"commonry_sagas_running {s}"] for s in ("pending", "requested", "confirmed", "in_use", "returned")
    } == {0}
    assert said[OLDEST] == 0
    asked = await owner.lists(booking_mode="request")
    for start in (48, 96):
        await borrower.books(asked, start=start)
    _, booked = await borrower.books(await owner.lists())
    aged = "UPDATE bookings SET updated_at = now() - interval '3 h' RETURNING id"
    await town.sql("bookings", aged)
    said = await looked(town)
    assert (said["commonry_sagas_running requested"], said["commonry_sagas_running confirmed"]) == (2, 1)
    assert said[OLDEST] == 0
    await borrower.does("cancel", booked)
    assert (await looked(town))["commonry_sagas_running confirmed"] == 0


async def test_a_saga_that_gets_no_further_grows_old_also_while_it_backs_off(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists()
    failpoints.arm("bookings.capture.before=error")
    asking = asyncio.create_task(borrower.books(item))
    async with asyncio.timeout(10):
        while not await town.sql("bookings", "SELECT count(*) FROM bookings WHERE attempts > 0"):
            await asyncio.sleep(0.05)
    aged = "UPDATE bookings SET updated_at = updated_at - interval '100 s', due = now() + interval '100 s' RETURNING id"
    await town.sql("bookings", aged)
    assert 100 <= (await looked(town))[OLDEST] < 120
    failpoints.arm("")
    await town.sql("bookings", "UPDATE bookings SET due = now() RETURNING id")
    await town.work()
    assert (await asking)[1]["state"] == "confirmed"
    assert (await looked(town))[OLDEST] == 0


async def test_a_deadline_that_nobody_looks_at_grows_old(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    _, booking = await borrower.books(await owner.lists(booking_mode="request"))
    await town.sql("bookings", "UPDATE bookings SET due = now() - interval '50 s' RETURNING id")
    assert 50 <= (await looked(town))[OLDEST] < 60
    await town.work()
    assert booking["state"] == "requested"
    assert (await looked(town))[OLDEST] == 0


@pytest.fixture(autouse=True)
def forgotten() -> object:
    yield
    Sagas().forget()
    assert OLDEST not in numbers()
