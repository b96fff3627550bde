"""What runs beside the requests."""

import asyncio
from datetime import timedelta

from commonry.inventory import jobs
from commonry.inventory.searches import Searches
from commonry.inventory.store import calendar, room
from commonry.kit import clock
from tests.inventory.shed import Shed


async def test_rule_8_holds_expire_by_themselves(shed: Shed) -> None:
    item = await shed.item()
    booking = (await shed.hold(item, 0, 2, seconds=1)).id
    loops = [asyncio.create_task(loop()) for loop in jobs.loops(shed.db, Searches(shed.db), shed.album)]
    async with asyncio.timeout(20):
        while await shed.free(item, 0, 2) != [(0, 2, 1)]:
            await asyncio.sleep(0.1)
    for loop in loops:
        loop.cancel()
    async with shed.db.read() as tx:
        assert (await calendar.read(tx, booking)).state == "released"


async def test_rule_8_many_that_are_due_at_once_each_expire_once(shed: Shed) -> None:
    item = await shed.item(300)
    for begin in range(3):
        await asyncio.gather(*(shed.hold(item, begin, begin + 1, 20, seconds=60) for _ in range(15)))
    with clock.at(clock.now() + timedelta(seconds=61)):
        assert sum(await asyncio.gather(*(shed.db.transact(room.expire) for _ in range(5)))) == 45
        assert await shed.free(item, 0, 3) == [(0, 3, 300)]
