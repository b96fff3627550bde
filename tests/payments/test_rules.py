"""Rules of money that need no database."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonry.contracts.money import MOST, Money
from commonry.contracts.payments import Payment
from commonry.kit import clock
from commonry.payments import rules


@pytest.mark.parametrize(
    ("amount", "percent", "fee"),
    [(1000, 0, 0), (1000, 15, 150), (999, 15, 150), (103, 15, 15), (10, 5, 1), (9, 5, 0), (1, 50, 1), (3, 50, 2)],
)
def test_rule_13_a_fee_is_rounded_once_half_up(amount: int, percent: int, fee: int) -> None:
    assert rules.fee_of(amount, percent) == fee


@given(amount=st.integers(0, MOST), percent=st.integers(0, 50))
def test_rule_13_a_fee_is_within_half_a_minor_unit_and_never_more_than_half(amount: int, percent: int) -> None:
    fee = rules.fee_of(amount, percent)
    assert -50 < fee * 100 - amount * percent <= 50
    assert 0 <= fee <= (amount + 1) // 2


@given(
    amount=st.integers(1, MOST),
    taken=st.integers(0, MOST),
    back=st.integers(0, MOST),
    fee_percent=st.integers(0, 50),
    purpose=st.sampled_from(["rental", "deposit", "late_fee", "extension"]),
    from_payee=st.booleans(),
)
def test_rule_14_every_kind_of_entry_sums_to_zero(
    amount: int, taken: int, back: int, fee_percent: int, purpose: rules.Purpose, from_payee: bool
) -> None:
    taken = min(taken, amount)
    row = _row(amount, taken, min(back, taken), purpose)
    drafts = [rules.authorised(row), rules.released(row, amount), rules.paid_out(row, fee_percent)]
    drafts += [
        rules.refunded(row, back or 1, "x", from_payee=from_payee),
        *(rules.captured(row, taken) if taken else []),
    ]
    for draft in filter(None, drafts):
        assert sum(moved for _, moved in draft.lines) == 0
        assert len(draft.lines) >= 2
        assert len({account for account, _ in draft.lines}) == len(draft.lines)
    assert len({d.cause for d in drafts if d}) >= 3


def _row(amount: int, captured: int, refunded: int, purpose: rules.Purpose) -> rules.Row:
    payment = Payment(
        booking_id=uuid4(),
        purpose=purpose,
        status="captured",
        amount=Money(amount, "EUR"),
        captured=Money(captured, "EUR"),
        refunded=Money(refunded, "EUR"),
        method="pm_card_visa",
        created_at=clock.now(),
        updated_at=clock.now(),
    )
    parties = {"payer": uuid4(), "payee": uuid4(), "ref": None}
    return rules.Row(uuid4(), payment, **parties, charge=0, charges=0, renewing=False, paid_out=False)


def test_every_charge_has_a_key_of_its_own() -> None:
    row = _row(1, 1, 0, "rental")._replace(charges=2)
    assert len({row.key(n) for n in range(3)} | {rules.refund_key(row, "a"), rules.refund_key(row, "b")}) == 5
    assert row.other_charges() == [1, 2]
