"""The calendar against a model of itself: whatever is done in whatever order, both say the same.

The model knows nothing of units. It counts how much is taken at each moment, which is all that rules 5 to 11 promise:
what does not exceed the number of units is granted, what does is refused. Only where something is late, or a longer
buffer came after a booking, may the store refuse what counting alone would grant: then it must still never lend twice.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from commonry.contracts.inventory import NewBlackout
from commonry.contracts.problems import ItemHasBookings
from commonry.inventory.rules.items import whole
from commonry.inventory.store import blackouts, calendar, items, room
from commonry.kit import clock
from commonry.kit.db import Database, Tx
from commonry.kit.ids import new_id
from commonry.kit.problems import Problem
from tests.inventory.conftest import EMPTY
from tests.inventory.shed import Shed

END, CELL = 72.0, 0.5
HOLD_HOURS = 3
"""How long a hold lasts here: short enough to expire often."""
LIVE = ("held", "confirmed", "in_use")


@dataclass
class Loan:
    """What the model knows of a reservation, in hours. It occupies `since` to `until`; `begin` to `end` was booked."""

    begin: float
    end: float
    since: float
    until: float
    quantity: int
    expires: float
    state: str = "held"

    def ends(self, buffer: float, now: float) -> float:
        """When what it occupies ends for someone new."""
        return max(self.until, self.end + buffer, now + buffer if self.state == "in_use" else 0)


@dataclass
class Model:
    """One item's calendar."""

    units: int = 2
    buffer: float = 0
    now: float = 0
    loans: dict[UUID, Loan] = field(default_factory=dict)
    closed: dict[UUID, tuple[float, float]] = field(default_factory=dict)

    def there(self, but: UUID | None = None) -> Iterator[Loan]:
        """What is on units: what is live, and what was returned and cools down."""
        yield from (loan for key, loan in self.loans.items() if loan.state in (*LIVE, "cooling") and key != but)

    def taken(self, begin: float, end: float, but: UUID | None = None, *, promised: bool = False) -> int:
        """The most units taken at any moment of a period; with `promised` only what nobody may ever take away."""
        spans = [
            (loan.since, loan.until if promised else loan.ends(self.buffer, self.now), loan.quantity)
            for loan in self.there(but)
        ]
        moments = [begin, *(start for start, _, _ in spans if begin < start < end)]
        return max(sum(q for start, until, q in spans if start <= at < until) for at in moments)

    def strained(self) -> bool:
        """Whether what is late, or was booked with a shorter buffer than there is now, runs into another loan.

        If both are on one unit it is taken once, if not, twice: the model cannot tell."""
        longer = [
            (loan, loan.until, ends) for loan in self.there() if (ends := loan.ends(self.buffer, self.now)) > loan.until
        ]
        return any(
            other.since < ends and until < other.ends(self.buffer, self.now)
            for loan, until, ends in longer
            for other in self.there()
            if other is not loan
        )

    def shut(self, begin: float, end: float) -> bool:
        return begin < end and any(b < end + self.buffer and begin < e for b, e in self.closed.values())

    def free(self, at: float) -> int:
        """Units that a loan of one cell's length could have."""
        return 0 if self.shut(at, at + CELL) else max(0, self.units - self.taken(at, at + CELL + self.buffer))


hours = st.integers(0, 96).map(lambda n: n * CELL)
lengths = st.integers(1, 24).map(lambda n: n * CELL)
picks = st.integers(0, 1000)


class CalendarMachine(RuleBasedStateMachine):
    """Does the same to the store and to the model, and compares what they say."""

    loop: asyncio.AbstractEventLoop
    shed: Shed

    @initialize(units=st.integers(1, 3), buffer=st.sampled_from((0, 0, 0.5, 1)))
    def begin(self, units: int, buffer: float) -> None:
        self.model = Model(units, buffer)
        self.do(self._empty())
        self.item = self.do(self.shed.item(units, buffer_minutes=int(buffer * 60)))

    async def _empty(self) -> None:
        async with self.shed.db.tx() as tx:
            await tx.execute(EMPTY)

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        now = self.model.now if hasattr(self, "model") else 0
        with clock.at(self.shed.at(now)):
            return self.loop.run_until_complete(work)

    def outcome(self, work: Coroutine[Any, Any, Any]) -> str:
        """The state that came of it, or the slug of why not."""
        try:
            return self.do(work).state
        except Problem as e:
            return e.slug

    def some(self, pick: int, *states: str) -> UUID | None:
        known = [key for key, loan in self.model.loans.items() if loan.state in (states or (*LIVE, "cooling", "over"))]
        return known[pick % len(known)] if known else None

    def agree(self, got: str, granted: str, begin: float, end: float, quantity: int, but: UUID | None = None) -> bool:
        """Whether it was granted; fails if it should not have been, or was refused without need."""
        model = self.model
        fits = model.taken(begin, end, but) + quantity <= model.units
        if got == granted:
            assert model.taken(begin, end, but, promised=True) + quantity <= model.units
            assert fits or model.strained()
        else:
            assert got == "item-taken"
            assert not fits or model.strained()
        return got == granted

    @rule(after=hours, length=lengths, quantity=st.sampled_from((1, 1, 1, 2)))
    def hold(self, after: float, length: float, quantity: int) -> None:
        model, booking = self.model, new_id()
        begin = model.now + after
        end = begin + length
        work = self.shed.hold(self.item, begin, end, quantity, booking=booking, seconds=HOLD_HOURS * 3600)
        got = self.outcome(work)
        if model.shut(begin, end):
            assert got == "not-offered"
            return
        until = end + model.buffer
        if model.taken(begin, until) + quantity > model.units or (model.strained() and self._overdue()):
            self._expire_as_the_store_did()
        if self.agree(got, "held", begin, until, quantity):
            model.loans[booking] = Loan(begin, end, begin, until, quantity, model.now + HOLD_HOURS)

    def _overdue(self) -> list[Loan]:
        return [loan for loan in self.model.loans.values() if loan.state == "held" and loan.expires <= self.model.now]

    def _expire_as_the_store_did(self) -> None:
        """Whoever finds no room gives up overdue holds first; when strained, only the store knows whether it had to."""

        async def states() -> dict[UUID, str]:
            async with self.shed.db.read() as tx:
                return {key: (await calendar.read(tx, key)).state for key in self.model.loans}

        known = self.do(states())
        if not self.model.strained():
            assert all(known[key] == "released" for key, loan in self.model.loans.items() if loan in self._overdue())
        for key, loan in self.model.loans.items():
            if loan in self._overdue() and known[key] == "released":
                loan.state = "over"

    @rule(length=lengths)
    def lend(self, length: float) -> None:
        """What happens most: held, confirmed and picked up at once."""
        before = set(self.model.loans)
        self.hold(0, length, 1)
        for booking in self.model.loans.keys() - before:
            assert self.outcome(calendar.confirm(self.shed.db, booking)) == "confirmed"
            assert self.outcome(calendar.in_use(self.shed.db, booking, self.shed.at(self.model.now))) == "in_use"
            self.model.loans[booking].state = "in_use"

    @rule(pick=picks)
    def bring_back(self, pick: int) -> None:
        if booking := self.some(pick, "in_use"):
            self._release(booking)

    @rule(pick=picks)
    def hold_again(self, pick: int) -> None:
        booking = self.some(pick)
        if booking is None:
            return
        loan = self.model.loans[booking]
        end = max(loan.end, loan.begin + CELL)  # something was returned before it had begun
        got = self.outcome(self.shed.hold(self.item, loan.begin, end, loan.quantity, booking=booking))
        assert got == ("reservation-released" if loan.state in ("over", "cooling") else loan.state)

    @rule(pick=picks)
    def confirm(self, pick: int) -> None:
        booking = self.some(pick)
        if booking is None:
            return
        loan, got = self.model.loans[booking], self.outcome(calendar.confirm(self.shed.db, booking))
        if loan.state in ("over", "cooling"):
            assert got in ("hold-expired", "reservation-released")
        elif loan.state == "held" and loan.expires <= self.model.now:
            assert got == "hold-expired"
            loan.state = "over"
        else:
            loan.state = "confirmed" if loan.state == "held" else loan.state
            assert got == loan.state

    @rule(pick=picks)
    def in_use(self, pick: int) -> None:
        booking = self.some(pick, "confirmed")
        if booking is None:
            return
        loan, now = self.model.loans[booking], self.model.now
        got = self.outcome(calendar.in_use(self.shed.db, booking, self.shed.at(now)))
        if now >= loan.since:
            assert got == "in_use"
        elif not self.agree(got, "in_use", now, loan.until, loan.quantity, booking):
            return
        loan.state, loan.since = "in_use", min(loan.since, now)

    @rule(pick=picks)
    def release(self, pick: int) -> None:
        self._release(self.some(pick) or new_id())

    def _release(self, booking: UUID) -> None:
        assert self.outcome(self.shed.release(booking)) == "released"
        loan, now = self.model.loans.get(booking), self.model.now
        if loan is None:
            return
        buffer = loan.until - loan.end
        if loan.state == "in_use" and buffer:
            loan.state, loan.end, loan.until = "cooling", now, min(loan.until, now + buffer)
        elif loan.state in LIVE:
            loan.state = "over"

    @rule(pick=picks, after=hours, length=lengths)
    def move(self, pick: int, after: float, length: float) -> None:
        booking = self.some(pick, *LIVE)
        if booking is None:
            return
        model, loan = self.model, self.model.loans[booking]
        is_out = loan.state == "in_use"
        begin = loan.begin if is_out else model.now + after
        end = begin + length
        got = self.outcome(calendar.move(self.shed.db, booking, self.shed.period(begin, end)))
        if model.shut(begin, min(end, loan.begin)) or model.shut(max(begin, loan.end), end):
            assert got == "not-offered"
            return
        moved = replace(
            loan, begin=begin, end=end, since=min(loan.since, begin) if is_out else begin, until=end + model.buffer
        )
        if self.agree(got, loan.state, moved.since, moved.until, loan.quantity, booking):
            model.loans[booking] = moved

    @rule()
    def expire(self) -> None:
        overdue = self._overdue()
        assert self.do(self.shed.db.transact(room.expire)) == len(overdue)
        for loan in overdue:
            loan.state = "over"
        self.do(self.shed.db.transact(room.finish_cooling))
        for loan in self.model.there():
            if loan.state == "cooling" and loan.ends(self.model.buffer, 0) <= self.model.now:
                loan.state = "over"

    @rule(later=st.sampled_from((0.5, 1, 2, 5, 12)))
    def wait(self, later: float) -> None:
        self.model.now += later

    @rule(after=hours, length=lengths)
    def close(self, after: float, length: float) -> None:
        begin = self.model.now + after
        blackout, new = new_id(), NewBlackout(from_=self.shed.at(begin), to=self.shed.at(begin + length))

        async def work(tx: Tx) -> Any:
            await items.lock(tx, self.item)
            return await blackouts.insert(tx, blackout, self.item, new)

        listed = self.do(self.shed.db.transact(work)).conflicts
        self.model.closed[blackout] = begin, begin + length
        assert set(listed) == {
            key
            for key, loan in self.model.loans.items()
            if loan.state in LIVE and loan.begin < begin + length and begin < loan.end
        }

    @rule(pick=picks)
    def open(self, pick: int) -> None:
        if self.model.closed:
            blackout = list(self.model.closed)[pick % len(self.model.closed)]
            self.do(self.shed.db.transact(lambda tx: blackouts.delete(tx, self.item, blackout)))
            del self.model.closed[blackout]

    @rule(units=st.integers(1, 4))
    def change_units(self, units: int) -> None:
        model = self.model
        # A unit may be retired while what came back on it cools down, which the model cannot tell.
        if any(loan.state == "cooling" for loan in model.there()):
            return
        needed, promised = (model.taken(model.now, END * 10, promised=p) for p in (False, True))
        refused = self.do(self._refused(units))
        if refused is None:
            assert promised <= units
            assert needed <= units or model.strained()
            model.units = units
        else:
            assert needed > units or model.strained()
            assert refused == {key for key, loan in model.loans.items() if loan.state in LIVE}

    async def _refused(self, units: int) -> set[UUID] | None:
        try:
            async with self.shed.db.tx() as tx:
                await items.lock(tx, self.item)
                await room.set_quantity(tx, self.item, units)
        except ItemHasBookings as e:
            return set(e.extra["bookings"])
        return None

    @rule(buffer=st.sampled_from((0, 0, 0.5, 1)))
    def change_buffer(self, buffer: float) -> None:
        async def work(tx: Tx) -> None:
            await items.lock(tx, self.item)
            known = whole((await items.read(tx, self.item)).item)
            known.buffer_minutes = int(buffer * 60)
            await items.update(tx, self.item, known)

        self.do(self.shed.db.transact(work))
        self.model.buffer = buffer

    @invariant()
    def no_unit_is_lent_twice(self) -> None:
        assert self.do(self.shed.lent_twice()) == 0

    @invariant()
    def both_show_the_same_as_free(self) -> None:
        model = self.model
        shown = self.do(self.shed.free(self.item, model.now, model.now + END))
        for n in range(int(END / CELL)):
            at = model.now + n * CELL
            free = next((units for begin, end, units in shown if begin <= at < end), 0)
            assert free == model.free(at) or model.strained(), (at, free, model.free(at))


def test_rules_5_to_11_hold_whatever_is_done(inventory_url: str) -> None:
    loop = asyncio.new_event_loop()
    database = Database(inventory_url, name="inventory", size=2)
    loop.run_until_complete(database.open())
    CalendarMachine.loop, CalendarMachine.shed = loop, Shed(database)
    checks = list(HealthCheck)
    try:
        run_state_machine_as_test(
            CalendarMachine,
            settings=settings(
                max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=checks, print_blob=True
            ),
        )
    finally:
        loop.run_until_complete(database.close())
        loop.close()
