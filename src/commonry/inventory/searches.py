"""Counts searches in memory until they are written down, about once a minute: a search itself writes nothing.

What a process has counted and not written yet is lost when it is killed. No more than so many different questions are
remembered at a time: somebody who makes up words cannot fill the database.
"""

from commonry.inventory.rules.search import Question, Search, question
from commonry.inventory.store import searches
from commonry.inventory.store.searches import Count
from commonry.kit.db import Database

MOST = 1_000
"""Different questions between two times of writing."""


class Searches:
    """What was asked for since it was last written down."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._counts: dict[Question, Count] = {}

    def note(self, search: Search, *, answered: bool) -> None:
        """Somebody asked, and there was something or nothing."""
        asked = question(search)
        if asked is None or (asked not in self._counts and len(self._counts) >= MOST):
            return
        known = self._counts.get(asked, Count(0, 0))
        self._counts[asked] = Count(known.asked + 1, known.unanswered + (not answered))

    async def write(self) -> None:
        """Write down what was counted; if that fails, it is kept for the next time."""
        counts, self._counts = self._counts, {}
        if not counts:
            return
        written = False
        try:
            await self._db.transact(lambda tx: searches.add(tx, counts))
            written = True
        finally:
            if not written:
                self._counts = _together(counts, self._counts)


def _together(some: dict[Question, Count], more: dict[Question, Count]) -> dict[Question, Count]:
    nothing = Count(0, 0)
    return {
        asked: Count(*map(sum, zip(some.get(asked, nothing), more.get(asked, nothing), strict=True)))
        for asked in some | more
    }
