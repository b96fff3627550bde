"""What each step of a booking does: one idempotent call to another service, and where it leads.

Undo goes money first, then the calendar (rule 18), because a failed refund must not free the item. Every undo leaves a
tombstone under the booking's id at the service it undoes, so that a step that arrives late is refused for good.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from commonry.bookings.rules import policies
from commonry.bookings.rules.settlement import owed_from_deposit
from commonry.bookings.rules.transitions import StepName
from commonry.bookings.store import bookings as store
from commonry.bookings.store.bookings import Move, Running
from commonry.contracts.inventory import Hold
from commonry.contracts.money import Money
from commonry.contracts.payments import Authorise, Purpose
from commonry.contracts.problems import ItemTaken, PaymentDeclined
from commonry.contracts.surroundings import Surroundings
from commonry.contracts.words import Period
from commonry.kit import clock
from commonry.kit.problems import Conflict, NotFound, Problem, Unavailable

TRIES = 2
"""How often an unanswered authorisation is tried while its borrower waits, before the booking is given up."""
LATE_STEP = timedelta(hours=1)
HELD = "The deposit is held, not charged"

Action = Callable[[Running], Awaitable[Move]]


class Steps:
    """The actions of the transition table, by step."""

    def __init__(self, around: Surroundings) -> None:
        self.db, self.settings, self.peers = around.db, around.settings, around.peers
        self.actions: dict[StepName, Action] = {
            "hold": self.hold,
            "authorise": self.authorise,
            "ask": self.expire,
            "deposit": self.deposit,
            "capture": self.capture,
            "confirm": self.confirm,
            "confirmed": self.before_pickup,
            "secure": self.secure,
            "hand_over": self.hand_over,
            "in_use": self.overdue,
            "free": self.free,
            "returned": self.claim_window_over,
            "settle": self.settle,
            "undo_money": self.undo_money,
            "undo_calendar": self.undo_calendar,
        }

    # --- towards confirmation ---

    async def hold(self, row: Running) -> Move:
        """Claim the units; `taken` and `not offered` end here, with nothing to undo."""
        booking, ask = row.booking, row.terms.booking_mode == "request"
        answer_by = self._answer_by(row) if ask else None
        seconds = self.settings.hold_seconds + (int((answer_by - clock.now()).total_seconds()) if answer_by else 0)
        hold = Hold(item_id=booking.item_id, period=row.period, quantity=booking.quantity, seconds=seconds)
        try:
            await self.peers.inventory.hold(row.id, hold)
        except (Conflict, NotFound) as refused:
            return self._over(row, "failed", refused.detail, refused)
        changes = {"answer_by": answer_by}
        if booking.total:
            return Move(to="authorise", text="Reserved for you", changes=changes)
        return self._authorised(row, answer_by, "Reserved for you")

    async def authorise(self, row: Running) -> Move:
        """Set the rental price aside."""
        refused = await self._authorise(row, "rental", row.booking.total)
        if refused:
            return self._undo("failed", refused)
        return self._authorised(row, row.booking.answer_by, "The payment is set aside, not yet taken")

    def _authorised(self, row: Running, answer_by: datetime | None, text: str) -> Move:
        if row.terms.booking_mode == "request":
            return Move(to="ask", text=text, due=answer_by, changes={"answer_by": answer_by})
        return Move(to=self._after_yes(row), text=text)

    def _after_yes(self, row: Running) -> StepName:
        """What follows when both sides agree: the deposit if there is one, else the money, else the calendar."""
        if row.booking.deposit_state == "due":
            return "deposit"
        return "capture" if row.booking.total else "confirm"

    async def expire(self, _: Running) -> Move:
        """The owner's time to answer is over."""
        return self._undo("expired", None, "The owner did not answer in time")

    async def deposit(self, row: Running) -> Move:
        """Hold the deposit now if pickup is within a day; else later (rule 16)."""
        next_step: StepName = "capture" if row.booking.total else "confirm"
        if row.booking.deposit_state != "due" or policies.deposit_due_at(row.booking.from_) > clock.now():
            return Move(to=next_step)
        refused = await self._authorise(row, "deposit", row.booking.deposit)
        if refused:
            return self._undo("failed", refused)
        return Move(to=next_step, text=HELD, changes={"deposit_state": "held"})

    async def capture(self, row: Running) -> Move:
        """Take the rental money that was set aside."""
        try:
            await self.peers.payments.capture(row.id, "rental")
        except (PaymentDeclined, Conflict) as refused:
            return self._undo("failed", refused)
        return Move(to="confirm", text="Paid")

    async def confirm(self, row: Running) -> Move:
        """Turn the hold into a confirmed reservation."""
        try:
            await self.peers.inventory.confirm(row.id)
        except Conflict as refused:
            return self._undo("failed", refused)
        return Move(to="confirmed", text="Confirmed", due=self._next_look(row))

    # --- from confirmation to return ---

    async def before_pickup(self, row: Running) -> Move:
        """The time before a pickup: hold the deposit a day ahead, open a self-service item, notice a no-show."""
        now, booking = clock.now(), row.booking
        if now >= booking.to:
            return self._undo("no_show", None, "Nobody came to pick it up")
        if row.terms.handover == "self_service" and now >= booking.from_:
            return Move(to="secure", changes={"picked_up_at": booking.from_})
        if booking.deposit_state == "due" and now >= policies.deposit_due_at(booking.from_):
            return Move(to="secure")
        return Move(to="confirmed", due=self._next_look(row))

    async def secure(self, row: Running) -> Move:
        """Hold the deposit if it is not held yet; without it nothing is handed over."""
        text, changes = None, dict[str, Any]()
        if row.booking.deposit_state == "due":
            refused = await self._authorise(row, "deposit", row.booking.deposit)
            if refused:
                return self._not_handed_over(row, refused, "The deposit could not be held; it is tried again at pickup")
            text, changes = HELD, {"deposit_state": "held"}
        if row.picked_up_at is None:
            due = self._next_look(row, deposit_done=True)
            return Move(to="confirmed", text=text, due=due, changes=changes)
        return Move(to="hand_over", text=text, changes=changes)

    async def hand_over(self, row: Running) -> Move:
        """Tell the calendar that the thing is out; an early pickup needs a calendar that is free until the start."""
        since = row.picked_up_at or clock.now()
        try:
            await self.peers.inventory.in_use(row.id, min(since, row.booking.to))
        except Conflict as refused:
            return self._not_handed_over(row, refused, "It is still with someone else")
        grace = timedelta(minutes=self.settings.late_grace_minutes)
        return Move(to="in_use", text="In use", due=row.booking.to + grace)

    def _not_handed_over(self, row: Running, refused: Problem, text: str) -> Move:
        due = max(clock.now() + LATE_STEP, self._next_look(row, deposit_done=True))
        changes = {"picked_up_at": None}
        return Move(
            to="confirmed", text=text, due=min(due, row.booking.to), problem=refused.document(), changes=changes
        )

    async def overdue(self, row: Running) -> Move:
        """It should be back: keep the unit occupied hour by hour, and warn whoever comes next (rule 10)."""
        until = clock.now() + 2 * LATE_STEP
        with suppress(ItemTaken):  # then the next booking holds what follows
            await self.peers.inventory.move(row.id, Period(row.booking.from_, max(until, row.booking.to)))
        await self._flag_next(row, risk=True)
        text = None if row.booking.overdue else "Overdue: please bring it back"
        return Move(to="in_use", text=text, due=clock.now() + LATE_STEP, changes={"overdue": True})

    async def free(self, row: Running) -> Move:
        """Back again: the calendar's tail is free at once."""
        if row.booking.overdue:
            await self._flag_next(row, risk=False)
        await self.peers.inventory.release(row.id)
        if row.booking.deposit_state != "held" or row.claim is not None:
            return Move(to="settle", text="Back again")
        due = clock.now() + timedelta(hours=self.settings.claim_hours)
        return Move(to="returned", text="Back again", due=due)

    async def claim_window_over(self, _: Running) -> Move:
        """Nobody reported damage."""
        return Move(to="settle")

    async def settle(self, row: Running) -> Move:
        """Release the deposit or take what is owed from it, collect a late fee, credit the owner."""
        changes: dict[str, Any] = {"state": "completed", "completed": True}
        late, text = self._late_fee(row), "All done"
        if row.booking.deposit_state == "held":
            changes["deposit_state"] = await self._settle_deposit(row, owed_from_deposit(row.booking, late, row.claim))
        elif late and not await self._collected(row, late):
            text = "All done, but the late fee could not be collected"
        if row.booking.total or late or changes.get("deposit_state") == "captured":
            await self.peers.payments.pay_out(row.id)
        return Move(to="over", text=text, changes=changes)

    def _late_fee(self, row: Running) -> Money | None:
        grace = timedelta(minutes=self.settings.late_grace_minutes)
        returned_at = row.returned_at or clock.now()
        return policies.late_fee(row.terms, row.booking.quantity, row.booking.to, returned_at, grace)

    async def _settle_deposit(self, row: Running, owed: Money | None) -> str:
        if owed is None:
            await self.peers.payments.void(row.id, "deposit")
            return "released"
        await self.peers.payments.capture(row.id, "deposit", owed)
        return "captured"

    async def _collected(self, row: Running, late: Money) -> bool:
        """Charge the late fee to the booking's payment method; False when it is refused: a manager may settle it."""
        if row.method is None or await self._authorise(row, "late_fee", late):
            return False
        try:
            await self.peers.payments.capture(row.id, "late_fee")
        except PaymentDeclined:
            return False
        return True

    # --- undoing ---

    async def undo_money(self, row: Running) -> Move:
        """Void what is set aside, refund what was taken; both leave tombstones."""
        given_back = await self._undo_rental(row) if row.booking.total else None
        changes: dict[str, Any] = {"refund": given_back} if given_back else {}
        if row.booking.deposit:
            await self.peers.payments.void(row.id, "deposit")
            changes["deposit_state"] = "released" if row.booking.deposit_state == "held" else "none"
        return Move(to="undo_calendar", text="The money is on its way back" if given_back else None, changes=changes)

    async def _undo_rental(self, row: Running) -> Money | None:
        paid = await self.peers.payments.void(row.id, "rental")
        if paid.captured.amount == 0:
            return None
        due = row.booking.refund if row.booking.refund is not None else paid.captured
        if due.amount:
            paid = await self.peers.payments.refund(row.id, "rental", due, row.ending or "undone")
        if paid.captured.amount > paid.refunded.amount:
            await self.peers.payments.pay_out(row.id)
        return due

    async def undo_calendar(self, row: Running) -> Move:
        """Free the item, once the money is safe."""
        await self.peers.inventory.release(row.id)
        ending = row.ending or "failed"
        return self._over(row, ending, _LAST_WORDS[ending])

    # --- small parts ---

    def _over(self, row: Running, ending: str, text: str, refused: Problem | None = None) -> Move:
        problem = refused.document() if refused else row.booking.problem
        return Move(to="over", text=text, problem=problem, changes={"state": ending, "ending": ending})

    def _undo(self, ending: str, refused: Problem | None, text: str | None = None) -> Move:
        problem = refused.document() if refused else None
        told = text or (refused.detail if refused else None)
        return Move(to="undo_money", text=told, problem=problem, changes={"ending": ending})

    async def _authorise(self, row: Running, purpose: Purpose, amount: Money | None) -> Problem | None:
        """None when it is set aside, else why not. Unanswered twice counts as declined: the undo voids whatever
        happened.
        """
        if amount is None:
            return None
        booking = row.booking
        order = Authorise(amount=amount, method=row.method or "none", payer=booking.borrower_id, payee=booking.owner_id)
        try:
            await self.peers.payments.authorise(row.id, purpose, order)
        except (PaymentDeclined, Conflict) as refused:
            return refused
        except Unavailable:
            if row.attempts + 1 < TRIES:
                raise
            return PaymentDeclined("The payment provider did not answer in time; nothing was charged.")
        return None

    def _answer_by(self, row: Running) -> datetime:
        return policies.answer_deadline(row.booking.created_at, row.booking.from_, self.settings.answer_hours)

    def _next_look(self, row: Running, *, deposit_done: bool = False) -> datetime:
        """When a confirmed booking wants attention next: its deposit, its self-service start, or its end."""
        booking, looks = row.booking, [row.booking.to]
        if booking.deposit_state == "due" and not deposit_done:
            looks.append(policies.deposit_due_at(booking.from_))
        if row.terms.handover == "self_service":
            looks.append(booking.from_)
        return min(looks)

    async def _flag_next(self, row: Running, *, risk: bool) -> None:
        next_ones = await self.peers.inventory.at_risk(row.id)
        async with self.db.tx() as tx:
            await store.flag_at_risk(tx, next_ones, risk=risk)


_LAST_WORDS = {
    "failed": "Could not be booked; nothing was charged",
    "declined": "Declined; nothing was charged",
    "expired": "Expired; nothing was charged",
    "cancelled": "Cancelled",
    "no_show": "Not picked up",
}
