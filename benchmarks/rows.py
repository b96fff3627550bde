"""How much room a booking takes: rows in every table, and bytes a row with its indexes, of the demo's year of loans.

The demo's tables are copied many times over, each time with other ids, into tables of the same shape; ids come in
random order, which leaves indexes as full as they are after years.
"""

import asyncio
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, LiteralString, cast

import psycopg
from psycopg import sql

from commonry.kit.postgres import EmbeddedPostgres

TABLES = {
    "inventory": ("items", "units", "reservations", "claims"),
    "bookings": ("bookings", "timeline", "handovers", "reviews", "idempotency_keys"),
    "payments": ("payments", "entries", "postings"),
}
ENOUGH = 100_000
"""Rows of a copy."""
READY = b"is ready"
COLUMNS: LiteralString = """
    SELECT a.attname, format_type(a.atttypid, NULL), a.attidentity <> '' FROM pg_attribute a
    WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum"""
CALENDAR: tuple[LiteralString, ...] = (
    "CREATE TABLE a_copy (LIKE claims INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING IDENTITY)",
    "ALTER TABLE a_copy ADD CONSTRAINT no_two EXCLUDE USING gist (unit_id WITH =, occupied WITH &&) WHERE (live)",
)
CLAIMS: LiteralString = """
    INSERT INTO a_copy (reservation_id, unit_id, period, occupied)
    SELECT gen_random_uuid(), md5((n %% 1000)::text)::uuid, tstzrange(day, day + '1 day'), tstzrange(day, day + '1 day')
    FROM generate_series(1, %(claims)s) AS n, LATERAL (SELECT now() + n / 1000 * interval '1 day' AS day) AS d
    ORDER BY random()"""
SIZE: LiteralString = "SELECT count(*), pg_table_size(%s::regclass), pg_indexes_size(%s::regclass) FROM {}"


async def measure() -> dict[str, Any]:
    """Bytes a row of each table, and how many rows a booking has in it."""
    with tempfile.TemporaryDirectory(prefix="commonry-bench-") as folder:
        Path(folder).chmod(0o755)  # the database's own user must reach its folder below
        data = Path(folder, "data")
        await asyncio.to_thread(_fill, data)
        server = EmbeddedPostgres(data)
        server.start()
        try:
            tables = {table: _measure(server.url(s), table) for s, some in TABLES.items() for table in some}
            calendar = _calendar(server.url("inventory"))
        finally:
            server.stop()
    bookings = tables["bookings"]["demo"]
    for found in tables.values():
        found["per_booking"] = round(found.pop("demo") / bookings, 3)
    for name, found in tables.items():
        print(f"  {name:18} {found['per_booking']:8} rows a booking  {found['bytes']:6} bytes a row and its indexes")
    print(f"  one live claim takes {calendar} bytes of the index that lets no two overlap")
    return {"tables": tables, "bytes_of_live_claim": calendar, "copied_to": ENOUGH}


def _fill(data: Path) -> None:
    command = [sys.executable, "-m", "commonry", "up", "--port", "0", "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as platform:
        assert platform.stdout
        while READY not in (line := platform.stdout.readline()):
            assert line, "it ended before it was ready"
        platform.send_signal(signal.SIGTERM)


def _measure(url: str, table: str) -> dict[str, Any]:
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        name, copy = sql.Identifier(table), sql.Identifier("a_copy")
        ((demo,),) = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(name)).fetchall()
        connection.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(copy, name))
        columns = [(c, k) for c, k, is_identity in connection.execute(COLUMNS, [table]) if not is_identity]
        connection.execute(
            sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} AS t, generate_series(1, %s) AS g").format(
                copy, sql.SQL(", ").join(sql.Identifier(c) for c, _ in columns), _values(columns), name
            ),
            [ENOUGH // demo + 1],
        )
        connection.execute("VACUUM ANALYZE a_copy")
        size = sql.SQL(SIZE).format(copy)
        ((rows, itself, indexes),) = connection.execute(size, ["a_copy", "a_copy"]).fetchall()
        connection.execute("DROP TABLE a_copy")
    return {"demo": demo, "bytes": (itself + indexes) // rows, "of_them_indexes": indexes // rows}


def _calendar(url: str) -> int:
    """Bytes that a claim which is not over takes in the exclusion constraint's index, begun and ended in any order."""
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        for statement in CALENDAR:
            connection.execute(statement)
        connection.execute(CLAIMS, {"claims": ENOUGH})
        ((size,),) = connection.execute("SELECT pg_relation_size('no_two')").fetchall()
        connection.execute("DROP TABLE a_copy")
    return size // ENOUGH


def _values(columns: list[tuple[str, str]]) -> sql.Composable:
    """The same row with other ids, and with other words where words must not be the same."""
    made = {"uuid": "md5({0}::text || g)::uuid", "cause": "{0} || '-' || g", "key": "{0} || '-' || g"}
    return sql.SQL(", ").join(
        sql.SQL(cast("LiteralString", made.get(kind) or made.get(column) or "{0}")).format(sql.Identifier("t", column))
        for column, kind in columns
    )
