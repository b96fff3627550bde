"""What an item may be, and how changes to some of its fields make a whole item again."""

import re
from collections.abc import Iterator, Set
from typing import Any

from commonry.contracts.inventory import Item, ItemChanges, NewItem, UnsetType, is_zone
from commonry.contracts.problems import Mistake


def mistakes_in_item(item: NewItem, categories: Set[str]) -> list[Mistake]:
    """What is wrong with an item beyond its single fields; `categories` are the slugs there are."""
    return list(_mistakes(item, categories))


def _mistakes(item: NewItem, categories: Set[str]) -> Iterator[Mistake]:
    if item.category not in categories:
        yield Mistake("category", "is no category of ours: GET /api/v1/categories lists them")
    if item.time_zone is not None and not is_zone(item.time_zone):
        yield Mistake("time_zone", "is not a time zone of the IANA database, such as Europe/Berlin")
    if item.min_hours > item.max_hours:
        yield Mistake("min_hours", f"is more than max_hours, which is {item.max_hours}")
    if item.price and item.deposit and item.price.currency != item.deposit.currency:
        yield Mistake("deposit.currency", f"is not the price's, which is {item.price.currency}")


def whole(item: Item) -> NewItem:
    """An item as its owner would send it to change nothing."""
    return NewItem(**{name: getattr(item, name) for name in NewItem.__struct_fields__})


def merged(item: Item, changes: ItemChanges) -> NewItem:
    """The item with what was said changed, and the rest as it was."""
    said: dict[str, Any] = {name: getattr(changes, name) for name in changes.__struct_fields__}
    fields = {name: getattr(item, name) for name in NewItem.__struct_fields__}
    return NewItem(**fields | {name: value for name, value in said.items() if not isinstance(value, UnsetType)})


def etag(item: Item, *, exact: bool = False) -> str:
    """The item's entity tag: `"v3"`; `"v3r12"` once it has been rated, which its version does not count; with an `x` as
    those see it who may know its exact place.
    """
    rated = f"r{item.rating.count}" if item.rating.count else ""
    return f'"v{item.version}{rated}{"x" if exact else ""}"'


def is_meant(if_match: str | None, version: int) -> bool:
    """Whether an `If-Match` header (RFC 9110) names this version; without one, any is meant."""
    if if_match is None or if_match.strip() == "*":
        return True
    named = re.findall(r'(?<![\w/])"v(\d+)(?:r\d+)?x?"', if_match)
    return str(version) in named
