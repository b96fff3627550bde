"""Amounts as people write them: read exactly, or refused when they could mean two things."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonry.contracts.money import EXPONENTS, Money, shown
from commonry.inventory.rules.sheets import amounts, cells


@pytest.mark.parametrize(
    ("text", "currency", "amount", "code"),
    [
        ("€ 12,50", "USD", 1250, "EUR"),
        ("12.50 EUR", "USD", 1250, "EUR"),
        ("1.234,50", "EUR", 123450, "EUR"),
        ("1,234.50", "EUR", 123450, "EUR"),
        ("1 234,5 €", "EUR", 123450, "EUR"),
        ("CHF 1'234.50", "EUR", 123450, "CHF"),
        ("Fr. 12.–", "EUR", 1200, "CHF"),
        ("12,- €", "EUR", 1200, "EUR"),
        ("1,250", "EUR", 125000, "EUR"),
        ("1.250.000", "EUR", 125000000, "EUR"),
        ("1,00,000", "INR", 10000000, "INR"),
        ("0", "EUR", 0, "EUR"),
        ("0.1", "EUR", 10, "EUR"),
        ("¥1,250", "JPY", 1250, "JPY"),
        ("1250.00 JPY", "EUR", 1250, "JPY"),
        ("1.250 KWD", "EUR", 1250, "KWD"),
        ("1250,5 KWD", "EUR", 1250500, "KWD"),
        ("$5", "CAD", 500, "CAD"),
        ("$5", "EUR", 500, "USD"),
        ("100 kr", "SEK", 10000, "SEK"),
        ("99999999.99", "EUR", 9999999999, "EUR"),
    ],
)
def test_rule_13_amounts_are_read_exactly(text: str, currency: str, amount: int, code: str):
    assert amounts.amount_in(text, currency) == amounts.Said(amount, code, None)


@pytest.mark.parametrize(
    ("text", "currency", "per"),
    [
        ("5 € / day", "EUR", "day"),
        ("€5 per week", "EUR", "week"),
        ("5/h", "EUR", "hour"),
        ("3,50 €/Tag", "EUR", "day"),
        ("$4 daily", "USD", "day"),
    ],
)
def test_an_amount_may_say_for_how_long(text: str, currency: str, per: str):
    found = amounts.amount_in(text, currency)
    assert found
    assert found.per == per


@pytest.mark.parametrize("text", ["free", "FREE", "gratis", "kostenlos", "", "-", "n/a", " none "])
def test_no_amount(text: str):
    assert amounts.amount_in(text, "EUR") is None


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("1,250 KWD", "EUR"),
        ("0.125", "EUR"),
        ("12.5050", "EUR"),
        ("-5", "EUR"),
        ("(5.00)", "EUR"),
        ("$-5", "USD"),
        ("12.345.67", "EUR"),
        ("1.2.3", "EUR"),
        ("12 or 15", "EUR"),
        ("5 per person", "EUR"),
        ("ask", "EUR"),
        ("100 kr", "EUR"),
        ("5 XYZ", "EUR"),
        ("1250.50 JPY", "EUR"),
        ("9" * 5000, "EUR"),
    ],
)
def test_an_amount_that_could_mean_two_things_or_none_is_refused(text: str, currency: str):
    with pytest.raises(cells.Wrong):
        amounts.amount_in(text, currency)


@given(st.integers(0, 10**12), st.sampled_from(sorted(EXPONENTS)), st.sampled_from(sorted(EXPONENTS)))
def test_rule_13_every_amount_we_write_is_read_back(amount: int, currency: str, other: str):
    assert amounts.amount_in(shown(Money(amount, currency)), other) == amounts.Said(amount, currency, None)
