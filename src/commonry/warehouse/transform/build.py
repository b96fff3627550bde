"""Makes a star.duckdb from source.duckdb, in a folder that nobody looks into before every check holds."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from psycopg import sql

from commonry.warehouse.duck import Duck, opened
from commonry.warehouse.folder import STAR, Build, Folder
from commonry.warehouse.transform.tables import Table, tables

FACTORS = "impact.csv"


class ChecksFailed(Exception):
    """Some checks do not hold; `failed` says which, in words."""

    def __init__(self, failed: list[str]) -> None:
        super().__init__(f"{len(failed)} checks of the new build do not hold: the old one stays. {failed[0]}")
        self.failed = failed


def build(folder: Folder, as_of: datetime, tell: Callable[[str], None]) -> Build:
    """A new build, not switched to yet. Raises `ChecksFailed`; then nothing of it is left."""
    made = Build(folder.builds / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    new = folder.work / "build"
    new.mkdir()
    try:
        with opened(new / STAR) as duck:
            failed = _filled(duck, folder, as_of, tell)
        if failed:
            raise ChecksFailed(failed)
        new.rename(made.folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return made


def _filled(duck: Duck, folder: Folder, as_of: datetime, tell: Callable[[str], None]) -> list[str]:
    duck.execute(sql.SQL("ATTACH {} AS source (READ_ONLY)").format(str(folder.source)).as_string())
    duck.execute("CREATE TABLE build AS SELECT ?::TIMESTAMPTZ AS as_of", [as_of])
    duck.execute("CREATE TABLE factors AS FROM read_csv(?, header = true)", [str(factors(folder))])
    all_tables = tables()
    for number, table in enumerate(all_tables, 1):
        tell(f"{number}/{len(all_tables)} {table.name}")
        duck.execute(_made(table).as_string())
        _as_wide_as_elsewhere(duck, table)
    failed = [broken for table in all_tables for broken in _broken(duck, table)]
    duck.execute("DETACH source")
    duck.execute("CHECKPOINT")
    return failed


def factors(folder: Folder) -> Path:
    """What lending saves, by category: the community's own file if there is one beside the warehouse, else ours."""
    own = folder.root / FACTORS
    return own if own.exists() else Path(str(resources.files("commonry.warehouse").joinpath(FACTORS)))


def _as_wide_as_elsewhere(duck: Duck, table: Table) -> None:
    """DuckDB's sums have 128 bits, which Parquet and other databases do not know: they would be fractions there."""
    name = sql.Identifier(table.name)
    described = duck.execute(sql.SQL("DESCRIBE {}").format(name).as_string()).fetchall()
    for column in (sql.Identifier(column) for column, kind, *_ in described if kind == "HUGEINT"):
        duck.execute(sql.SQL("ALTER TABLE {} ALTER {} TYPE BIGINT").format(name, column).as_string())


def _broken(duck: Duck, table: Table) -> list[str]:
    """The checks of a table that find something, with what they found first."""
    found = [(check.words, duck.execute(check.query).fetchone()) for check in table.checks]
    return [f"{table.name}: {words}: but {row}" for words, row in found if row is not None]


def _made(table: Table) -> sql.Composed:
    query: Any = table.query
    return sql.SQL("CREATE TABLE {} AS {}").format(sql.Identifier(table.name), sql.SQL(query))
