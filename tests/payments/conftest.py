"""A payments service for every test, and no failpoint left armed.

The tests of a file share a database (`world`): bookings and people are new each time, and the books must balance
whatever happened before. A test that damages its database takes one of its own (`own_world`).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

import commonry
from commonry.kit import failpoints, migrate
from commonry.kit.db import Database
from commonry.kit.postgres import EmbeddedPostgres
from tests.payments.world import World


@pytest.fixture(scope="module")
def url(postgres: EmbeddedPostgres) -> str:
    name = f"payments_{uuid4().hex[:8]}"
    postgres.create_databases([name])
    migrate.upgrade(postgres.url(name), Path(commonry.__file__).parent / "payments" / "migrations")
    return postgres.url(name)


@pytest.fixture
async def db(url: str) -> AsyncIterator[Database]:
    opened = Database(url, name="payments", size=20)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def world(db: Database) -> World:
    return World(db)


@pytest.fixture
async def own_world(new_database: Callable[..., Awaitable[Database]]) -> World:
    return World(await new_database("payments"))


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    """Deaths are on purpose here: their tracebacks are kept, not drawn."""
    with capture_logs():
        yield
    failpoints.arm("")
