"""A town with four databases of its own, its warehouse, and runs of it as processes that can be killed anywhere."""

import multiprocessing
import os
import signal
import threading
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from commonry.contracts.settings import Settings
from commonry.kit import migrate
from commonry.kit.postgres import EmbeddedPostgres
from commonry.run import OWNERS, migrations
from commonry.warehouse import runs
from commonry.warehouse.duck import opened
from commonry.warehouse.folder import Folder, Status

# Children are forked from a process that has loaded what takes seconds to load, and does nothing else.
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["commonry.warehouse.runs", "dlt", "duckdb", "pyarrow", "pyarrow.csv", "pyarrow.compute"])
_numbers = count(1)


class Warehouse:
    """The warehouse of some databases. `lag` in seconds."""

    def __init__(self, server: EmbeddedPostgres, databases: dict[str, str], data: Path, lag: float) -> None:
        self.server, self.databases = server, databases
        self.urls = {service: server.url(name, f"{name}_reader") for service, name in databases.items()}
        self.settings = Settings(data=str(data), etl_lag_seconds=lag)
        self.folder = Folder(data)

    def run(self, **more: Any) -> Status:
        """A run to its end, in this process."""
        return runs.run(self.settings, self.urls, lambda _: None, **more)

    def killed(self, *, at_step: int | None = None, after: float | None = None) -> bool:
        """A run as a process of its own, killed at one of its steps or after so many seconds; whether it was."""
        child = FORKED.Process(target=_run_and_die, args=(self.settings, self.urls, at_step, after))
        child.start()
        child.join(120)
        assert child.exitcode is not None
        assert child.exitcode in (0, -signal.SIGKILL)
        return child.exitcode != 0

    def mart(self, name: str) -> list[dict[str, Any]]:
        """All rows of a mart of the current build."""
        build = self.folder.current()
        assert build is not None
        with opened(build.star, read_only=True) as duck:
            found = duck.execute(f"FROM mart_{name}")
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def told(self, **changes: Any) -> None:
        """The same with other settings."""
        self.settings = msgspec.structs.replace(self.settings, **changes)


def _run_and_die(settings: Settings, urls: dict[str, str], at_step: int | None, after: float | None) -> None:
    steps = count(1)

    def tell(_: str) -> None:
        if next(steps) == at_step:
            os.kill(os.getpid(), signal.SIGKILL)

    if after is not None:
        threading.Timer(after, os.kill, [os.getpid(), signal.SIGKILL]).start()
    runs.run(settings, urls, tell)
    os._exit(0)


KEPT = ("alembic_version", "categories")


@pytest.fixture(scope="session")
def databases(postgres: EmbeddedPostgres) -> dict[str, str]:
    """Four migrated databases, service → name."""
    made = {service: f"town_{service}" for service in OWNERS}
    postgres.create_databases(list(made.values()))
    for service, name in made.items():
        migrate.upgrade(postgres.url(name), migrations(service))
    return made


@pytest.fixture
def town(postgres: EmbeddedPostgres, databases: dict[str, str], tmp_path: Path) -> Warehouse:
    """Four empty databases, and a warehouse that looks back by a minute."""
    for name in databases.values():
        with psycopg.connect(postgres.url(name, "postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            tables = ", ".join(table for (table,) in found if table not in KEPT)
            emptied: Any = f"SET session_replication_role = replica; TRUNCATE {tables}"  # past what guards the ledger
            connection.execute(emptied)
    return Warehouse(postgres, databases, tmp_path, 60)
