"""A whole file becomes drafts of items, with every mistake of every row.

A draft holds only what the file (or the caller, for the whole file) says: what it does not say takes a default in a new
item and stays as it is in one that exists. An empty cell says “nothing” where nothing is possible, and is silent
elsewhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from commonry.contracts.inventory import Category, Per, RowMistake
from commonry.inventory.rules.sheets import amounts, cells, headings
from commonry.inventory.rules.sheets.categories import matched
from commonry.inventory.rules.sheets.cells import Wrong
from commonry.inventory.rules.sheets.headings import OWNER, Column
from commonry.inventory.rules.sheets.reading import MOST_ROWS, TITLE_ROWS, Row, Unreadable, read
from commonry.inventory.rules.sheets.writing import HEADINGS, unguarded

LONGEST_REF = 200
LONGEST_LABEL = 200
PLACE = ("lat", "lon", "label", "address")
MAY_BE_NOTHING: dict[str, Any] = {"title": "", "description": "", "price": None, "deposit": None, "address": None}
"""Fields of which an empty cell says something, and what."""


class Asked(NamedTuple):
    """What the caller says beside the file: who they are, what headings mean, what holds for all silent rows."""

    owner: UUID
    overrides: Mapping[str, str]
    currency: str
    everywhere: Mapping[str, Any]


class Draft(NamedTuple):
    """A row: its name in its owner's list (empty without one), and fields of a NewItem as JSON has them."""

    row: int
    ref: str
    said: dict[str, Any]


class Sheet(NamedTuple):
    """A file as understood. `at` tells under which heading a field was found."""

    drafts: Sequence[Draft] = ()
    mistakes: Sequence[RowMistake] = ()
    columns: Mapping[str, str] = {}
    ignored: Sequence[str] = ()
    categories: Mapping[str, str] = {}
    at: Mapping[str, str] = {}


class _Layout(NamedTuple):
    columns: dict[str, Column]
    verbatim: bool
    currency: str
    per: Per
    units: dict[str, str]
    categories: dict[str, str]
    asked: Asked


def understood(body: bytes, asked: Asked, categories: Sequence[Category]) -> Sheet:
    """What a file says. Never raises for what is in it: all that is wrong is in `mistakes`."""
    try:
        rows = read(body, lambda cells: headings.recognised(cells, asked.overrides))
        heading, lines = _parted(rows, asked)
    except Unreadable as e:
        return Sheet(mistakes=[e.mistake])
    columns = headings.columns_of(heading.cells)
    chosen = _chosen(columns, lines, asked)
    used = {f: c for c in columns if (f := chosen.get(c.place, headings.IGNORE)) != headings.IGNORE}
    mistakes = [*_not_there(columns, asked, heading.number), *_no_title(used, columns, heading.number)]
    layout = _layout(used, heading, lines, asked, categories)
    drafts = [] if mistakes else list(_drafts(lines, columns, layout, mistakes))
    return Sheet(
        drafts,
        mistakes,
        {c.heading: _ours(field) for field, c in used.items()},
        [c.heading for c in columns if c not in used.values() and (c.plain or _filled(c, lines))],
        layout.categories,
        {_ours(field): c.heading for field, c in used.items()},
    )


def _ours(field: str) -> str:
    return "max_hours" if field == headings.MAX_DAYS else field


def _parted(rows: Sequence[Row], asked: Asked) -> tuple[Row, Sequence[Row]]:
    """The row of headings and what is below it."""
    if not rows:
        raise Unreadable(1, "file", "is empty")
    known = [headings.recognised(row.cells, asked.overrides) for row in rows[:TITLE_ROWS]]
    if not max(known):
        advice = "no headings found: the first row should name the columns, such as title, category, description"
        raise Unreadable(rows[0].number, "row", advice)
    first = known.index(max(known))
    lines = rows[first + 1 :]
    if len(lines) > MOST_ROWS:
        advice = f"at most {MOST_ROWS:,} items in one file: cut it here and import the parts one after the other"
        raise Unreadable(lines[MOST_ROWS].number, "row", advice)
    return rows[first], lines


def _chosen(columns: Sequence[Column], lines: Sequence[Row], asked: Asked) -> dict[int, str]:
    chosen = headings.guessed(columns, asked.overrides)
    return chosen | headings.by_content(columns, chosen, [line.cells for line in lines[:200]])


def _filled(column: Column, lines: Iterable[Row]) -> bool:
    return any(column.place < len(line.cells) and line.cells[column.place].strip() for line in lines)


def _not_there(columns: Sequence[Column], asked: Asked, row: int) -> list[RowMistake]:
    there = {headings.plain(c.heading) for c in columns} | {c.heading for c in columns}
    advice = f"there is no such heading; there are: {headings.listed(columns)}"
    return [
        RowMistake(row=row, at=heading, message=advice)
        for heading in asked.overrides
        if heading not in there and headings.plain(heading) not in there
    ]


def _no_title(used: Mapping[str, Column], columns: Sequence[Column], row: int) -> list[RowMistake]:
    if "title" in used:
        return []
    advice = "no column looks like the items' titles: say which with columns=Heading:title; headings are: "
    return [RowMistake(row=row, at="title", message=advice + headings.listed(columns))]


def _layout(
    used: dict[str, Column], heading: Row, lines: Sequence[Row], asked: Asked, categories: Sequence[Category]
) -> _Layout:
    verbatim = heading.cells in (HEADINGS, [*HEADINGS, OWNER])
    price, kind = used.get("price"), used.get("category")
    said = heading.cells[price.place] if price else ""
    words = {
        _text("category", line.cells[kind.place], verbatim) for line in lines if kind and kind.place < len(line.cells)
    }
    return _Layout(
        dict(sorted(used.items(), key=lambda one: one[0] not in {"currency", "per"})),
        verbatim,
        amounts.currency_in(said, asked.currency) or asked.currency,
        amounts.per_in(price.plain if price else "") or "day",
        {field: _unit(field, column) for field, column in used.items() if _ours(field) in cells.FIELD_UNITS},
        matched(sorted(words - {""}), categories),
        asked,
    )


def _unit(field: str, column: Column) -> str:
    """Which unit bare numbers count: the heading's; else days for a loan, the field's own for anything else."""
    return cells.unit_in(column.plain) or (
        "day" if field in {"max_hours", headings.MAX_DAYS} else cells.FIELD_UNITS[field]
    )


def _drafts(
    lines: Sequence[Row], columns: Sequence[Column], layout: _Layout, mistakes: list[RowMistake]
) -> Iterable[Draft]:
    least = max(c.place for c in columns if c.plain) + 1
    for line in lines:
        if len(line.cells) < least or any(cell.strip() for cell in line.cells[len(columns) :]):
            message = f"has {len(line.cells)} cells where the headings are {len(columns)}"
            mistakes.append(RowMistake(row=line.number, at="row", message=message))
        else:
            yield _draft(line, layout, mistakes)


def _draft(line: Row, layout: _Layout, mistakes: list[RowMistake]) -> Draft:
    said: dict[str, Any] = {}
    before = len(mistakes)
    for field, column in layout.columns.items():
        text = _text(field, line.cells[column.place], layout.verbatim)
        try:
            if text or field in MAY_BE_NOTHING:
                said[_ours(field)] = _value(field, text, said, layout)
        except Wrong as e:
            mistakes.append(RowMistake(row=line.number, at=column.heading, message=str(e)))
    if ("lat" in said) != ("lon" in said) and len(mistakes) == before:
        mistakes.append(RowMistake(row=line.number, at="location", message="latitude and longitude belong together"))
    ref = said.pop("source_ref", "")
    everywhere, place = layout.asked.everywhere, {name: said[name] for name in PLACE if name in said}
    located = {**everywhere.get("location", {}), **place}
    fields = {k: v for k, v in said.items() if k not in {*PLACE, "currency", "per", OWNER}}
    return Draft(line.number, ref, {**everywhere, **fields, **({"location": located} if located else {})})


def _text(field: str, cell: str, verbatim: bool) -> str:
    """What a cell says: exactly, in a table that we wrote; else without the blanks that people leave."""
    if verbatim:
        return unguarded(cell)
    bare = unguarded(cell.strip())
    return " ".join(bare.split()) if field in {"title", "category", "label"} else bare


def _value(field: str, text: str, said: Mapping[str, Any], layout: _Layout) -> Any:
    if "\0" in text:
        raise Wrong("may not contain the NUL character")
    if not text.strip() and not (layout.verbatim and text):
        return MAY_BE_NOTHING.get(field)
    if field in layout.units:
        return cells.length(text, _ours(field), layout.units[field])
    if field in cells.WORDS:
        return cells.word(headings.plain(text), text, field)
    match field:
        case "quantity":
            return cells.whole(text)
        case "price" | "deposit":
            return _money(field, text, said, layout)
        case "lat" | "lon":
            return cells.degrees(text)
        case "time_zone":
            return cells.zone(text)
        case "category":
            return layout.categories[text]
        case _:
            return _words(field, text, layout)


def _words(field: str, text: str, layout: _Layout) -> str:
    match field:
        case "currency":
            return _currency(text, layout)
        case "label" if len(text) > LONGEST_LABEL:
            return text[: LONGEST_LABEL - 1].rstrip(" ;,") + "…"
        case "source_ref" if len(text) > LONGEST_REF:
            raise Wrong(f"may have at most {LONGEST_REF} characters")
        case "owner_id" if text.strip() != str(layout.asked.owner):
            raise Wrong("is another member's item: you can import only your own; leave the column out to make it yours")
        case _:
            return text


def _currency(text: str, layout: _Layout) -> str:
    if code := amounts.currency_of(text, layout.currency):
        return code
    raise Wrong(f"“{text.strip()[:40]}” is not a currency of ISO 4217, such as EUR")


def _money(field: str, text: str, said: Mapping[str, Any], layout: _Layout) -> dict[str, Any] | None:
    found = amounts.amount_in(text, said.get("currency", layout.currency))
    if not found or field == "deposit":
        return found.money() if found else None
    return found.money() | {"per": found.per or said.get("per", layout.per)}
