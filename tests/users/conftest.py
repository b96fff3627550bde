"""A users service with an empty database for every test.

All tests of a process share one migrated database, emptied before each: making one takes half a second.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import commonry
from commonry.kit import migrate
from commonry.kit.db import Database
from commonry.kit.postgres import EmbeddedPostgres
from tests.users.world import World

TABLES = ("sessions", "members", "login_failures", "idempotency_keys", "outbox")


@pytest.fixture(scope="session")
def url(postgres: EmbeddedPostgres) -> str:
    postgres.create_databases(["users_tests"])
    migrate.upgrade(postgres.url("users_tests"), Path(commonry.__file__).parent / "users" / "migrations")
    return postgres.url("users_tests")


@pytest.fixture
async def db(url: str) -> AsyncIterator[Database]:
    database = Database(url, name="users", size=20)
    await database.open()
    async with database.tx() as tx:
        for table in TABLES:
            await tx.execute(f"DELETE FROM {table}")
    yield database
    await database.close()


@pytest.fixture
async def world(db: Database) -> World:
    return World(db)
