"""Which item a row means, and what it makes of it: a new one, a changed one, or nothing new.

A row means the item of its owner that has its `source_ref` (or that id, which is what an item without a ref is exported
under); a row without one means the item of its title. So the same file again changes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from commonry.contracts.inventory import RowMistake
from commonry.inventory.rules.sheets.categories import OTHER
from commonry.inventory.rules.sheets.drafts import Draft, Sheet

MOST_UNITS = 100_000
"""Units of all items in one file."""


class Known(NamedTuple):
    """What an owner's item is called."""

    id: UUID
    source_ref: str | None
    title: str


def matched_items(sheet: Sheet, known: Iterable[Known]) -> tuple[dict[int, UUID], list[RowMistake]]:
    """Row → the item it means, for rows that mean one; and rows of which that cannot be said."""
    by_ref: dict[str, list[UUID]] = {}
    by_title: dict[str, list[UUID]] = {}
    for item in known:
        by_title.setdefault(item.title, []).append(item.id)
        by_ref.setdefault(str(item.id), []).append(item.id)
        if item.source_ref:
            by_ref[item.source_ref] = [item.id]  # a ref that looks like another item's id is still a ref
    meant = {d.row: (by_ref if d.ref else by_title).get(_name(d), []) for d in sheet.drafts}
    several = [_mistake(d, sheet, _SEVERAL.format(len(meant[d.row]))) for d in sheet.drafts if len(meant[d.row]) > 1]
    return {row: items[0] for row, items in meant.items() if items}, [*several, *_twins(sheet, meant)]


_SEVERAL = "you have {} items with this title: add a column source_ref to say which (an export has it)"


def _name(draft: Draft) -> str:
    return draft.ref or draft.said.get("title", "")


def _twins(sheet: Sheet, meant: Mapping[int, Sequence[UUID]]) -> Iterable[RowMistake]:
    """Two rows that would be one item."""
    first: dict[object, int] = {}
    for draft in sheet.drafts:
        named = (bool(draft.ref), _name(draft)) if _name(draft) else None
        for key in (named, *meant[draft.row][:1]):
            if key is not None and (row := first.setdefault(key, draft.row)) != draft.row:
                yield _mistake(draft, sheet, f"rows {row} and {draft.row} are the same item: “{_name(draft)[:80]}”")
                break


def _mistake(draft: Draft, sheet: Sheet, message: str) -> RowMistake:
    field = "source_ref" if draft.ref else "title"
    return RowMistake(row=draft.row, at=sheet.at.get(field, field), message=message)


def too_many_units(drafts: Iterable[Draft]) -> list[RowMistake]:
    """The row from which on there are too many units for one import."""
    total = 0
    for draft in drafts:
        total += draft.said.get("quantity", 1)
        if total > MOST_UNITS:
            advice = f"with this row there are more than {MOST_UNITS:,} copies in one file: import it in parts"
            return [RowMistake(row=draft.row, at="quantity", message=advice)]
    return []


def completed(draft: Draft, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """A new item: what the row says, and defaults for the rest."""
    return {"category": OTHER, **defaults, **draft.said, "location": _located(draft, defaults)}


def _located(draft: Draft, otherwise: Mapping[str, Any]) -> dict[str, Any]:
    before, said = otherwise["location"], draft.said.get("location", {})
    nothing_new = not said.get("address") and not before.get("address")  # an empty address is none, either way
    return before | said | ({"address": before.get("address")} if nothing_new else {})


def revised(draft: Draft, present: Mapping[str, Any]) -> dict[str, Any]:
    """An item that exists, with what the row says; equal to `present` when the row says nothing new."""
    return {**present, **draft.said, "location": _located(draft, present)}


_UNFIT = {
    "title": "must be text of 3 to 120 characters",
    "description": "may have at most 5000 characters",
    "quantity": "must be a number from 1 to 1000",
    "max_hours": "must be from 1 hour to 366 days",
    "min_hours": "must be from 1 hour to 366 days",
    "notice_hours": "may be at most 366 days",
    "buffer_minutes": "may be at most 7 days",
    "horizon_days": "must be from 1 to 730 days",
    "location.label": "must be text of 1 to 200 characters",
    "location.address": "may have at most 300 characters",
    "location.lat": "must be from -90 to 90 degrees",
    "location.lon": "must be from -180 to 180 degrees",
}


def unfit(draft: Draft, place: str, message: str, sheet: Sheet) -> RowMistake:
    """A value that no item may have, in words for people."""
    return refused(draft, place, _UNFIT.get(place, message), sheet)


def refused(draft: Draft, place: str, message: str, sheet: Sheet) -> RowMistake:
    """A mistake that only the whole item shows, under the heading where people will look for it."""
    field = place.removeprefix("location.").partition(".")[0]
    return RowMistake(row=draft.row, at=sheet.at.get(field, place), message=message)
