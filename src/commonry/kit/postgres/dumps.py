"""Databases of one server as they all were at one moment, written out, read back, and compared.

Transactions have their numbers from the whole server: snapshots of several databases that name the same ones as over
are of the same moment, as if the power had been cut then. Contents are compared by a sum over all rows, which does not
depend on their order, on how they are stored, or on PostgreSQL's version.
"""

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, LiteralString, NamedTuple

import msgspec
import psycopg
from psycopg import sql

from commonry.kit.postgres.cluster import environment
from commonry.kit.postgres.place import PostgresTrouble, disk_full, settle
from commonry.kit.postgres.programs import find_programs

PATIENCE = 10.0
"""Seconds in which a moment is looked for that all databases share. Between two commits is long enough for one."""
CHUNK = 2**18
SETTINGS = """
    SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET bytea_output = 'hex';
    SET extra_float_digits = 1; SET search_path = ''; SET statement_timeout = 0;
    SET idle_in_transaction_session_timeout = 0"""
"""What a row's text depends on; and how long a snapshot may be kept, which is as long as it takes."""
TABLES = """
    SELECT n.nspname, c.relname, array_agg(a.attname::text ORDER BY a.attnum)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
    WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    GROUP BY n.nspname, c.relname ORDER BY n.nspname, c.relname"""
"""Every table but those of extensions, with its columns but those that follow from others."""
LOCALLY = """
    SET LOCAL TimeZone = 'UTC'; SET LOCAL IntervalStyle = 'iso_8601'; SET LOCAL bytea_output = 'hex';
    SET LOCAL extra_float_digits = 1; SET LOCAL statement_timeout = 0;
    SET LOCAL idle_in_transaction_session_timeout = 0"""
"""The same where a pooler may give the connection to somebody else afterwards."""
COPIED = """COPY (SELECT row_to_json(r) FROM ({}) AS r) TO STDOUT (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02')"""
"""JSON as it is: it has no control characters, so nothing is ever quoted."""
EXPORT = "SELECT pg_export_snapshot()"
CONTENT = """
    SELECT count(1), coalesce(sum(
        ('x' || left(encode(sha256(convert_to(r::text, 'UTF8')), 'hex'), 15))::bit(60)::bigint), 0)::text
    FROM (SELECT {columns} FROM {table}) AS r"""


class Content(msgspec.Struct, frozen=True):
    """How many rows a table has, and the sum over them."""

    rows: int
    sum: str


class Snapshot(NamedTuple):
    """One database at that moment, for as long as the connection is open."""

    url: str
    connection: psycopg.Connection[Any]
    name: str


class Programs(NamedTuple):
    """PostgreSQL's own, which write a database out and read it back."""

    folder: Path
    version: int
    data: Path


def programs(data: Path) -> Programs:
    """Those of the server in `data`."""
    place = settle(data)
    folder, version = find_programs(place, None)
    for name in ("pg_dump", "pg_restore"):
        if not os.access(folder / name, os.X_OK):
            raise PostgresTrouble(f"{folder} has no {name}: install PostgreSQL's client programs.")
    return Programs(folder, version, place.folder)


@contextmanager
def snapshots(urls: Sequence[str]) -> Generator[list[Snapshot]]:
    """The databases, all as they were at one moment. Raises `PostgresTrouble` when there is no such moment."""
    with ExitStack() as stack:
        connections = [stack.enter_context(_connected(url)) for url in urls]
        if not _begin_at_one_moment(connections):
            raise PostgresTrouble(
                "The databases change too fast for a snapshot of all: try again when less is going on."
            )
        yield [Snapshot(*each, _value(each[1], EXPORT)) for each in zip(urls, connections, strict=True)]


@contextmanager
def _connected(url: str) -> Generator[psycopg.Connection[Any]]:
    with psycopg.connect(
        url, autocommit=True, connect_timeout=5, application_name="commonry snapshot", prepare_threshold=None
    ) as connection:
        connection.execute(SETTINGS)
        yield connection


def _begin_at_one_moment(connections: Sequence[psycopg.Connection[Any]]) -> bool:
    """Begin a transaction in each, again and again until all see the same ones as over. Whether they do."""
    deadline = time.monotonic() + PATIENCE
    while True:
        for connection in connections:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        seen = {_value(connection, "SELECT pg_current_snapshot()::text") for connection in connections}
        if len(seen) == 1 or time.monotonic() > deadline:
            return len(seen) == 1
        for connection in connections:
            connection.execute("ROLLBACK")


def _value(connection: psycopg.Connection[Any], query: LiteralString) -> Any:
    row = connection.execute(query).fetchone()
    return row and row[0]


def revision(snapshot: Snapshot) -> str | None:
    """How far the database is migrated; None when it is empty."""
    known = _value(snapshot.connection, "SELECT to_regclass('public.alembic_version') IS NOT NULL")
    return _value(snapshot.connection, "SELECT max(version_num) FROM public.alembic_version") if known else None


def contents(connection: psycopg.Connection[Any]) -> dict[str, Content]:
    """What each table holds."""
    found: dict[str, Content] = {}
    for schema, table, columns in connection.execute(TABLES).fetchall():
        counted = sql.SQL(CONTENT).format(
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)), table=sql.Identifier(schema, table)
        )
        found[table if schema == "public" else f"{schema}.{table}"] = Content(
            *connection.execute(counted).fetchone() or ()
        )
    return found


def contents_now(url: str) -> dict[str, Content]:
    """The same of a database as it is; and what its planner has to know of it is gathered."""
    with _connected(url) as connection:
        connection.execute("ANALYZE")
        return contents(connection)


class Frozen(NamedTuple):
    """Databases as each was at one moment, for as long as the connections are open."""

    connections: list[psycopg.Connection[Any]]
    is_one_moment: bool


@contextmanager
def frozen(urls: Sequence[str]) -> Generator[Frozen]:
    """The databases to read from: if they are of one server, then as a rule of one moment."""
    with ExitStack() as stack:
        opened = [stack.enter_context(_plainly_connected(url)) for url in urls]
        servers = {_value(connection, "SELECT pg_postmaster_start_time()") for connection in opened}
        if len(servers) == 1:
            is_one_moment = _begin_at_one_moment(opened)
        else:
            is_one_moment = False
            for connection in opened:
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for connection in opened:
            connection.execute(LOCALLY)
        yield Frozen(opened, is_one_moment)


def _plainly_connected(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(
        url, autocommit=True, connect_timeout=5, application_name="commonry reading", prepare_threshold=None
    )


def count(connection: psycopg.Connection[Any], query: LiteralString) -> int:
    """How many rows a query has."""
    counted = sql.SQL("SELECT count(1) FROM ({}) AS r").format(sql.SQL(query))
    return (connection.execute(counted).fetchone() or (0,))[0]


def kinds(connection: psycopg.Connection[Any], query: LiteralString) -> dict[str, str]:
    """The columns of a query, and PostgreSQL's names of their types."""
    found = connection.execute(sql.SQL("{} LIMIT 0").format(sql.SQL(query))).description or []
    return {column.name: column.type_display for column in found}


def json_rows(connection: psycopg.Connection[Any], query: LiteralString) -> Iterator[bytes]:
    """Each row of a query as a JSON object in a line of its own, as fast as PostgreSQL makes them, one at a time."""
    copied, rest = sql.SQL(COPIED).format(sql.SQL(query)), b""
    with connection.cursor() as cursor, cursor.copy(copied) as copy:
        for some in copy:
            *lines, rest = (rest + bytes(some)).split(b"\n")
            yield from lines


def dump(snapshot: Snapshot, using: Programs, take: Callable[[bytes], None]) -> None:
    """Write the database out as of the snapshot, in pg_dump's own format, for pg_restore of this version or newer."""
    options = ["--format=custom", "--compress=0", f"--snapshot={snapshot.name}", f"--dbname={snapshot.url}"]
    with _run(using, "pg_dump", options, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        if process.stdout:
            while some := process.stdout.read(CHUNK):
                take(some)


def restore(url: str, using: Programs, chunks: Iterable[bytes]) -> None:
    """Read into an empty database what `dump` wrote: all or nothing."""
    options = ["--single-transaction", "--exit-on-error", f"--dbname={url}"]
    with _run(using, "pg_restore", options, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        if process.stdin:
            with suppress(BrokenPipeError), process.stdin as into:  # it says why, and ends
                for some in chunks:
                    into.write(some)


@contextmanager
def _run(
    using: Programs, program: str, options: list[str], *, stdin: int, stdout: int
) -> Generator[subprocess.Popen[bytes]]:
    """One of the programs at work; raises `PostgresTrouble` when it fails. It ends when its pipe does."""
    command = [str(using.folder / program), "--no-password", *options]
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=said, env=environment()) as process:
            try:
                yield process
            except BaseException:  # why: whatever interrupts us, half of it is of no use to anybody
                process.kill()
                raise
        said.seek(0)
        if process.returncode != 0:
            raise PostgresTrouble(_why(using, program, said.read().decode(errors="replace")))


def _why(using: Programs, program: str, said: str) -> str:
    if "No space left on device" in said:
        return disk_full(using.data)
    reasons = re.findall(r"(?:ERROR|FATAL|error): +(.+)", said) or said.strip().splitlines() or ["it said nothing"]
    return f"{program} could not finish: {reasons[-1].rstrip('.')}."
