"""A database with only kit's own tables and one table whose rows fall due."""

import itertools
from collections.abc import AsyncIterator

import pytest

from commonry.kit.db import Database
from commonry.kit.migrate import baseline
from commonry.kit.postgres import EmbeddedPostgres

_numbers = itertools.count(1)


@pytest.fixture
async def db(postgres: EmbeddedPostgres) -> AsyncIterator[Database]:
    """An open database of its own."""
    name = f"kit_{next(_numbers)}"
    postgres.create_databases([name])
    made = Database(postgres.url(name), name="kit", size=10)
    await made.open()
    async with made.tx() as tx:
        await tx.execute(baseline(1))
        await tx.execute(
            "CREATE TABLE chores (id uuid PRIMARY KEY, due timestamptz, holder text, lease_until timestamptz,"
            " attempts integer NOT NULL DEFAULT 0, trouble text, done integer NOT NULL DEFAULT 0)"
        )
    yield made
    await made.close()
