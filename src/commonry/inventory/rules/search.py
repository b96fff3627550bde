"""What a search asks for, and what is wrong with it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from commonry.contracts.inventory import Sort
from commonry.contracts.problems import Mistake
from commonry.inventory.rules.calendar import mistakes_in_period
from commonry.inventory.rules.places import Place, place

USUAL_RADIUS = 10.0
LONGEST_WORDS = 60
DIGITS_OF_A_NUMBER = 6
"""As many digits may be a telephone number."""


@dataclass(frozen=True)
class Search:
    """The query of GET /items, as typed."""

    q: str | None = None
    category: str | None = None
    near: str | None = None
    radius_km: float | None = None
    from_: datetime | None = None
    to: datetime | None = None
    max_price: int | None = None
    owner: UUID | None = None
    sort: Sort | None = None
    unlisted: bool | None = None

    @property
    def middle(self) -> Place | None:
        """Where `near` is."""
        found = place(self.near) if self.near is not None else None
        return found if isinstance(found, Place) else None

    @property
    def order(self) -> Sort:
        """How to sort when nobody said: the best match, else the nearest, else the newest first."""
        return self.sort or ("relevance" if self.q else "distance" if self.near else "newest")


class Question(NamedTuple):
    """What a search was about, without who asked, where they were and when exactly they wanted it."""

    words: str
    category: str
    dated: bool


def question(search: Search) -> Question | None:
    """What is counted of a search; None for one that is about a member's items, or has in it what may name somebody."""
    words = " ".join((search.q or "").lower().split())[:LONGEST_WORDS]
    if search.owner is not None or "@" in words or sum(c.isdigit() for c in words) >= DIGITS_OF_A_NUMBER:
        return None
    return Question(words, search.category or "", search.from_ is not None)


def mistakes_in_search(search: Search, family: Sequence[str]) -> list[Mistake]:
    """What is wrong with a search beyond its single words; `family` is its category with those below it."""
    return [*_in_place(search), *_in_dates(search), *_in_words(search, family)]


def _in_place(search: Search) -> Iterator[Mistake]:
    found = place(search.near) if search.near is not None else None
    if isinstance(found, Mistake):
        yield found
    if search.near is None and search.radius_km is not None:
        yield Mistake("query.radius_km", "needs `near`")
    if search.near is None and search.sort == "distance":
        yield Mistake("query.sort", "by distance needs `near`")


def _in_dates(search: Search) -> Iterator[Mistake]:
    if search.from_ and search.to:
        yield from mistakes_in_period(search.from_, search.to, "query.")
    elif search.from_:
        yield Mistake("query.to", "is required with `from`")
    elif search.to:
        yield Mistake("query.from", "is required with `to`")


def _in_words(search: Search, family: Sequence[str]) -> Iterator[Mistake]:
    if search.category is not None and not family:
        yield Mistake("query.category", "is no category of ours: GET /api/v1/categories lists them")
    if search.sort == "relevance" and not search.q:
        yield Mistake("query.sort", "by relevance needs `q`")
