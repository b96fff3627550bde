"""Rule 5 under attack: many borrowers, few units, at the same moment; and proof that the constraint is what decides."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from commonry.contracts.problems import ItemTaken, ReservationReleased
from commonry.inventory.store import calendar
from commonry.kit.db import Database
from commonry.kit.ids import new_id
from tests.inventory.shed import Shed

pytestmark = pytest.mark.race
CLIENTS = 50


async def race(shed: Shed, units: int, clients: int = CLIENTS) -> Counter[str]:
    """What became of many holds of one new item for about the same time."""
    item = await shed.item(units)
    return Counter(await asyncio.gather(*(shed.tries(item, n % 3, 5 + n % 2) for n in range(clients))))


async def test_rule_5_fifty_borrowers_of_one_unit_have_one_winner(shed: Shed) -> None:
    for _ in range(20):
        assert await race(shed, 1) == {"held": 1, "item-taken": CLIENTS - 1}
    assert await shed.lent_twice() == 0


async def test_rule_6_fifty_borrowers_of_three_units_have_three_winners(shed: Shed) -> None:
    for _ in range(20):
        assert await race(shed, 3) == {"held": 3, "item-taken": CLIENTS - 3}
    assert await shed.lent_twice() == 0


async def test_rule_6_holds_of_several_units_fill_up_without_deadlock(shed: Shed) -> None:
    """Whoever wants two or three may be refused in favour of others, but in the end no two that fit are left over."""
    for _ in range(10):
        item = await shed.item(7)
        wanted = [random.choice((1, 2, 3)) for _ in range(30)]
        outcomes = await asyncio.gather(*(shed.tries(item, 0, 2, quantity) for quantity in wanted))
        assert set(outcomes) <= {"held", "item-taken"}
        used = sum(q for q, outcome in zip(wanted, outcomes, strict=True) if outcome == "held")
        left = sum(f[2] for f in await shed.free(item, 0, 2))
        assert used + left == 7
        assert left < min(q for q, outcome in zip(wanted, outcomes, strict=True) if outcome != "held")
    assert await shed.lent_twice() == 0


async def test_negative_control_without_the_constraint_units_are_lent_twice(
    new_database: Callable[[str], Awaitable[Database]],
) -> None:
    """If this fails, something else settles the races, and the tests above prove nothing about the constraint."""
    shed = Shed(await new_database("inventory"))
    async with shed.db.tx() as tx:
        await tx.execute("ALTER TABLE claims DROP CONSTRAINT one_borrower_at_a_time")
    winners = [(await race(shed, 1))["held"] for _ in range(8)]
    assert max(winners) > 1, winners
    assert await shed.lent_twice() > 0


async def test_holding_moving_and_releasing_at_once_never_lends_twice(shed: Shed) -> None:
    item = await shed.item(3, buffer_minutes=30)
    chance = random.Random(7)

    async def borrower() -> None:
        for _ in range(12):
            booking, begin = new_id(), chance.randrange(24)
            try:
                await shed.hold(item, begin, begin + chance.randrange(1, 9), chance.choice((1, 1, 2)), booking=booking)
                await calendar.confirm(shed.db, booking)
                begin = chance.randrange(24)
                await calendar.move(shed.db, booking, shed.period(begin, begin + chance.randrange(1, 9)))
            except (ItemTaken, ReservationReleased):
                pass
            if chance.random() < 0.5:
                await shed.release(booking)

    await asyncio.gather(*(borrower() for _ in range(8)))
    assert await shed.lent_twice() == 0


async def test_a_release_that_races_its_own_hold_always_wins(shed: Shed) -> None:
    """Whichever comes first, in the end nothing is held: an undo is never overtaken by what it undoes."""
    item = await shed.item()
    for _ in range(40):
        booking = new_id()
        await asyncio.gather(shed.tries(item, 0, 2, booking=booking), shed.release(booking))
        assert await shed.free(item, 0, 2) == [(0, 2, 1)]
        async with shed.db.read() as tx:
            assert (await calendar.read(tx, booking)).state == "released"


async def test_rule_7_the_buffer_is_kept_in_a_race_too(shed: Shed) -> None:
    """Loans that do not overlap, but for the time between them."""
    for _ in range(20):
        item = await shed.item(buffer_minutes=60)
        outcomes = await asyncio.gather(*(shed.tries(item, begin, begin + 2) for begin in (0, 2.5) * 8))
        assert outcomes.count("held") == 1
