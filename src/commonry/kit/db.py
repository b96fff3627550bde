"""PostgreSQL with SQL by hand: a pool, transactions, typed rows.

A query is a `LiteralString` with named parameters; a row becomes whatever `make` builds from its columns as keyword
arguments. Connections are in autocommit: a lone read is one round trip, `tx()` begins and commits explicitly.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Any, LiteralString, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

import msgspec
import psycopg
from psycopg import AsyncConnection, OperationalError, errors
from psycopg import DataError as DataError  # noqa: PLC0414 why: for the edge, which speaks no SQL
from psycopg.rows import kwargs_row, scalar_row
from psycopg.types.json import Jsonb, set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from commonry.kit import clock
from commonry.kit.problems import Unavailable
from commonry.kit.telemetry import pool_waiting

T = TypeVar("T")
DatabaseError = psycopg.Error
"""Whatever the driver raises."""
Params = Mapping[str, Any]
Tx = AsyncConnection[Any]
"""A connection inside a transaction (or, for reads, in autocommit)."""

set_json_dumps(msgspec.json.encode)
set_json_loads(msgspec.json.decode)

RETRIED = (errors.DeadlockDetected, errors.SerializationFailure)
ATTEMPTS = 4


class Database:
    """One service's database: at most `size` connections, opened when first needed, closed when idle.

    Raises `Unavailable` (503) when no connection is to be had within `patience` seconds.
    """

    def __init__(self, url: str, *, name: str, size: int = 10, patience: float = 3.0, prepare: bool = True) -> None:
        self.name = name
        self._times: WeakKeyDictionary[Tx, datetime | None] = WeakKeyDictionary()
        settings = {
            "autocommit": True,
            "options": "-c timezone=UTC -c statement_timeout=30s -c lock_timeout=10s",
            "application_name": f"commonry {name}",
            "connect_timeout": 3,
            "prepare_threshold": 3 if prepare else None,
        }
        self.pool = AsyncConnectionPool(
            url,
            kwargs=settings,
            min_size=0,
            max_size=size,
            timeout=patience,
            max_idle=15,
            open=False,
            name=name,
            check=None,
            num_workers=1,
            reconnect_timeout=5,
        )

    async def open(self) -> None:
        """Start the pool; connects lazily, so that services may start before their database."""
        await self.pool.open(wait=False)
        pool_waiting.labels(self.name).set_function(lambda: self.pool.get_stats().get("requests_waiting", 0))

    async def close(self) -> None:
        """Wait briefly for connections in use, then close all."""
        await self.pool.close(timeout=5)

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[Tx]:
        """A connection for reads that need no common snapshot: each statement is its own transaction."""
        async with self._connection() as conn:
            yield conn

    def alone(self) -> AbstractAsyncContextManager[Tx]:
        """A connection for ONE writing statement, which is then a transaction of its own: half the cost of `tx()`."""
        return self.read()

    @asynccontextmanager
    async def tx(self) -> AsyncGenerator[Tx]:
        """A transaction: committed at the end, rolled back by any exception."""
        async with self._connection() as conn, conn.transaction():
            yield conn

    async def transact(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """`work` in a transaction, again (with a little patience) when PostgreSQL chose it as a deadlock's victim."""
        for attempt in range(1, ATTEMPTS):
            try:
                async with self.tx() as tx:
                    return await work(tx)
            except RETRIED:
                await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 why: spread, not secrecy
        async with self.tx() as tx:
            return await work(tx)

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Tx]:
        try:
            async with self.pool.connection() as conn:
                if self._times.get(conn) != clock.pretended():
                    await self._set_time(conn)
                yield conn
        except PoolTimeout as e:
            raise Unavailable(f"The database of {self.name} is busy or away.") from e
        except RETRIED:
            raise
        except OperationalError as e:
            raise Unavailable(f"The database of {self.name} does not answer.") from e

    async def _set_time(self, conn: Tx) -> None:
        """Tell the connection which present its next user lives in (`kit.clock`). In real life this is never called."""
        instant = clock.pretended()
        await conn.execute("SELECT set_config('commonry.now', %s, false)", [instant.isoformat() if instant else ""])
        self._times[conn] = instant


async def one(tx: Tx, make: Callable[..., T], query: LiteralString, params: Params | None = None) -> T | None:
    """The first row, or None."""
    async with tx.cursor(row_factory=kwargs_row(make)) as cursor:
        await cursor.execute(query, params)
        return await cursor.fetchone()


async def many(tx: Tx, make: Callable[..., T], query: LiteralString, params: Params | None = None) -> list[T]:
    """All rows."""
    async with tx.cursor(row_factory=kwargs_row(make)) as cursor:
        await cursor.execute(query, params)
        return await cursor.fetchall()


async def value(tx: Tx, query: LiteralString, params: Params | None = None) -> Any:
    """The first column of the first row, or None."""
    async with tx.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(query, params)
        return await cursor.fetchone()


async def values(tx: Tx, query: LiteralString, params: Params | None = None) -> list[Any]:
    """The first column of every row."""
    async with tx.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(query, params)
        return await cursor.fetchall()


async def run(tx: Tx, query: LiteralString, params: Params | None = None) -> int:
    """Execute; how many rows it touched."""
    return (await tx.execute(query, params)).rowcount


async def run_many(tx: Tx, query: LiteralString, rows: list[Params]) -> None:
    """Execute once per row, in one round trip (pipeline)."""
    async with tx.cursor() as cursor:
        await cursor.executemany(query, rows)


def as_json(thing: Any) -> Jsonb:
    """A struct (or plain value) as a jsonb parameter."""
    return Jsonb(msgspec.to_builtins(thing, builtin_types=(UUID,)) if isinstance(thing, msgspec.Struct) else thing)
