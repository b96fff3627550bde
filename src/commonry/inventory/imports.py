"""A table of items becomes items: looked up, compared, written in one transaction, or not at all.

What a row says is laid over the item it means (or over the defaults, for a new one), checked like any other item, and
written only if that makes a difference. With a mistake in any row everything is undone, and all mistakes are told.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from commonry.contracts.inventory import ImportReport, NewItem, RowMistake
from commonry.contracts.problems import ItemHasBookings
from commonry.inventory.rules.items import mistakes_in_item
from commonry.inventory.rules.sheets.drafts import Draft, Sheet
from commonry.inventory.rules.sheets.matching import completed, matched_items, refused, revised, too_many_units, unfit
from commonry.inventory.store import room, sheets
from commonry.inventory.store.sheets import Added
from commonry.kit.db import Tx
from commonry.kit.ids import new_id
from commonry.kit.mistakes import in_value


class Wanted(NamedTuple):
    """A file as understood, whose items it holds, and what new items are where it does not say."""

    owner: UUID
    sheet: Sheet
    defaults: Mapping[str, Any]
    categories: frozenset[str]
    dry_run: bool


class _Plan(NamedTuple):
    added: list[Added]
    changed: dict[UUID, tuple[Draft, NewItem]]
    mistakes: list[RowMistake]


async def bring_in(tx: Tx, wanted: Wanted) -> ImportReport:
    """Write what the file says and tell what was done; with a mistake, or as a dry run, only tell."""
    return await sheets.tried(tx, partial(_done, tx, wanted), lambda report: report.applied)


async def _done(tx: Tx, wanted: Wanted) -> ImportReport:
    sheet = wanted.sheet
    await sheets.alone(tx, wanted.owner)
    meant, unclear = matched_items(sheet, await sheets.names(tx, wanted.owner))
    plan = _planned(wanted, sheet.drafts, meant, await sheets.present(tx, list(meant.values())))
    mistakes = [*sheet.mistakes, *unclear, *too_many_units(sheet.drafts), *plan.mistakes]
    updated = 0
    if not mistakes:
        await sheets.add(tx, wanted.owner, plan.added)
        updated = await _change(tx, wanted, meant, plan, mistakes)
    return _report(wanted, len(plan.added), updated, mistakes)


def _planned(
    wanted: Wanted, drafts: Sequence[Draft], meant: Mapping[int, UUID], present: Mapping[UUID, NewItem]
) -> _Plan:
    plan = _Plan([], {}, [])
    ids = sorted(new_id() for _ in drafts)  # ids of one moment have no order; new items keep their rows'
    for draft, id_if_new in zip(drafts, ids, strict=True):
        item = meant.get(draft.row)
        old = present.get(item) if item else None
        fields = completed(draft, wanted.defaults) if old is None else revised(draft, msgspec.to_builtins(old))
        new = _checked(draft, fields, wanted)
        if isinstance(new, list):
            plan.mistakes.extend(new)
        elif item is None or old is None:
            plan.added.append(Added(id_if_new, draft.ref or None, new))
        elif new != old:
            plan.changed[item] = draft, new
    return plan


def _checked(draft: Draft, fields: dict[str, Any], wanted: Wanted) -> NewItem | list[RowMistake]:
    try:
        new = msgspec.convert(fields, NewItem)
        found = mistakes_in_item(new, wanted.categories)
    except msgspec.ValidationError:
        return [unfit(draft, m.at, m.message, wanted.sheet) for m in in_value(fields, NewItem, "")]
    return [refused(draft, m.at, m.message, wanted.sheet) for m in found] if found else new


async def _change(tx: Tx, wanted: Wanted, meant: Mapping[int, UUID], plan: _Plan, mistakes: list[RowMistake]) -> int:
    """Change items that exist; how many. They are read again once locked: someone may have changed them meanwhile."""
    await sheets.lock(tx, list(plan.changed))
    present = await sheets.present(tx, list(plan.changed))
    sure = _planned(wanted, [draft for draft, _ in plan.changed.values()], meant, present)
    mistakes.extend(sure.mistakes)
    await sheets.add(tx, wanted.owner, sure.added)
    await sheets.change(tx, {item: new for item, (_, new) in sure.changed.items()})
    for item, (draft, new) in sure.changed.items():
        if new.quantity != present[item].quantity:
            mistakes.extend(await _counted(tx, item, draft, new.quantity, wanted.sheet))
    return len(sure.changed)


async def _counted(tx: Tx, item: UUID, draft: Draft, quantity: int, sheet: Sheet) -> list[RowMistake]:
    try:
        await room.set_quantity(tx, item, quantity)
    except ItemHasBookings:
        return [refused(draft, "quantity", f"bookings need more than {quantity} of it", sheet)]
    return []


def _report(wanted: Wanted, created: int, updated: int, mistakes: list[RowMistake]) -> ImportReport:
    sheet, good = wanted.sheet, not mistakes
    return ImportReport(
        created=created if good else 0,
        updated=updated if good else 0,
        unchanged=len(sheet.drafts) - created - updated if good else 0,
        errors=sorted(mistakes, key=lambda m: m.row),
        applied=good and not wanted.dry_run,
        columns=dict(sheet.columns),
        ignored=list(sheet.ignored),
        categories=dict(sheet.categories),
    )
