"""The calendar asks its questions of the constraint's own index: a promise that a changed plan would break silently."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from commonry.inventory.rules.search import Search
from commonry.inventory.store import blackouts, calendar, room, search
from commonry.kit.db import Tx
from commonry.kit.ids import new_id
from tests.inventory.shed import Shed

MANY = """
    WITH r AS (
        INSERT INTO reservations (id, item_id, period, state)
        SELECT gen_random_uuid(), u.item_id, tstzrange(s, s + interval '1 hour'), 'confirmed'
        FROM units u, generate_series(1, 300) n, LATERAL (SELECT now() + n * interval '2 hours' AS s) begins
        RETURNING id, item_id, period)
    INSERT INTO claims (reservation_id, unit_id, period, occupied)
    SELECT r.id, u.id, r.period, r.period FROM r JOIN units u ON u.item_id = r.item_id"""


@pytest.fixture
async def item(shed: Shed) -> UUID:
    """One of twenty items with 300 loans each."""
    items = [await shed.item() for _ in range(20)]
    async with shed.db.tx() as tx:
        await tx.execute(MANY)
    async with shed.db.read() as tx:
        await tx.execute("ANALYZE")
    return items[0]


async def plan(tx: Tx, query: Any, params: dict[str, Any]) -> str:
    explained = await (await tx.execute("EXPLAIN " + query, params)).fetchall()
    return "\n".join(row[0] for row in explained)


async def test_rule_7_the_one_predicate_is_inlined_and_indexed(shed: Shed, item: UUID) -> None:
    far = {"from": shed.at(0), "to": shed.at(2), "item": item, "seconds": 60, "quantity": 1, "id": new_id()}
    async with shed.db.tx() as tx:
        await tx.execute(calendar._RESERVE, far)
        for query in (calendar._CLAIM, calendar._IN_THE_WAY, room._LEFT, blackouts._TAKEN):
            shown = await plan(tx, query, far)
            assert "using one_borrower_at_a_time" in shown, shown
            assert "Function Scan" not in shown, shown
            assert "Seq Scan on claims" not in shown, shown


@pytest.mark.parametrize("asked", [{}, {"q": "drill"}, {"near": "52.5,13.4"}, {"max_price": 5}])
async def test_a_dated_search_asks_the_calendar_by_its_index(shed: Shed, item: UUID, asked: dict[str, Any]) -> None:
    wanted = Search(from_=shed.at(0), to=shed.at(0) + timedelta(hours=2), **asked)
    query = search._statement(wanted.order, tuple(asked), dated=True, later=False)
    async with shed.db.read() as tx:
        shown = await plan(tx, query.as_string(None), search._params(wanted) | {"limit": 21, "family": []})
    assert "using one_borrower_at_a_time" in shown, shown
    assert "Function Scan" not in shown, shown
