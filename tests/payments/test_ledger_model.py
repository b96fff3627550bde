"""A machine that does anything to money in any order, against a model of a few lines.

After every step the real books must balance, agree with the provider's own book and with the model. Any step may
stumble first: we die, or stop listening, before or after the provider has done its part; asked again, the outcome is
as if nothing had happened.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from commonry.contracts.money import Money
from commonry.contracts.payments import Payment, Purpose
from commonry.contracts.problems import PaymentClosed, PaymentDeclined, PaymentDiffers, PaymentTooMuch
from commonry.kit import failpoints
from commonry.kit.db import Database
from commonry.kit.problems import InternalError, NotFound, Unavailable
from tests.payments.world import MUST_BE_EMPTY, World

FEE = 7
GOOD, BAD = "pm_card_visa", "pm_card_visa_chargeDeclined"
SILENT, STUBBORN = "pm_sandbox_timeout", "pm_sandbox_captureFails"


@dataclass
class Modelled:
    """A payment as it ought to be."""

    status: str = "voided"
    amount: int = 0
    method: str = ""
    captured: int = 0
    reasons: dict[str, int] = field(default_factory=dict[str, int])
    credited: int = 0
    fee: int = 0
    paid_out: bool = False
    taken_back: int = 0

    @property
    def refunded(self) -> int:
        return sum(self.reasons.values())


Place = tuple[int, Purpose]
"""Which booking, and which of its payments."""
amounts = st.sampled_from([1, 2, 99, 1000, 1001])
methods = st.sampled_from([GOOD] * 5 + [BAD, SILENT, STUBBORN])
stumbles = st.sampled_from([""] * 3 + ["asking=error*1", "answered=error*1", "answered=sleep:0.2*1"])


class Ledger(RuleBasedStateMachine):
    url = ""
    known = Bundle("known")

    @initialize()
    def open(self) -> None:
        self.runner = asyncio.Runner()
        self.bookings: list[UUID] = []
        self.model: dict[Place, Modelled] = {}
        self.runner.run(self._open())

    async def _open(self) -> None:
        self.db = Database(self.url, name="payments", size=2)
        await self.db.open()
        self.world = World(self.db, fee_percent=FEE)
        self.hasty = World(self.db, fee_percent=FEE, provider_seconds=0.03)
        self.hasty.borrower, self.hasty.owner = self.world.borrower, self.world.owner

    def teardown(self) -> None:
        failpoints.arm("")
        if hasattr(self, "runner"):
            self.runner.run(self.db.close())
            self.runner.close()

    # --- steps: what ought to come of it, and what does ---

    @rule(target=known, purpose=st.sampled_from(["rental", "deposit"]), same_booking=st.booleans())
    def name(self, purpose: Purpose, same_booking: bool) -> Place:
        """A payment that nobody has asked anything about yet."""
        if not self.bookings or not same_booking or (len(self.bookings) - 1, purpose) in self.model:
            self.bookings.append(uuid4())
        return len(self.bookings) - 1, purpose

    @rule(place=known, amount=amounts, method=methods, stumble=stumbles)
    def authorise(self, place: Place, amount: int, method: str, stumble: str) -> None:
        known = self.model.get(place)
        if known is None or known.status == "declined":
            outcomes = {BAD: ("declined", PaymentDeclined), SILENT: ("authorising", Unavailable)}
            status, expected = outcomes.get(method, ("authorised", Payment))
            self.model[place] = Modelled(status, amount, method)
        elif known.status == "voided":
            expected = PaymentClosed
        elif (known.amount, known.method) != (amount, method):
            expected = PaymentDiffers
        else:
            expected = Unavailable if known.status == "authorising" else Payment
        world = self.hasty if expected is Unavailable else self.world
        order = world.order(amount, method)
        self.expect(
            expected, stumble, "authorise", lambda w: w.client.authorise(self.booking(place), place[1], order), world
        )

    @rule(place=known, amount=st.none() | amounts, stumble=stumbles)
    def capture(self, place: Place, amount: int | None, stumble: str) -> None:
        known = self.model.get(place)
        expected = self.captured(known, amount)
        if expected is Payment and known and known.status == "authorised":
            known.status, known.captured = "captured", amount or known.amount
        money = None if amount is None else Money(amount, "EUR")
        self.expect(expected, stumble, "capture", lambda w: w.client.capture(self.booking(place), place[1], money))

    def captured(self, known: Modelled | None, amount: int | None) -> type:
        if known is None:
            return NotFound
        early = {"voided": PaymentClosed, "declined": PaymentDeclined, "authorising": Unavailable}
        if known.status in early:
            return early[known.status]
        limit = (known.captured, known.captured) if known.status == "captured" else (1, known.amount)
        if amount is not None and not limit[0] <= amount <= limit[1]:
            return PaymentTooMuch
        return PaymentDeclined if known.method == STUBBORN else Payment

    @rule(place=known, stumble=stumbles)
    def void(self, place: Place, stumble: str) -> None:
        known = self.model.setdefault(place, Modelled())
        if known.status != "captured":
            known.status = "voided"
        self.expect(Payment, stumble, "void", lambda w: w.client.void(self.booking(place), place[1]))

    @rule(place=known, amount=amounts, reason=st.sampled_from(["a", "b", "c"]), stumble=stumbles)
    def refund(self, place: Place, amount: int, reason: str, stumble: str) -> None:
        known = self.model.get(place)
        expected = self.refunded(known, amount, reason)
        if expected is Payment and known and reason not in known.reasons:
            known.reasons[reason] = amount
            known.taken_back += amount if known.paid_out else 0
        money = Money(amount, "EUR")
        self.expect(
            expected, stumble, "refund", lambda w: w.client.refund(self.booking(place), place[1], money, reason)
        )

    def refunded(self, known: Modelled | None, amount: int, reason: str) -> type:
        if known is None:
            return NotFound
        if reason in known.reasons:
            return Payment if known.reasons[reason] == amount else PaymentDiffers
        return Payment if known.refunded + amount <= known.captured else PaymentTooMuch

    @rule(place=known)
    def pay_out(self, place: Place) -> None:
        booking, _ = place
        for (owner, purpose), known in self.model.items():
            if owner == booking and known.status == "captured" and not known.paid_out:
                left = known.captured - known.refunded
                known.fee = 0 if purpose == "deposit" else (left * FEE * 2 + 100) // 200
                known.credited, known.paid_out = left - known.fee, True
        self.expect(type(None), "", "", lambda w: w.client.pay_out(self.bookings[booking]))

    @rule()
    def time_passes(self) -> None:
        """Abandoned authorisations are let go, holds renewed."""
        for known in self.model.values():
            known.status = "voided" if known.status == "authorising" else known.status
        self.runner.run(self._time_passes())

    async def _time_passes(self) -> None:
        for booking in self.bookings:
            await self.world.make_due(booking)
        await self.world.look_after()

    def expect(
        self, outcome: type, stumble: str, step: str, act: Callable[[World], Awaitable[Any]], world: World | None = None
    ) -> None:
        """Do it, stumbling first if told; then it must come out so."""
        failpoints.arm(f"payments.{step}.{stumble}" if stumble else "")
        if stumble:
            first = self.runner.run(_outcome(act(self.hasty if "sleep" in stumble else world or self.world)))
            assert isinstance(first, outcome | InternalError | Unavailable), first
        failpoints.arm("")
        last = self.runner.run(_outcome(act(world or self.world)))
        assert type(last) is outcome, last

    def booking(self, place: Place) -> UUID:
        return self.bookings[place[0]]

    @rule(target=known, amount=amounts, purpose=st.sampled_from(["rental", "deposit"]), part=amounts | st.none())
    def pay(self, amount: int, purpose: Purpose, part: int | None) -> Place:
        """The usual way, so that what comes after it is not rare."""
        place = self.name(purpose, same_booking=True)
        self.authorise(place, amount, GOOD, "")
        self.capture(place, part, "")
        return place

    # --- what always holds ---

    @invariant()
    def the_books_balance(self) -> None:
        if hasattr(self, "world"):
            assert self.runner.run(self._violated()) == []

    async def _violated(self) -> list[str]:
        claims = ", ".join(f"EXISTS ({query})" for query in MUST_BE_EMPTY.values())
        (found,) = await self.world.rows(f"SELECT {claims}")  # type: ignore[arg-type]
        return [claim for claim, is_violated in zip(MUST_BE_EMPTY, found, strict=True) if is_violated]

    @invariant()
    def the_rows_are_as_modelled(self) -> None:
        if hasattr(self, "world"):
            assert self.runner.run(self._rows()) == {
                (n, purpose): (m.status, m.captured, m.refunded, m.paid_out) for (n, purpose), m in self.model.items()
            }

    async def _rows(self) -> dict[Any, Any]:
        query = """SELECT booking_id, purpose, status, captured, refunded, paid_out FROM payments
            WHERE booking_id = ANY (%s)"""
        rows = await self.world.rows(query, self.bookings)
        return {(self.bookings.index(booking), purpose): tuple(rest) for booking, purpose, *rest in rows}

    @invariant()
    def every_pocket_is_as_modelled(self) -> None:
        if hasattr(self, "world"):
            real = self.runner.run(self.world.balances())
            assert {k: v for k, v in self._pockets().items() if v} == real

    def _pockets(self) -> dict[str, int]:
        held = sum(m.amount for m in self.model.values() if m.status == "authorised")
        paid = self.model.items()
        pots = {
            pot: sum(m.captured - m.refunded - m.credited - m.fee + m.taken_back for (_, p), m in paid if p == purpose)
            for pot, purpose in (("booking", "rental"), ("deposit", "deposit"))
        }
        return pots | {
            "limit": -held,
            "held": held,
            "borrower": sum(m.refunded - m.captured for _, m in paid),
            "owner": sum(m.credited - m.taken_back for _, m in paid),
            "platform": sum(m.fee for _, m in paid),
        }


async def _outcome(attempt: Awaitable[Any]) -> Any:
    try:
        return await attempt
    except Exception as problem:  # the outcome is looked at by the caller
        return problem


QUICK = settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
"""The same runs every time, and the first failure is shown as it is: the long test looks further, and shrinks."""
LONG = settings(QUICK, max_examples=100, derandomize=False, phases=[Phase.generate, Phase.shrink])


@pytest.fixture
def machine(url: str) -> type[Ledger]:
    return type("Ledger", (Ledger,), {"url": url})


def test_rule_14_the_ledger_agrees_with_its_model(machine: type[Ledger]) -> None:
    run_state_machine_as_test(machine, settings=QUICK)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_rule_14_the_ledger_agrees_with_its_model_for_long(machine: type[Ledger]) -> None:
    run_state_machine_as_test(machine, settings=LONG)
