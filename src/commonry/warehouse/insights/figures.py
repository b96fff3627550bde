"""Each insight: which mart it is of, what is made of its rows, and how it is said."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Literal, NamedTuple

from commonry.contracts.money import EXPONENTS
from commonry.warehouse.insights import plots

Row = dict[str, Any]
Rows = Sequence[Row]
Marts = Mapping[str, Rows]
"""Mart → all its rows."""
MONTHS = 12
SHOWN = 10


class Figure(NamedTuple):
    """An insight as it is shown: a drawing, and the table behind it."""

    name: str
    title: str
    words: str
    mart: str
    """Where the table is from, and all of it can be had."""
    svg: str
    columns: list[str]
    rows: list[list[str]]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show yet."""
        return not self.rows


class Shape(NamedTuple):
    """How an insight is made: labels and values from rows that end with a month."""

    name: str
    title: str
    words: str
    mart: str
    kind: Literal["columns", "bars"]
    points: Callable[[Rows, date], Sequence[tuple[str, float | None]]]
    say: Callable[[float, str], str]
    column: str
    """What the values are, as the table's heading."""


def last_months(until: date) -> list[date]:
    """The first days of the twelve months that end with this one."""
    first = until.year * 12 + until.month - MONTHS
    return [date(number // 12, number % 12 + 1, 1) for number in range(first, first + MONTHS)]


def _by_month(column: str) -> Callable[[Rows, date], Sequence[tuple[str, float | None]]]:
    def points(rows: Rows, until: date) -> Sequence[tuple[str, float | None]]:
        sums: dict[date, float] = defaultdict(float)
        known: set[date] = set()
        for row in rows:
            known.add(row["month"])
            sums[row["month"]] += row[column] or 0
        months = last_months(until)
        begun = min((m for m in months if m in known), default=None)
        return [(f"{m:%b %y}", sums[m]) for m in months if begun and m >= begun]

    return points


def _utilisation(rows: Rows, _: date) -> Sequence[tuple[str, float | None]]:
    lent: dict[str, float] = defaultdict(float)
    offered: dict[str, float] = defaultdict(float)
    for row in rows:
        lent[row["category"]] += row["days_lent"] or 0
        offered[row["category"]] += row["days_offered"] or 0
    shares = [(name.replace("-", " ").capitalize(), lent[name] / days) for name, days in offered.items() if days]
    return sorted(shares, key=lambda p: (-p[1], p[0]))[:SHOWN]


def _unmet(rows: Rows, _: date) -> Sequence[tuple[str, float | None]]:
    asked = [(row["words"] or row["category"] or "anything", float(row["unanswered"])) for row in rows]
    found = [(words, number) for words, number in asked if number]
    return sorted(found, key=lambda p: (-p[1], p[0]))[:SHOWN]


def _again(rows: Rows, _: date) -> Sequence[tuple[str, float | None]]:
    """Over all groups whose number may be told, by months since the first loan."""
    there: dict[int, int] = defaultdict(int)
    active: dict[int, int] = defaultdict(int)
    for row in rows:
        if row["active"] is not None and row["months_later"] > 0:
            there[row["months_later"]] += row["borrowers"]
            active[row["months_later"]] += row["active"]
    return [(f"{n} later", active[n] / there[n]) for n in sorted(there)[:MONTHS]]


def _owners(rows: Rows, until: date) -> Sequence[tuple[str, float | None]]:
    main = currency_of(rows)
    return _by_month("owners")([r for r in rows if r["currency"] == main], until)


def currency_of(rows: Rows) -> str:
    """The currency with the most entries; empty without any."""
    counted: dict[str, int] = defaultdict(int)
    for row in rows:
        counted[row["currency"] or ""] += row.get("entries", 1)
    return max(counted, key=lambda c: (counted[c], c), default="")


def whole(value: float, _: str) -> str:
    """`1,234`."""
    return f"{value:,.0f}"


def percent(value: float, _: str) -> str:
    """`34 %`."""
    return f"{value * 100:.0f} %"


def kilograms(value: float, _: str) -> str:
    """`1,234 kg`."""
    return f"{value:,.0f} kg"


def money(value: float, currency: str) -> str:
    """`120.50 EUR` from minor units, in whole units where it is much."""
    units = value / 10 ** EXPONENTS.get(currency, 2)
    return f"{units:,.0f} {currency}".strip()


SHAPES = (
    Shape("loans", "Loans", "Bookings of each month that were or are being used.", "overview", "columns",
          _by_month("loans"), whole, "loans"),
    Shape("members", "New members", "People who joined, by month.", "overview", "columns",
          _by_month("members_joined"), whole, "people"),
    Shape("utilisation", "How much of the time things are lent",
          "Days lent of the days on which things were offered, by category.", "utilisation", "bars",
          _utilisation, percent, "share of days"),
    Shape("demand", "What people looked for in vain",
          "Searches of the last 90 days that found nothing, where at least five asked.", "demand", "bars",
          _unmet, whole, "searches"),
    Shape("retention", "Who borrows again",
          "Of the members of each first month, the share that borrowed so many months later. Groups below five are left"
          " out.", "retention", "columns", _again, percent, "share of borrowers"),
    Shape("money", "Earned by owners", "Paid out for loans, by month, from the ledger.", "money", "columns",
          _owners, money, "amount"),
    Shape("purchases", "Purchases avoided", "Things that nobody had to buy: an estimate.", "impact", "columns",
          _by_month("purchases_avoided"), whole, "purchases"),
    Shape("climate", "CO₂e saved", "What making those things would have caused, by month: an estimate.", "impact",
          "columns", _by_month("kg_co2e"), kilograms, "kg CO₂e"),
)  # fmt: skip
"""All of them, in the order in which they are shown."""


def figures(marts: Marts, until: date) -> list[Figure]:
    """Every insight, with months up to this one."""
    return [_figure(shape, marts[shape.mart], until) for shape in SHAPES]


def _figure(shape: Shape, rows: Rows, until: date) -> Figure:
    points = list(shape.points(rows, until))
    currency = currency_of(rows) if shape.mart == "money" else ""

    def words(value: float) -> str:
        return shape.say(value, currency)

    title = f"{shape.title}, in {currency}" if currency else shape.title
    draw = plots.columns if shape.kind == "columns" else plots.bars
    table = [[label, "–" if value is None else words(value)] for label, value in points]
    heading = "month" if shape.kind == "columns" and shape.name != "retention" else "what"
    return Figure(
        shape.name,
        title,
        shape.words,
        shape.mart,
        draw(title, points, words),
        [heading if shape.name != "retention" else "months later", shape.column],
        table,
    )
