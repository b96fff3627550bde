"""Amounts of money as people write them: `€ 12,50`, `12.50 EUR / day`, `1.234,50`, `free`.

Read digit by digit into minor units: exactly or not at all. Where a separator could be taken two ways, with a
thousandfold difference, the amount is refused and the message says how to write it.
"""

import re
from typing import Any, NamedTuple

from commonry.contracts.inventory import Per
from commonry.contracts.money import EXPONENTS
from commonry.inventory.rules.sheets.cells import Wrong

_NOTHING = frozenset("free gratis kostenlos umsonst frei gratuit libre none no nil n/a na - – —".split()) | {
    "",
    "no charge",
}
_SIGNS = {
    sign: code
    for code, signs in {
        "EUR": "€ euro euros",
        "GBP": "£ pounds",
        "CHF": "fr fr. sfr sfr.",
        "USD": "us$ dollars",
        "AUD": "a$ au$",
        "CAD": "c$ ca$",
        "NZD": "nz$",
        "SGD": "s$",
        "HKD": "hk$",
        "BRL": "r$",
        "PLN": "zł",
        "CZK": "kč",
        "HUF": "ft",
        "RON": "lei",
        "INR": "₹",
        "TRY": "₺",
        "KRW": "₩",
        "ILS": "₪",
        "VND": "₫",
        "NGN": "₦",
        "THB": "฿",
        "UAH": "₴",
        "PHP": "₱",
    }.items()
    for sign in signs.split()
}
_SHARED = {
    "$": "USD CAD AUD NZD SGD HKD MXN ARS CLP COP BBD BSD BZD JMD TTD TWD FJD NAD".split(),
    "¥": "JPY CNY".split(),
    "kr": "SEK NOK DKK ISK".split(),
    "kr.": "DKK SEK NOK ISK".split(),
}
"""Signs of several currencies: the column's own if it is among them, else the first; but `kr` could be anyone's."""

_PER_WORDS: dict[Per, str] = {
    "hour": "hour hr h hourly stunde std heure hora",
    "day": "day d daily tag tage tages jour dia giorno dag",
    "week": "week wk w weekly woche semaine semana settimana",
}
_PERS: dict[str, Per] = {word: per for per, words in _PER_WORDS.items() for word in words.split()}
_PER = re.compile(r"(?:/|\b(?:per|pro|je|an?|par|por|al)\b)\s*([^\W\d_]+)\.?|\b(hourly|daily|weekly)\b")
_DIGITS = re.compile(r"[0-9](?:[0-9.,'’ ]*[0-9])?")
_GROUPED = re.compile(r"[0-9]+|[0-9]{1,3}(?:([.,' ])(?:[0-9]{2,3}\1)*[0-9]{3})")
_ROUND = re.compile(r"^[.,]\s*[-–—]+")


class Said(NamedTuple):
    """What a cell says: minor units of a currency, and for how long, if it tells."""

    amount: int
    currency: str
    per: Per | None

    def money(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"amount": self.amount, "currency": self.currency}


def amount_in(text: str, currency: str) -> Said | None:
    """The amount in a cell, in its own currency or else in `currency`; None if it says that there is none.

    Raises `Wrong`.
    """
    said = re.sub(r"\s", " ", text).strip().casefold()
    if said in _NOTHING:
        return None
    digits = _DIGITS.search(said)
    if not digits:
        raise _not_money(text)
    if re.search(r"[-−(]", said[: digits.start()]):
        raise Wrong("an amount may not be negative")
    around = f"{said[: digits.start()]} {_ROUND.sub('', said[digits.end() :])}"
    per, rest = _per(around)
    code = _currency(rest.strip(), currency)
    if code is None:
        raise _not_money(text)
    return Said(_minor_units(digits[0], code), code, per)


def _not_money(text: str) -> Wrong:
    return Wrong(f"“{text.strip()[:40]}” is not an amount, such as 12.50 or 12.50 EUR, nor “free”")


def _per(around: str) -> tuple[Per | None, str]:
    for found in _PER.finditer(around):
        if per := _PERS.get(found[1] or found[2]):
            return per, around[: found.start()] + around[found.end() :]
    return None, around


def per_in(heading: str) -> Per | None:
    """For how long, if a heading tells: `daily rate`, `price per week`."""
    return next((_PERS[word] for word in heading.split() if len(word) > 1 and word in _PERS), None)


def currency_of(text: str, fallback: str = "") -> str | None:
    """The currency that a code or a sign means, None for none."""
    return _currency(text.strip().casefold(), fallback) if text.strip() else None


def currency_in(heading: str, fallback: str) -> str | None:
    """The currency named in a heading: `Price (EUR)`, `Fee in €`."""
    words = re.findall(r"[^\W\d_]+|[€$£¥₹]", heading)
    codes = [word for word in words if len(word) != 3 or word.upper() == word]
    return next((code for word in codes if (code := _currency(word.casefold(), fallback))), None)


def _currency(sign: str, fallback: str) -> str | None:
    if not sign:
        return fallback
    if sign.upper() in EXPONENTS:
        return sign.upper()
    if sign in _SHARED:
        several = _SHARED[sign]
        return fallback if fallback in several else several[0] if not sign.startswith("kr") else None
    return _SIGNS.get(sign)


def _minor_units(digits: str, currency: str) -> int:
    exponent = EXPONENTS[currency]
    units, rest = _split(digits.replace("’", "'"), exponent)
    if not _GROUPED.fullmatch(units) or len(units) > 20:
        raise Wrong(f"“{digits[:40]}” has separators in odd places: write it like 1234.50")
    if rest[exponent:].strip("0"):
        raise Wrong(f"“{digits[:40]}” has more decimals than {currency} knows ({exponent})")
    return int(re.sub(r"[^0-9]", "", units) + rest[:exponent].ljust(exponent, "0"))


def _split(digits: str, exponent: int) -> tuple[str, str]:
    """Units and decimals. A lone separator before three digits parts thousands, unless there are three decimals."""
    last = max(digits.rfind("."), digits.rfind(","))
    if last < 0:
        return digits, ""
    units, sign, rest = digits[:last], digits[last], digits[last + 1 :]
    if not rest.isdigit() or sign in units:
        return digits, ""
    if re.search(r"[.,' ]", units) or len(rest) != 3 or units == "0":
        return units, rest
    if exponent < 3:
        return digits, ""
    if sign == ",":
        raise Wrong(f"“{digits[:40]}” may be read two ways: write it like 1250.000 or 1.250")
    return units, rest
