"""The metric of money says what the ledger says, whatever happened: to the cent, and once."""

from typing import LiteralString
from uuid import uuid4

import pytest

from commonry.contracts.problems import PaymentDeclined
from commonry.payments.metrics import KINDS
from tests.numbers import numbers
from tests.payments.world import World, eur

LEDGER: LiteralString = """
    SELECT e.kind || ' ' || split_part(p.account, ':', 1), sum(p.amount)::bigint FROM entries e
    JOIN postings p ON p.entry_id = e.id WHERE p.amount > 0 AND p.currency = 'EUR' GROUP BY 1"""


async def told(world: World) -> dict[str, int]:
    found: dict[str, int] = dict(await world.rows(LEDGER))
    return {meant: found.get(f"{kind} {account}", 0) for (kind, account), meant in KINDS.items()}


def counted() -> dict[str, int]:
    return {kind: int(numbers()[f"commonry_money_minor_total EUR {kind}"]) for kind in KINDS.values()}


async def test_every_movement_is_counted_as_the_ledger_has_it(own_world: World) -> None:
    world = World(own_world.db, fee_percent=7)
    assert await told(world) == dict.fromkeys(KINDS.values(), 0)
    start = counted()
    booking = await world.paid(1000)
    await world.authorise(booking, 5000, "deposit")
    await world.client.capture(booking, "deposit", eur(1200))  # of a deposit a part is kept, the rest let go
    await world.client.capture(booking, "deposit", eur(1200))
    await world.client.refund(booking, "rental", eur(300), "late")
    await world.client.refund(booking, "rental", eur(300), "late")
    await world.client.pay_out(booking)
    await world.client.pay_out(booking)
    await world.client.refund(booking, "rental", eur(100), "after the payout")
    let_go = uuid4()
    await world.authorise(let_go, 700)
    await world.client.void(let_go, "rental")
    await world.client.void(let_go, "rental")
    await world.client.void(uuid4(), "rental")  # of nothing
    with pytest.raises(PaymentDeclined):
        await world.authorise(uuid4(), 900, method="pm_card_visa_chargeDeclined")
    now, ledger = counted(), await told(world)
    assert {kind: now[kind] - start[kind] for kind in now} == ledger
    assert ledger == {
        "authorised": 6700,
        "captured": 1000,
        "deposit_kept": 1200,
        "released": 4500,
        "refunded": 400,
        "paid_out": 1851,
        "fee": 49,
    }
