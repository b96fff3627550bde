"""Reads a published view as Arrow tables of some ten thousand rows each: by COPY, as of one moment in each database.

A row of `COPY … CSV` is one message of the server's, so messages can be put together without looking into them, and
Arrow reads them at the speed of memory.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from commonry.contracts.published import GONE, ColumnType, View
from commonry.warehouse.arrow import pyarrow
from commonry.warehouse.extract import people
from commonry.warehouse.extract.people import Pseudonyms

BYTES = 4 * 2**20
"""Of CSV that make one table."""
SESSION = """
    SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; SET LOCAL extra_float_digits = 1;
    SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;
    SET LOCAL lock_timeout = '10s'"""
HARD_DELETED = "gone"
"""The warehouse's own column: true in a row that takes another one away."""
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
Connection = psycopg.Connection[Any]


class OlderRelease(Exception):
    """A service's database does not publish what this release reads."""


@contextmanager
def reading(url: str) -> Generator[Connection]:
    """A connection that sees one moment, and can change nothing."""
    name = "commonry warehouse"
    with psycopg.connect(url, connect_timeout=5, prepare_threshold=None, application_name=name) as opened:
        opened.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        opened.read_only = True
        opened.execute(SESSION)
        yield opened


def moment(connection: Connection) -> datetime:
    """Before when everything is seen: this first question fixes the moment that the connection sees."""
    return _one(connection, "SELECT now()")


def changed(connection: Connection, view: View, since: datetime | None, pseudonyms: Pseudonyms) -> Iterator[Any]:
    """The rows that were written after `since` (all, if None) as Arrow tables; at least one, which may be empty."""
    pa = pyarrow()
    names = sql.SQL(", ").join(map(sql.Identifier, view.columns))
    whole = sql.SQL("SELECT {} FROM {}").format(names, sql.Identifier("published", view.name))
    asked = whole if since is None else sql.SQL("{} WHERE changed_at > {}").format(whole, sql.Literal(since))
    empty = True
    for chunk in _copied(connection, view, sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(asked)):
        empty = False
        yield _named(_parsed(pa, chunk, view.columns), view, pseudonyms)
    if empty:
        yield _named(pa.schema(_fields(pa, view.columns)).empty_table(), view, pseudonyms)


def _copied(connection: Connection, view: View, command: sql.Composed) -> Iterator[bytes]:
    rows: list[bytes] = []
    size = 0
    try:
        with connection.cursor() as cursor, cursor.copy(command) as copy:
            for row in copy:
                rows.append(bytes(row))
                size += len(row)
                if size > BYTES:
                    yield b"".join(rows)
                    rows, size = [], 0
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.InvalidSchemaName) as e:
        raise OlderRelease(
            f"The database of {view.service} does not publish {view.name} as this release reads it: bring it up to date"
            " with `commonry up` or `commonry migrate`."
        ) from e
    if rows:
        yield b"".join(rows)


def _parsed(pa: Any, chunk: bytes, columns: dict[str, ColumnType]) -> Any:
    csv = pa.csv
    return csv.read_csv(
        pa.BufferReader(chunk),
        csv.ReadOptions(column_names=list(columns), use_threads=False, block_size=2 * BYTES),
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(
            column_types=dict(_fields(pa, columns)),
            null_values=[""],  # COPY writes NULL as nothing, and an empty text in quotes
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )


def _fields(pa: Any, columns: dict[str, ColumnType]) -> list[tuple[str, Any]]:
    kinds = {
        "text": pa.string(),
        "uuid": pa.string(),
        "integer": pa.int64(),
        "bigint": pa.int64(),
        "boolean": pa.bool_(),
        "double": pa.float64(),
        "date": pa.date32(),
        "timestamptz": pa.timestamp("us", "UTC"),
    }
    return [(name, kinds[kind]) for name, kind in columns.items()]


def _named(table: Any, view: View, pseudonyms: Pseudonyms) -> Any:
    """The table with the warehouse's columns: no member in it any more."""
    pa = pyarrow()
    made = {
        name: pseudonyms.of_column(table[column], role) if role else table[column]
        for name, (column, role) in people.columns(view).items()
    }
    return pa.table(made | {HARD_DELETED: pa.array([False] * len(table), pa.bool_())})


def written(connection: Connection, view: str, since: datetime | None) -> str:
    """Which rows were written after `since`, in short: any change of any of them changes it."""
    query = sql.SQL(
        "SELECT concat_ws(' ', count(changed_at), sum((extract(epoch FROM changed_at) * 1000000)::bigint))"
        " FROM {} WHERE changed_at > {}"
    )
    return _one(connection, query.format(sql.Identifier("published", view), sql.Literal(since or LONG_AGO)))


def deleted(connection: Connection, since: datetime | None) -> tuple[dict[str, list[str]], datetime | None]:
    """View → keys of rows that were deleted after `since` and are not there again; and when the last one was."""
    query = sql.SQL("SELECT {} FROM published.gone WHERE changed_at > {}").format(
        sql.SQL(", ").join(map(sql.Identifier, GONE)), sql.Literal(since or LONG_AGO)
    )
    found: dict[str, list[str]] = {}
    last: datetime | None = None
    for _, view, key, at in connection.execute(query):
        found.setdefault(view, []).append(key)
        last = at if last is None else max(last, at)
    return found, last


def there(connection: Connection, view: View, keys: Sequence[str]) -> set[str]:
    """Which of these rows exist."""
    query = sql.SQL("SELECT {0}::text FROM {1} WHERE {0} = ANY (%s::text[]::{2}[])").format(
        sql.Identifier(view.key), sql.Identifier("published", view.name), sql.Identifier(view.columns[view.key])
    )
    return {key for (key,) in connection.execute(query, [list(keys)])}


def taken_away(view: View, keys: Sequence[str], pseudonyms: Pseudonyms) -> Any:
    """An Arrow table that takes these rows away when it is merged."""
    pa = pyarrow()
    of_view = dict(_fields(pa, view.columns))
    made: dict[str, Any] = {}
    for name, (column, role) in people.columns(view).items():
        kept = keys if column == view.key else [None] * len(keys)
        values = [pseudonyms.of(key, role) for key in kept] if role else kept
        made[name] = pa.array(values, pa.int64() if role else of_view[column])
    return pa.table(made | {HARD_DELETED: pa.array([True] * len(keys), pa.bool_())})


def _one(connection: Connection, query: LiteralString | sql.Composed) -> Any:
    row = connection.execute(query).fetchone()
    return row and row[0]
