"""What payments does unasked: let go of abandoned authorisations, renew holds before they lapse, finish refunds.

One queue of due rows: a payment is due a quarter of an hour after it was last asked for and not answered, when its
hold has to be renewed, and while a refund is reserved and not done.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from commonry.kit.due import Claim, Queue
from commonry.kit.problems import Unavailable
from commonry.payments.provider import Authorised, Closed, Declined
from commonry.payments.rules import Row
from commonry.payments.steps import Till
from commonry.payments.store import payments as store
from commonry.payments.store import refunds


def looking_after(till: Till) -> Callable[[], Coroutine[Any, Any, None]]:
    """The loop."""
    queue = Queue(till.db, "payments")
    return lambda: queue.work(lambda claim: look_after(till, claim), every=5.0)


async def look_after(till: Till, claim: Claim) -> None:
    """Do what a due payment waits for."""
    async with till.db.read() as tx:
        row = await store.find_by_id(tx, claim.id)
    if row is None:
        return
    match row.status:
        case "authorising":  # nobody asked again for a quarter of an hour
            await till.void(row.payment.booking_id, row.payment.purpose)
        case "authorised":
            await _renew(till, row)
        case _:
            await _finish_refunds(till, row)


async def _finish_refunds(till: Till, row: Row) -> None:
    async with till.db.read() as tx:
        reserved = await refunds.unfinished(tx, row)
    for refund in reserved:
        await till.finish(row, refund)
    async with till.db.tx() as tx:
        await store.rest(tx, row)


async def _renew(till: Till, row: Row) -> None:
    """Have the money held by a fresh charge, then let go of the old ones.

    The old charge is closed BEFORE ours says that the new one is in use: if a capture took the old one meanwhile,
    closing tells so, and the new one is let go instead. Never are both taken.
    """
    async with till.db.tx() as tx:
        begun = await store.begin_renewal(tx, row)
    if begun is None:
        return
    payment = begun.payment
    try:
        fresh = begun.key(begun.charges)
        got = await till.ask(till.provider.authorise, fresh, payment.amount, payment.method)
    except Declined:
        async with till.db.tx() as tx:
            await store.renewal_failed(tx, begun)
    except Closed:
        raise Unavailable("A void is under way.") from None
    else:
        await _swap(till, begun, got)


async def _swap(till: Till, begun: Row, fresh: Authorised) -> None:
    for old in range(begun.charges):
        if taken := await till.let_go(begun, old):
            await till.let_go(begun, begun.charges)
            await till.record_capture(begun, taken)
            return
    async with till.db.tx() as tx:
        swapped = await store.renewed(tx, begun, fresh.ref, fresh.renew_before)
    if not swapped:
        await till.let_go(begun, begun.charges)
