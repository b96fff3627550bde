"""Reads the current build for others: each question opens it, asks, and lets go, so that no run waits for a reader.

What somebody has begun to read stays until they are done (`Build.kept`), whatever is switched to meanwhile.
"""

import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from psycopg import sql

from commonry.warehouse.duck import TO_READ, Duck, opened
from commonry.warehouse.folder import Folder
from commonry.warehouse.transform.tables import Table, marts

Form = Literal["csv", "parquet"]
MARTS = {mart.name.removeprefix("mart_"): mart for mart in marts()}
"""What people look at, by the name they know it under."""
TRIES = 3
"""A build may go between being found and being opened, but only because there is a newer one."""


class NoBuild(Exception):
    """There is nothing to read yet."""


class Rows(NamedTuple):
    """Some rows of a mart, and until when everything is in them."""

    as_of: datetime
    rows: list[dict[str, Any]]


def rows(folder: Folder, mart: str, first: int, limit: int) -> Rows:
    """So many rows from the `first` on (from 0), in the mart's own order. Raises `NoBuild`."""
    with _current(folder) as duck:
        query = sql.SQL("{} LIMIT {} OFFSET {}").format(_all_of(MARTS[mart]), limit, first)
        return Rows(as_of(duck), _dicts(duck.execute(query.as_string())))


def everything(folder: Folder) -> tuple[dict[str, list[dict[str, Any]]], datetime]:
    """All rows of every mart, of one build, and as of when they are. Raises `NoBuild`."""
    with _current(folder) as duck:
        found = {name: _dicts(duck.execute(_all_of(mart).as_string())) for name, mart in MARTS.items()}
        return found, as_of(duck)


def whole(folder: Folder, mart: str, form: Form) -> bytes:
    """All of a mart as a file. Raises `NoBuild`."""
    with _current(folder) as duck, tempfile.TemporaryDirectory() as there:
        file = Path(there, mart)
        asked = _all_of(MARTS[mart]) if form == "parquet" else _for_sheets(duck, MARTS[mart])
        how = sql.SQL("FORMAT parquet" if form == "parquet" else "FORMAT csv, HEADER")
        duck.execute(sql.SQL("COPY ({}) TO {} ({})").format(asked, str(file), how).as_string())
        return file.read_bytes()


def as_of(duck: Duck) -> datetime:
    """Before when everything is in the build."""
    return duck.execute("SELECT as_of FROM build").fetchone()[0]


@contextmanager
def _current(folder: Folder) -> Generator[Duck]:
    for _ in range(TRIES):
        build = folder.current()
        if build is None:
            raise NoBuild
        with suppress(FileNotFoundError), build.kept() as star, opened(star, memory=TO_READ, read_only=True) as duck:
            yield duck
            return
    raise NoBuild


def _all_of(mart: Table) -> sql.Composed:
    order: Any = mart.order
    by = sql.SQL(" ORDER BY {}").format(sql.SQL(order)) if order else sql.SQL("")
    return sql.SQL("FROM {}{}").format(sql.Identifier(mart.name), by)


def _for_sheets(duck: Duck, mart: Table) -> sql.Composed:
    """A spreadsheet takes a text that begins like a formula for one; a quote before it says that it is none."""
    described = duck.execute(sql.SQL("DESCRIBE {}").format(sql.Identifier(mart.name)).as_string()).fetchall()
    columns = [(_TEXT if kind == "VARCHAR" else _OTHER).format(sql.Identifier(name)) for name, kind, *_ in described]
    return sql.SQL("SELECT {} {}").format(sql.SQL(", ").join(columns), _all_of(mart))


_TEXT = sql.SQL("CASE WHEN regexp_matches({0}, '^[=+@\\t\\r-]') THEN concat(chr(39), {0}) ELSE {0} END AS {0}")
_OTHER = sql.SQL("{}")


def _dicts(found: Any) -> list[dict[str, Any]]:
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
