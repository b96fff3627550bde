"""Compares source.duckdb with the services' own counts and sums, of one moment, column by column.

Whatever a cursor may have missed, a trigger that was switched off, a row that was mended by hand: it shows here, by
name, and that view is then read again from the beginning.
"""

from pathlib import Path
from typing import Any, LiteralString

from psycopg import sql

from commonry.contracts.published import ColumnType, View
from commonry.warehouse.duck import opened
from commonry.warehouse.extract import people
from commonry.warehouse.extract.rows import Connection

Sums = dict[str, int]
"""What → how much: `rows`, and a sum for every column."""

OF_SERVICE: dict[ColumnType, LiteralString] = {
    "text": "coalesce(sum(length({0})), 0) + count({0})",
    "uuid": "count({0})",
    "integer": "coalesce(sum({0}), 0) + count({0})",
    "bigint": "coalesce(sum({0}), 0) + count({0})",
    "boolean": "coalesce(sum({0}::integer), 0) + count({0})",
    "double": "count({0})",
    "date": "coalesce(sum({0} - date '2000-01-01'), 0) + count({0})",
    "timestamptz": "coalesce(sum((extract(epoch FROM {0}) * 1000000)::bigint), 0) + count({0})",
}
OF_SOURCE: dict[ColumnType, LiteralString] = {
    **OF_SERVICE,
    "date": "coalesce(sum(date_diff('day', date '2000-01-01', {0})), 0) + count({0})",
    "timestamptz": "coalesce(sum(epoch_us({0})), 0) + count({0})",
}
"""One number for each column, of which nothing that happens to a row leaves all as they were. `+ count` tells a 0 from
nothing."""


def of_service(connection: Connection, view: View) -> Sums:
    """A view's numbers, as the service has them."""
    parts = [_sum(OF_SERVICE, kind, name) for name, kind in view.columns.items()]
    row = connection.execute(_sums(parts, sql.Identifier("published", view.name))).fetchone()
    return _numbers(row, list(view.columns))


def of_source(source: Path, view: View) -> Sums:
    """A view's numbers, as the warehouse has them."""
    names = {column: name for name, (column, _) in people.columns(view).items()}
    parts = [_sum(OF_SOURCE, kind, names[column]) for column, kind in view.columns.items()]
    with opened(source, read_only=True) as duck:
        row = duck.execute(_sums(parts, sql.Identifier(view.name)).as_string()).fetchone()
    return _numbers(row, list(view.columns))


def differences(view: View, expected: Sums, found: Sums) -> list[str]:
    """In words, what is not the same."""
    return [
        f"{view.service}.{view.name}: {what} is {found[what]:,} here and {expected[what]:,} there"
        for what in expected
        if expected[what] != found[what]
    ]


def _sum(how: dict[ColumnType, LiteralString], kind: ColumnType, column: str) -> sql.Composed:
    return sql.SQL(how[kind]).format(sql.Identifier(column))


def _sums(parts: list[sql.Composed], view: sql.Identifier) -> sql.Composed:
    return sql.SQL("SELECT count(1), {} FROM {}").format(sql.SQL(", ").join(parts), view)


def _numbers(row: Any, columns: list[str]) -> Sums:
    return {what: int(number) for what, number in zip(["rows", *columns], row, strict=True)}
