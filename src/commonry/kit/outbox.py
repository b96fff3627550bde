"""Events to other services: written in the transaction that caused them, delivered at least once, applied once.

A row per event and receiver waits in `outbox` until the receiver has said yes. The receiver inserts the event's id into
`events_seen` in the transaction that applies it, so a second delivery changes nothing.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from commonry.kit.db import Database, Tx, as_json, one, run
from commonry.kit.due import Claim, Queue
from commonry.kit.ids import new_id


class Parcel(NamedTuple):
    """An event on its way."""

    receiver: str
    topic: str
    event: Any


async def announce(tx: Tx, topic: str, event: Any, receivers: Sequence[str]) -> None:
    """Let every receiver know, once this transaction commits."""
    for receiver in receivers:
        row = {"id": new_id(), "receiver": receiver, "topic": topic, "event": as_json(event)}
        await run(tx, _ANNOUNCE, row)


async def first_time(tx: Tx, event_id: Any) -> bool:
    """Whether this event has not been applied here before; it now has."""
    return await run(tx, _SEEN, {"id": event_id}) == 1


def delivery(db: Database, send: Callable[[str, str, str, Any], Awaitable[None]]) -> Callable[[], Any]:
    """A loop that delivers what is due: `send(receiver, topic, event id, event)`, which raises if it was not taken."""
    queue = Queue(db, "outbox")

    async def deliver(claim: Claim) -> None:
        async with db.read() as tx:
            parcel = await one(tx, Parcel, _READ, claim._asdict())
        if parcel is None:
            return
        await send(parcel.receiver, parcel.topic, str(claim.id), parcel.event)
        async with db.tx() as tx:
            await run(tx, _DONE, claim._asdict())

    return lambda: queue.work(deliver)


_ANNOUNCE = """
    INSERT INTO outbox (id, receiver, topic, event) VALUES (%(id)s, %(receiver)s, %(topic)s, %(event)s)"""
_SEEN = "INSERT INTO events_seen (id) VALUES (%(id)s) ON CONFLICT DO NOTHING"
_READ = "SELECT receiver, topic, event FROM outbox WHERE id = %(id)s AND holder = %(holder)s"
_DONE = "DELETE FROM outbox WHERE id = %(id)s AND holder = %(holder)s"
