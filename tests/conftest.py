"""Fixtures every test may use: a real PostgreSQL, empty databases, and the services' near applications.

One embedded server serves a whole test process. `new_database("inventory")` gives a fresh, migrated database each
time, so that tests neither see nor break each other.
"""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import psycopg
import pytest

import commonry
from commonry.kit import migrate
from commonry.kit.db import Database
from commonry.kit.postgres import EmbeddedPostgres

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A running embedded server in a folder of its own. Nothing in it has to survive: it need not wait for the disk."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("pg"))
    server.start()
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
    yield server
    server.stop()


@pytest.fixture
async def new_database(postgres: EmbeddedPostgres) -> AsyncIterator[Callable[[str], Awaitable[Database]]]:
    """Makes an empty, migrated database of a service and opens it; closed at the end."""
    opened: list[Database] = []

    async def make(service: str, *, size: int = 20) -> Database:
        name = f"{service}_{next(_numbers)}"
        postgres.create_databases([name])
        migrate.upgrade(postgres.url(name), _migrations(service))
        db = Database(postgres.url(name), name=service, size=size)
        await db.open()
        opened.append(db)
        return db

    yield make
    for db in opened:
        await db.close()


def _migrations(service: str) -> Path:
    return Path(commonry.__file__).parent / service / "migrations"
