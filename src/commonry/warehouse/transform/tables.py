"""The files in `sql/`: what a table's row is, the SELECT that makes it, and its checks, none of which may find a row.

Tables are made in the order dimensions, facts, marts, by name. They read `source.…`, what was made before them, `build`
(one row: `as_of`) and `factors` (impact.csv).
"""

import re
from functools import cache
from importlib import resources
from typing import NamedTuple

ORDER = ("dim_", "fact_", "mart_")
CHECK = re.compile(r"-- check: (.+)\n")


class Check(NamedTuple):
    """What must hold, in words, and a SELECT that finds whatever breaks it."""

    words: str
    query: str


class Table(NamedTuple):
    """One table of the star."""

    name: str
    words: str
    query: str
    checks: tuple[Check, ...]
    order: str = ""
    """How people want to see its rows."""


@cache
def tables() -> tuple[Table, ...]:
    """All of them, in the order in which they are made."""
    folder = resources.files("commonry.warehouse").joinpath("sql")
    files = [f for f in folder.iterdir() if f.name.endswith(".sql")]
    found = [parsed(f.name.removesuffix(".sql"), f.read_text("utf-8")) for f in files]
    return tuple(sorted(found, key=lambda t: (_kind(t.name), t.name)))


def marts() -> tuple[Table, ...]:
    """What people look at."""
    return tuple(t for t in tables() if t.name.startswith("mart_"))


def parsed(name: str, text: str) -> Table:
    """A file as a table."""
    query, *rest = CHECK.split(text)
    comments = [line.removeprefix("-- ") for line in query.splitlines() if line.startswith("-- ")]
    order = [line.removeprefix("order: ") for line in comments if line.startswith("order: ")]
    words = " ".join(line for line in comments if not line.startswith("order: "))
    checks = tuple(Check(words, _one(check)) for words, check in zip(rest[::2], rest[1::2], strict=True))
    return Table(name, words, _one(query), checks, "".join(order))


def _kind(name: str) -> int:
    return next(n for n, prefix in enumerate(ORDER) if name.startswith(prefix))


def _one(text: str) -> str:
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return "\n".join(lines).strip().removesuffix(";")
