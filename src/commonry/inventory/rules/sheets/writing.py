"""Items as a table in our own words: what `drafts` reads back without a difference.

Cells that a spreadsheet would take for a formula get a leading apostrophe, and so do cells that begin with such
apostrophes themselves: that makes the guard reversible for any text.
"""

import csv
import re
from collections.abc import Iterable
from typing import NamedTuple

from commonry.contracts.inventory import Item
from commonry.contracts.money import Money, shown
from commonry.inventory.rules.sheets.headings import OWNER

HEADINGS = (
    "title category description condition quantity price per deposit lat lon label address time_zone min_hours"
    " max_hours notice_hours buffer_minutes horizon_days booking_mode handover cancellation status source_ref"
).split()
"""The columns of an export, which are fields of an import."""

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


class Listed(NamedTuple):
    """An item as its owner sees it, and the name it has in its owner's own lists, if any."""

    item: Item
    source_ref: str | None


class _Lines(list[str]):
    write = list[str].append


def heading_line(*, owners: bool) -> str:
    """The first line; with `owners`, the last column says whose each item is."""
    return _csv([[*HEADINGS, OWNER] if owners else HEADINGS])


def lines(listed: Iterable[Listed], *, owners: bool) -> str:
    """A line per item."""
    return _csv([_cells(one, owners=owners) for one in listed])


def guarded(text: str) -> str:
    """The text as no spreadsheet will run it."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(cell: str) -> str:
    """What `guarded` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _csv(rows: Iterable[Iterable[str]]) -> str:
    written = _Lines()
    csv.writer(written).writerows(rows)
    return "".join(written)


def _cells(listed: Listed, *, owners: bool) -> list[str]:
    item = listed.item
    texts = {name: guarded(str(getattr(item, name))) for name in HEADINGS if hasattr(item, name)}
    special = {
        "price": shown(Money(item.price.amount, item.price.currency)) if item.price else "",
        "per": item.price.per if item.price else "",
        "deposit": shown(item.deposit) if item.deposit else "",
        "lat": repr(item.location.lat),
        "lon": repr(item.location.lon),
        "label": guarded(item.location.label),
        "address": guarded(item.location.address or ""),
        "source_ref": guarded(listed.source_ref or str(item.id)),
    }
    cells = [special.get(name, texts.get(name, "")) for name in HEADINGS]
    return [*cells, str(item.owner_id)] if owners else cells
