"""The booking row: created, moved on by fenced transitions, read.

A transition states the step it starts from and the name it holds the row under, so of two that race only one happens.
Each also writes its line of the timeline in the same statement.
"""

from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import msgspec

from commonry.bookings.rules import policies
from commonry.bookings.rules.transitions import STEPS, Command, StepName
from commonry.contracts.bookings import Booking, BookingState, Line, NewBooking, Quote
from commonry.contracts.inventory import Terms
from commonry.contracts.money import Money
from commonry.contracts.words import Period
from commonry.kit.db import Tx, as_json, one, run, value
from commonry.kit.due import LEASE, Claim


class Running(msgspec.Struct, kw_only=True):
    """A booking with what only its saga needs to know."""

    booking: Booking
    step: StepName
    terms: Terms
    tiers: policies.Tiers
    method: str | None
    ending: BookingState | None
    claim: Money | None
    attempts: int
    picked_up_at: datetime | None
    returned_at: datetime | None
    completed_at: datetime | None
    traceparent: str | None

    @property
    def id(self) -> UUID:
        """The booking's id, under which every step is idempotent."""
        return self.booking.id

    @property
    def period(self) -> Period:
        """The booked period."""
        return Period(self.booking.from_, self.booking.to)


class Move(msgspec.Struct, kw_only=True):
    """Where a step led: the next step, a line for the timeline, when to look again, and what changed."""

    to: StepName
    text: str | None = None
    due: datetime | None = None
    problem: dict[str, Any] | None = None
    changes: dict[str, Any] = {}


def _money(document: Any) -> Money | None:
    return msgspec.convert(document, Money) if document else None


def _booking(terms: Terms, r: dict[str, Any]) -> Booking:
    plain: dict[str, Any] = {name: r[name] for name in _AS_THEY_ARE}
    return Booking(
        **plain,
        total=_money(r["total"]),
        deposit=_money(r["deposit"]),
        refund=_money(r["refund"]),
        item_title=terms.title,
        from_=r["starts_at"],
        to=r["ends_at"],
        lines=msgspec.convert(r["lines"], list[Line]),
        booking_mode=terms.booking_mode,
        handover=terms.handover,
        cancellation=terms.cancellation,
        settling=STEPS[r["step"]].kind == "acts",
    )


def running(**r: Any) -> Running:
    """Makes a `Running` from a row of `COLUMNS`."""
    terms = msgspec.convert(r["terms"], Terms)
    return Running(
        booking=_booking(terms, r),
        terms=terms,
        tiers=r["tiers"],
        step=r["step"],
        method=r["payment_method"],
        ending=r["ending"],
        claim=_money(r["claim"]),
        attempts=r["attempts"],
        picked_up_at=r["picked_up_at"],
        returned_at=r["returned_at"],
        completed_at=r["completed_at"],
        traceparent=r["traceparent"],
    )


_AS_THEY_ARE = (
    "id state item_id borrower_id owner_id quantity deposit_state message overdue disputed at_risk answer_by problem"
    " created_at updated_at"
).split()
COLUMNS: LiteralString = """
    id, item_id, borrower_id, owner_id, starts_at, ends_at, quantity, terms, tiers, lines, total, deposit,
    payment_method,
    message, state, step, ending, problem, refund, claim, deposit_state, overdue, disputed, at_risk, answer_by,
    picked_up_at, returned_at, completed_at, attempts, traceparent, created_at, updated_at"""


async def create(
    tx: Tx, claim: Claim, borrower: UUID, order: NewBooking, quote: Quote, terms: Terms, trace: str
) -> Running:
    """Insert a pending booking, held by the process that will run its first steps; all of them belong to `trace`."""
    row = {
        "borrower": borrower,
        "owner": terms.owner_id,
        "item": order.item_id,
        "from": order.from_,
        "to": order.to,
        "quantity": order.quantity,
        "terms": as_json(terms),
        "tiers": as_json(policies.TIERS[terms.cancellation]),
        "lines": as_json(msgspec.to_builtins(quote.lines)),
        "total": quote.total and as_json(quote.total),
        "deposit": quote.deposit and as_json(quote.deposit),
        "deposit_state": "due" if quote.deposit else "none",
        "method": order.payment_method,
        "message": order.message,
        "lease": LEASE,
        "trace": trace,
    } | claim._asdict()
    made = await one(tx, running, _CREATE, row)
    assert made is not None  # noqa: S101 why: an INSERT that returns nothing has raised
    return made


async def read(tx: Tx, booking: UUID) -> Running | None:
    """A booking, None if there is none."""
    return await one(tx, running, _READ, {"id": booking})


async def read_held(tx: Tx, claim: Claim) -> Running | None:
    """A booking, if it is still ours."""
    return await one(tx, running, _READ_HELD, claim._asdict())


async def move(tx: Tx, claim: Claim, was: Running, to: Move) -> Running | None:
    """The fenced transition: None when the row is no longer ours or no longer where it was."""
    step = STEPS[to.to]
    acts = step.kind == "acts"
    now = was.booking
    row = {
        "deposit_state": now.deposit_state,
        "refund": now.refund,
        "claim": was.claim,
        "answer_by": now.answer_by,
        "overdue": now.overdue,
        "picked_up_at": was.picked_up_at,
        "ending": was.ending,
        "completed": False,
        "state": step.state,
    } | to.changes
    for key in ("refund", "claim"):
        row[key] = row[key] and as_json(row[key])
    fence = {"id": claim.id, "holder": claim.holder, "expected": was.step, "lease": LEASE if acts else None}
    told = {"step": to.to, "acts": acts, "due": to.due, "event": _event(was, to), "text": to.text}
    problem = to.problem or (now.problem if was.ending else None)
    return await one(tx, running, _MOVE, row | fence | told | {"problem": problem and as_json(problem)})


def _event(was: Running, to: Move) -> str:
    """What the timeline calls it: how the booking ends or is about to, else what the step has done."""
    refused = "refused" if to.problem else None
    return to.changes.get("state") or to.changes.get("ending") or refused or STEPS[was.step].event


async def take(
    tx: Tx, booking: UUID, command: Command, name: str, by: UUID, holder: str, *, note: str = "", **changes: Any
) -> Running | None:
    """A person's transition: None unless the booking rests at one of its steps and nobody is at work on it."""
    row: dict[str, Any] = {"refund": None, "claim": None, "picked_up": False, "returned": False} | changes
    for key in ("refund", "claim"):
        row[key] = row[key] and as_json(row[key])
    guard = {"id": booking, "from": list(command.from_), "holder": holder, "lease": LEASE}
    text = f"{command.words}: {note}" if note else command.words
    told = {"to": command.to, "ending": command.ending, "event": name, "text": text, "by": by}
    return await one(tx, running, _TAKE, row | guard | told)


async def dispute(tx: Tx, booking: UUID, by: UUID, note: str) -> Running | None:
    """Stop the clock on a returned booking until a manager has decided."""
    return await one(tx, running, _DISPUTE, {"id": booking, "by": by, "text": f"The owner reported a problem: {note}"})


async def flag_at_risk(tx: Tx, bookings: list[UUID], *, risk: bool) -> None:
    """Mark (or clear) bookings whose item may not be back in time, and tell their timeline."""
    text = "The item is late; the pickup may be delayed" if risk else "The item is back in time"
    await run(tx, _AT_RISK, {"ids": bookings, "risk": risk, "text": text})


async def forget_member(tx: Tx, member: UUID) -> None:
    """An erased member's own words go; what happened stays."""
    await run(tx, _FORGET, {"member": member})


async def has_live(tx: Tx, member: UUID) -> bool:
    """Whether a member is a party of a booking that is not over."""
    return bool(await value(tx, _HAS_LIVE, {"member": member}))


_CREATE: LiteralString = (
    """
    WITH made AS (
        INSERT INTO bookings (id, item_id, borrower_id, owner_id, starts_at, ends_at, quantity, terms, tiers, lines,
            total, deposit, deposit_state, payment_method, message, due, holder, lease_until,
            traceparent)
        VALUES (%(id)s, %(item)s, %(borrower)s, %(owner)s, %(from)s, %(to)s, %(quantity)s, %(terms)s, %(tiers)s,
            %(lines)s, %(total)s, %(deposit)s, %(deposit_state)s, %(method)s, %(message)s, app_now(), %(holder)s,
            now() + make_interval(secs => %(lease)s), %(trace)s)
        RETURNING """
    + COLUMNS
    + """),
    told AS (
        INSERT INTO timeline (booking_id, event, text, by_id, state)
        SELECT id, 'booked', 'Asked for', borrower_id, state FROM made)
    SELECT """
    + COLUMNS
    + " FROM made"
)
_READ: LiteralString = "SELECT " + COLUMNS + " FROM bookings WHERE id = %(id)s"
_READ_HELD: LiteralString = _READ + " AND holder = %(holder)s"
# While steps act one after the other `due` stays as it was: it is in an index, so a new value would cost one in each.
_MOVE: LiteralString = (
    """
    WITH moved AS (
        UPDATE bookings SET step = %(step)s, state = coalesce(%(state)s::text, state), ending = %(ending)s,
            problem = %(problem)s, refund = %(refund)s, claim = %(claim)s, deposit_state = %(deposit_state)s,
            answer_by = %(answer_by)s, overdue = %(overdue)s, picked_up_at = %(picked_up_at)s,
            completed_at = CASE WHEN %(completed)s THEN app_now() ELSE completed_at END,
            due = CASE WHEN %(acts)s THEN due ELSE %(due)s::timestamptz END,
            holder = CASE WHEN %(acts)s THEN holder END,
            lease_until = now() + make_interval(secs => %(lease)s),
            attempts = 0, trouble = NULL, updated_at = app_now()
        WHERE id = %(id)s AND step = %(expected)s AND holder = %(holder)s
        RETURNING """
    + COLUMNS
    + """),
    told AS (
        INSERT INTO timeline (booking_id, event, text, state)
        SELECT id, %(event)s, %(text)s, state FROM moved WHERE %(text)s::text IS NOT NULL)
    SELECT """
    + COLUMNS
    + " FROM moved"
)
_TAKE: LiteralString = (
    """
    WITH taken AS (
        UPDATE bookings SET step = %(to)s, ending = %(ending)s, refund = coalesce(%(refund)s, refund),
            claim = coalesce(%(claim)s, claim), problem = NULL,
            picked_up_at = CASE WHEN %(picked_up)s THEN app_now() ELSE picked_up_at END,
            returned_at = CASE WHEN %(returned)s THEN app_now() ELSE returned_at END,
            disputed = CASE WHEN %(event)s = 'resolve' THEN false ELSE disputed END,
            due = app_now(), holder = %(holder)s, lease_until = now() + make_interval(secs => %(lease)s),
            attempts = 0, trouble = NULL, updated_at = app_now()
        WHERE id = %(id)s AND step = ANY (%(from)s) AND (lease_until IS NULL OR lease_until < now())
        RETURNING """
    + COLUMNS
    + """),
    told AS (
        INSERT INTO timeline (booking_id, event, text, by_id, state)
        SELECT id, %(event)s, %(text)s, %(by)s, state FROM taken)
    SELECT """
    + COLUMNS
    + " FROM taken"
)
_DISPUTE: LiteralString = (
    """
    WITH stopped AS (
        UPDATE bookings SET disputed = true, due = NULL, updated_at = app_now()
        WHERE id = %(id)s AND step = 'returned' AND (lease_until IS NULL OR lease_until < now())
        RETURNING """
    + COLUMNS
    + """),
    told AS (
        INSERT INTO timeline (booking_id, event, text, by_id, state)
        SELECT id, 'dispute', %(text)s, %(by)s, state FROM stopped)
    SELECT """
    + COLUMNS
    + " FROM stopped"
)
_AT_RISK: LiteralString = """
    WITH flagged AS (
        UPDATE bookings SET at_risk = %(risk)s, updated_at = app_now()
        WHERE id = ANY (%(ids)s) AND at_risk <> %(risk)s AND step <> 'over'
        RETURNING id, state)
    INSERT INTO timeline (booking_id, event, text, state)
    SELECT id, 'at-risk', %(text)s, state FROM flagged"""
_FORGET: LiteralString = "UPDATE bookings SET message = '' WHERE borrower_id = %(member)s AND message <> ''"
_HAS_LIVE: LiteralString = """
    SELECT EXISTS (
        SELECT 1 FROM bookings WHERE step <> 'over' AND (borrower_id = %(member)s OR owner_id = %(member)s))"""
