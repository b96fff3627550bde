"""From where each view is read on. Written down in source.duckdb only after everything that was read is in it.

A row bears the time at which it was written and becomes visible when its transaction commits, which is later: whoever
reads on from the newest time seen misses what was dated before and committed after. So each run looks back by `lag`,
which must be longer than the longest transaction; rows that it has seen already are simply merged again. Nothing is
read where the rows of that last while are the same as ever.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from commonry.contracts.published import View
from commonry.warehouse.duck import opened
from commonry.warehouse.extract import people

_TABLE = """
    CREATE TABLE IF NOT EXISTS cursors (name VARCHAR PRIMARY KEY, seen TIMESTAMPTZ, shape VARCHAR);
    ALTER TABLE cursors ADD COLUMN IF NOT EXISTS lately VARCHAR"""


class Cursor(NamedTuple):
    """The newest time seen, the shape of the view when it was first read, and which rows the last while had."""

    seen: datetime | None
    shape: str
    lately: str | None = None

    def back_by(self, lag: timedelta) -> datetime | None:
        """From when on to read."""
        return None if self.seen is None else self.seen - lag


def shape(view: View) -> str:
    """What has changed when a view has new columns: then it is read from the beginning, as its old rows lack them."""
    kinds = (
        f"{name}={column}:{'person' if role else view.columns[column]}"
        for name, (column, role) in people.columns(view).items()
    )
    return " ".join(kinds)


def read(source: Path) -> dict[str, Cursor]:
    """All that are known."""
    if not source.exists():
        return {}
    with opened(source) as duck:
        duck.execute(_TABLE)
        rows = duck.execute("SELECT name, seen, shape, lately FROM cursors").fetchall()
    return {name: Cursor(*rest) for name, *rest in rows}


def write(source: Path, cursors: Mapping[str, Cursor]) -> None:
    """These are where to read on, all of them or none."""
    with opened(source) as duck:
        duck.execute(_TABLE)
        duck.execute("BEGIN")
        for name, cursor in cursors.items():
            duck.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?, ?)", [name, *cursor])
        duck.execute("COMMIT")
