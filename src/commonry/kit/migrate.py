"""Migrations: Alembic with hand-written SQL, one tree per service.

Runs under an advisory lock taken first, so that replicas starting together do not race; a lock that cannot be had
quickly is tried again instead of queueing every query behind it. Both hold for transactions and not for sessions, so
that it may run through a pooler. There is no `env.py`: this module is it, for every
service. Alembic is imported only to upgrade: a running platform has no need of it, nor of the 30 MB it takes.
"""

import re
import time
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg

from commonry.kit.db import Database, value
from commonry.kit.problems import Unavailable

LOCK = 0x636F6D6D6F6E7279  # "commonry"
ATTEMPTS = 5


def baseline(version: int) -> str:
    """The SQL of kit's own tables, for a service's first migration. A published version never changes."""
    return _sql(f"baseline_{version}.sql")


def published(version: int) -> str:
    """The SQL of kit's own that views for the warehouse are built on. A published version never changes."""
    return _sql(f"published_{version}.sql")


def _sql(file: str) -> str:
    return resources.files("commonry.kit").joinpath("sql", file).read_text("utf-8")


def head(folder: Path) -> str:
    """The newest revision of a tree, read from its file names (`0002_photos.py` → `0002`): cheap at every start."""
    return max(match[1] for f in folder.glob("*.py") if (match := re.match(r"(\d{4})_", f.name)))


def current(url: str) -> str | None:
    """The revision a database is at, or None when it is empty."""
    with psycopg.connect(url, connect_timeout=5) as conn:
        known = conn.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
        row = conn.execute("SELECT version_num FROM alembic_version").fetchone() if known and known[0] else None
        return row[0] if row else None


async def is_current(db: Database, folder: Path) -> bool:
    """Whether the database answers and is at the newest revision of `folder`, or beyond it: an upgrade is under way."""
    try:
        async with db.read() as tx:
            known = await value(tx, "SELECT to_regclass('alembic_version') IS NOT NULL")
            at = await value(tx, "SELECT max(version_num) FROM alembic_version") if known else None
    except Unavailable:
        return False
    return at is not None and at >= head(folder)


def upgrade(url: str, folder: Path, revision: str = "head") -> None:
    """Bring a database to `revision`. Safe to run from any number of processes at once."""
    from sqlalchemy.exc import OperationalError

    for attempt in range(1, ATTEMPTS + 1):
        try:
            _upgrade(url, folder, revision)
            return
        except OperationalError as e:
            if attempt == ATTEMPTS or "lock timeout" not in str(e):
                raise
            time.sleep(attempt)


def _upgrade(url: str, folder: Path, revision: str) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import create_engine, event
    from sqlalchemy.pool import NullPool

    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("version_locations", str(folder))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)

    def connected() -> psycopg.Connection[Any]:
        return psycopg.connect(url, connect_timeout=5, prepare_threshold=None)

    def begun(conn: Any) -> None:
        conn.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
        conn.exec_driver_sql("SET LOCAL statement_timeout = 0")

    engine = create_engine("postgresql+psycopg://", creator=connected, poolclass=NullPool)
    event.listen(engine, "begin", begun)

    # What `alembic upgrade` itself does, without its command line and configuration file.
    def steps(at: Any, _: Any) -> Any:
        return script._upgrade_revs(revision, at)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    with connected() as guard, engine.connect() as conn, EnvironmentContext(config, script, fn=steps) as env:
        _take_turns(guard)
        env.configure(connection=conn, transaction_per_migration=True)
        with env.begin_transaction():
            env.run_migrations()
        conn.commit()


def _take_turns(guard: psycopg.Connection[Any]) -> None:
    """Be the only one who migrates this database, for as long as the guard's transaction lasts.

    Asked again and again instead of waiting in the server: who waits there behind a pooler has one of its connections,
    of which there may be too few for whoever has the turn.
    """
    while True:
        guard.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        got = guard.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK]).fetchone()
        if got and got[0]:
            return
        guard.rollback()
        time.sleep(0.2)
