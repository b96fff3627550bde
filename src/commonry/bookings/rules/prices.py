"""What a period costs: rules 13 and 15. Whole minor units, one rounding per line, half up; the lines sum to the total.

An hour price counts started hours of elapsed time, a day price local days, a week price full weeks and a seventh for
each day that remains. An item without a price, or with a price of nothing, has no lines and no total.
"""

import hashlib
import json
from datetime import datetime, timedelta
from uuid import UUID

from commonry.bookings.rules import periods
from commonry.bookings.rules.periods import counted, later
from commonry.contracts.bookings import Line
from commonry.contracts.inventory import Price, Terms
from commonry.contracts.money import MOST, Money, shown
from commonry.contracts.problems import Mistake, NotValid
from commonry.contracts.words import Period


def quote_lines(terms: Terms, period: Period, quantity: int) -> list[Line]:
    """The lines of a price, in the minor units of the item's currency (rules 3, 13); empty for a free item.

    `units` of a line is `quantity`. The period is taken as it is: ask `mistakes_in_period` first. NotValid, at `to`,
    if it comes to more than an amount of money may be."""
    price = terms.price
    if price is None or not price.amount:
        return []
    lines = _lines(price, period, terms.time_zone, quantity)
    if sum(line.amount for line in lines) > MOST:
        raise NotValid(
            Mistake("to", f"costs more than {shown(Money(MOST, price.currency))}: take less, or for less long")
        )
    return lines


def total(lines: list[Line]) -> Money | None:
    """The sum of the lines, all of one currency (rule 13); None where there is nothing to pay."""
    amount = sum(line.amount for line in lines)
    return Money(amount, lines[0].currency) if amount else None


def deposit(terms: Terms, quantity: int) -> Money | None:
    """The deposit of each unit times `quantity`; None if there is none. NotValid, at `quantity`, if it is too much."""
    each = terms.deposit
    if each is None or not each.amount:
        return None
    if each.amount * quantity > MOST:
        raise NotValid(Mistake("quantity", f"needs a deposit of more than {shown(Money(MOST, each.currency))}"))
    return Money(each.amount * quantity, each.currency)


def quote_hash(item: UUID, period: Period, quantity: int, lines: list[Line], deposit: Money | None) -> str:
    """SHA-256, in hexadecimal, of all that was quoted, as canonical JSON (rule 15): the same quote has the same hash on
    every machine and in every release, whatever offset its instants were written with; another price is another."""
    quoted = {
        "item": str(item),
        "from": _written(period.from_),
        "to": _written(period.to),
        "quantity": quantity,
        "lines": [[line.label, line.amount, line.currency, line.units] for line in lines],
        "deposit": deposit and [deposit.amount, deposit.currency],
    }
    canonical = json.dumps(quoted, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def half_up(numerator: int, denominator: int) -> int:
    """The quotient rounded to the nearest whole, a half upwards; of integers, `numerator` not negative."""
    return (2 * numerator + denominator) // (2 * denominator)


def _lines(price: Price, period: Period, zone: str, quantity: int) -> list[Line]:
    match price.per:
        case "hour":
            counts = [(periods.hours(period), "hour", 1)]
        case "day":
            counts = [(periods.local_days(period, zone), "day", 1)]
        case "week":
            weeks, days = periods.weeks(period, zone)
            counts = [(weeks, "week", 1), (days, "day", 7)]
    return [_line(price, count, noun, share, quantity) for count, noun, share in counts if count]


def _line(price: Price, count: int, noun: str, share: int, quantity: int) -> Line:
    """`count` times a price (`share` 1) or a seventh of it (7), times `quantity`: the one rounding of the line."""
    each = shown(Money(price.amount, price.currency))
    label = f"{counted(count, noun)} × {each if share == 1 else f'1/{share} of {each}'}"
    return Line(
        label=label if quantity == 1 else f"{label} × {counted(quantity, 'unit')}",
        amount=half_up(count * price.amount * quantity, share),
        currency=price.currency,
        units=quantity,
    )


def _written(moment: datetime) -> str:
    return later(moment, timedelta(0)).isoformat(timespec="microseconds")
