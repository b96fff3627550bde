"""The places of this community: where its things are, by the names their owners gave, with no map service asked.

Made of the items themselves, and kept a while.
"""

import time
from typing import NamedTuple

from msgspec import Struct

from commonry.contracts.inventory import Item
from commonry.contracts.surroundings import Surroundings

KEPT = 120.0
"""Seconds."""
LOOKED_AT = 1_000
"""Items: the newest."""


class Place(NamedTuple):
    """A name, the middle of what is there, and how much that is."""

    label: str
    lat: float
    lon: float
    items: int


class _Found(Struct):
    data: list[Item]
    next_cursor: str | None = None


class Places:
    """All of them, the fullest first."""

    def __init__(self, around: Surroundings) -> None:
        self._inventory, self._kept, self._until = around.peers.inventory, list[Place](), 0.0
        lat, lon, label = around.settings.place.split(",", 2)
        self._middle = Place(label.strip(), float(lat), float(lon), 0)
        self.middle = (float(lat), float(lon))
        """Of the community: latitude, longitude."""

    def forget(self) -> None:
        """Something was listed, perhaps at a new place."""
        self._until = 0.0

    async def all(self) -> list[Place]:
        """The places, the community's own middle among them."""
        if self._until < time.monotonic():
            self._kept, self._until = await self._made(), time.monotonic() + KEPT
        return self._kept

    async def called(self, name: str) -> Place | None:
        """The place somebody means by this name: the same word, or the beginning of one."""
        asked, known = name.casefold(), await self.all()
        for fits in (str.__eq__, str.startswith, str.__contains__):
            for place in known:
                if fits(place.label.casefold(), asked):
                    return place
        return None

    async def _made(self) -> list[Place]:
        at: dict[str, list[Item]] = {}
        cursor: str | None = None
        seen = 0
        while seen < LOOKED_AT:
            asked = {"limit": 100, "cursor": cursor, "sort": "newest", "counted": "false"}
            some = await self._inventory.ask("GET", "/api/v1/items", _Found, query=asked)
            for item in some.data:
                at.setdefault(item.location.label, []).append(item)
            seen, cursor = seen + len(some.data), some.next_cursor
            if cursor is None:
                break
        places = [_place(label, items) for label, items in at.items()]
        if self._middle.label not in at:
            places.append(self._middle)
        return sorted(places, key=lambda p: (-p.items, p.label))


def _place(label: str, items: list[Item]) -> Place:
    lat = sum(i.location.lat for i in items) / len(items)
    lon = sum(i.location.lon for i in items) / len(items)
    return Place(label, round(lat, 4), round(lon, 4), len(items))
