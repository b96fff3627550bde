"""The engine: runs a booking's steps until it waits or rests, inline in the request that made it or in any worker.

Whoever holds the row's lease runs it. A step that cannot reach its service backs off; a process that dies lets its
lease run out, and the next worker goes on from the same row.
"""

import asyncio
from typing import Any
from uuid import UUID

from commonry.bookings import metrics
from commonry.bookings.rules.transitions import STEPS, Command
from commonry.bookings.saga.steps import Steps
from commonry.bookings.store import bookings as store
from commonry.bookings.store.bookings import Running
from commonry.contracts.problems import NotInThatState
from commonry.contracts.surroundings import Surroundings
from commonry.kit import deadlines, idempotency, traces
from commonry.kit.db import Tx
from commonry.kit.due import Claim, Queue, new_holder
from commonry.kit.failpoints import failpoint
from commonry.kit.idempotency import Key
from commonry.kit.problems import NotFound

PATIENCE = 5.0
"""Seconds a request waits for its saga before it answers 202."""
POLL = 0.05


class Saga:
    """Runs bookings of one service process. Stateless: everything it knows is in the row."""

    def __init__(self, around: Surroundings) -> None:
        self.around, self.db, self.settings = around, around.db, around.settings
        metrics.seen_from_the_start()
        self.queue = Queue(around.db, "bookings")
        self.running: set[asyncio.Task[None]] = set()
        self.actions = Steps(around).actions

    async def advance(self, claim: Claim, row: Running | None = None) -> Running | None:
        """Run steps until the row waits or rests; it as it is then, None if it is no longer ours."""
        if row is None:
            async with self.db.read() as tx:
                row = await store.read_held(tx, claim)
        traces.resume(row and row.traceparent)
        while row is not None:
            row = await self.step(claim, row)
            if row is not None and STEPS[row.step].kind != "acts":
                break
        return row

    async def work(self, claim: Claim) -> None:
        """What a worker does with a due row."""
        await self.advance(claim)

    async def step(self, claim: Claim, row: Running) -> Running | None:
        """One step and its fenced transition, as a span of the booking's own trace, however long ago that began. None
        when the row was taken over meanwhile.
        """
        with traces.span(f"saga {row.step}", service="bookings", above=traces.place(row.traceparent)) as span:
            span.tell({"saga.step": row.step, "saga.attempt": row.attempts + 1, "booking.id": str(row.id)})
            moved = await self._step(claim, row)
            span.tell({"saga.leads_to": moved.step if moved else "nowhere: taken over by another"})
        return moved

    async def _step(self, claim: Claim, row: Running) -> Running | None:
        await failpoint(f"bookings.{row.step}.before")
        move = await self.actions[row.step](row)
        if move.to not in STEPS[row.step].leads_to:
            raise RuntimeError(f"the transition table does not lead from {row.step} to {move.to}")
        await failpoint(f"bookings.{row.step}.after")
        async with self.db.alone() as tx:
            moved = await store.move(tx, claim, row, move)
        if moved is not None:
            metrics.reached(moved.booking.state, row.booking.state)
        return moved

    async def inline(self, claim: Claim, row: Running) -> Running:
        """Run in the request's process, which waits a while; what fails is backed off for a worker, never lost."""
        done: list[Running] = []

        async def run(claim: Claim) -> None:
            deadlines.lift()  # the saga goes on when nobody waits any more
            if end := await self.advance(claim, row):
                done.append(end)

        task = asyncio.create_task(self.queue.guarded(claim, run))
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        began = asyncio.get_running_loop().time()
        await asyncio.wait({task}, timeout=PATIENCE)
        left = began + PATIENCE - asyncio.get_running_loop().time()
        return done[0] if done else await self.settled(claim.id, left)

    async def settled(self, booking: UUID, seconds: float) -> Running:
        """The booking once no step is at work on it, or as it is after `seconds`."""
        until = asyncio.get_running_loop().time() + seconds
        while True:
            async with self.db.read() as tx:
                row = await store.read(tx, booking)
            if row is None:
                raise NotFound
            if STEPS[row.step].kind != "acts" or asyncio.get_running_loop().time() >= until:
                return row
            await asyncio.sleep(POLL)  # the worker's progress shows in the row only

    async def command(
        self, row: Running, name: str, command: Command, by: UUID, key: Key | None = None, **changes: Any
    ) -> Running:
        """A person's transition, then the steps it leads to; under a key that had it already, only what came of it.

        Raises NotInThatState.
        """
        holder = new_holder()
        row = await self.settled(row.id, 2.0)

        async def taken(tx: Tx) -> Running | None:
            if key and await idempotency.claim(tx, key, str(row.id)):
                return None
            if found := await store.take(tx, row.id, command, name, by, holder, **changes):
                return found
            raise NotInThatState(state=row.booking.state)  # which gives the key back, too

        if key:
            mine = await self.db.transact(taken)
        else:
            async with self.db.alone() as tx:
                mine = await taken(tx)
        return await self.inline(Claim(row.id, holder), mine) if mine else await self.settled(row.id, PATIENCE)
