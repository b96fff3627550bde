"""PostgreSQL with SQL by hand: a pool, transactions, typed rows.

A query is a `LiteralString` with named parameters; a row becomes whatever `make` builds from its columns as keyword
arguments. Connections are in autocommit: a lone read is one round trip, `tx()` begins and commits explicitly. Nothing
outlives a transaction on a connection, so that a pooler may give every transaction another one; and nothing waits for
a server that is silent longer than the caller waits for us.
"""

import asyncio
import os
import random
import select
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from math import inf
from time import monotonic
from typing import Any, LiteralString, TypeVar
from uuid import UUID

import msgspec
import psycopg
from prometheus_client import Gauge
from psycopg import AsyncConnection, OperationalError, errors
from psycopg import DataError as DataError  # noqa: PLC0414 why: for the edge, which speaks no SQL
from psycopg.abc import PQGen
from psycopg.rows import kwargs_row, scalar_row
from psycopg.types.json import Jsonb, set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from commonry.kit import clock, deadlines
from commonry.kit.problems import Unavailable
from commonry.kit.telemetry import pool_waiting

pool_size = Gauge("commonry_database_pool_size", "Most connections to its database a process may have.", ["service"])
pool_used = Gauge("commonry_database_pool_used", "Database connections at work right now.", ["service"])

T = TypeVar("T")
DatabaseError = psycopg.Error
"""Whatever the driver raises."""
Params = Mapping[str, Any]
Tx = AsyncConnection[Any]
"""A connection inside a transaction (or, for reads, in autocommit)."""

set_json_dumps(msgspec.json.encode)
set_json_loads(msgspec.json.decode)

os.environ["PGTZ"] = "UTC"  # of our sessions: libpq says it when it connects, in the one way that poolers pass on

RETRIED = (errors.DeadlockDetected, errors.SerializationFailure)
ATTEMPTS = 4
LONGEST = 20.0
"""Seconds that a statement may take: less than a gateway waits for an answer."""
LEAST = 1.0
"""Seconds that a statement is given even when the caller's are over: a COMMIT is better known than cut off."""
GRACE = 1.0
"""Seconds for a statement to end after it was asked to."""
RECONNECT_AT_MOST = 1.0
"""Seconds between two times that all connections are made anew: when one is lost, the others are looked at as well."""

LINE = {
    "connect_timeout": 3,
    # A server that vanished without a word, as with its machine: noticed while we wait for it, and while we do not.
    "tcp_user_timeout": 6000,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
SESSION = " ".join(
    f"-c {setting}"
    for setting in (
        f"statement_timeout={LONGEST:.0f}s",
        "lock_timeout=10s",
        # Where we vanish, the server is to let go of what we locked.
        "idle_in_transaction_session_timeout=30s",
        "tcp_user_timeout=15s",
        "tcp_keepalives_idle=10",
        "tcp_keepalives_interval=5",
        "tcp_keepalives_count=3",
    )
)
LOST = ("57P01", "57P02", "57P03", "25006")
"""SQLSTATEs of a server that is ended, has crashed, is starting, or may only be read: no longer, or not yet, ours."""


class Impatient(AsyncConnection[Any]):
    """A connection that waits for a statement no longer than `LONGEST`, nor than our caller waits for us."""

    _until = _looks_at = inf
    _timer: asyncio.TimerHandle | None = None
    _ending: asyncio.Task[None] | None = None

    async def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Every wait for the server passes here."""
        self._until = monotonic() + max(LEAST, deadlines.left(LONGEST + GRACE))
        if self._until < self._looks_at:  # rarely: one timer serves many waits, as making one costs more than a wait
            self._look_later()
        try:
            return await super().wait(gen, interval, timeout)
        finally:
            self._until = inf
            if self._ending is not None:
                self._ending.cancel()
                self._ending = None

    def _look_later(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._looks_at = self._until
        self._timer = asyncio.get_running_loop().call_later(self._until - monotonic(), self._look)

    def _look(self) -> None:
        self._timer, self._looks_at = None, inf
        if monotonic() >= self._until:
            self._ending = asyncio.create_task(self._end())
        elif self._until < inf:
            self._look_later()

    async def _end(self) -> None:
        """Ask the server to stop. If it does not say that it has, hang up: the wait then ends as with any lost line."""
        with suppress(DatabaseError, OSError):
            await self.cancel_safe(timeout=GRACE)
        await asyncio.sleep(GRACE)
        with suppress(DatabaseError, OSError), socket.socket(fileno=os.dup(self.pgconn.socket)) as line:
            line.shutdown(socket.SHUT_RDWR)


class Database:
    """One service's database: at most `size` connections, opened when first needed, closed when idle.

    Raises `Unavailable` (503) when no connection is to be had within `patience` seconds, and when one is lost.
    `pooled`: there is a PgBouncer in transaction mode in between. `copy`: a server that may only be read will do.
    """

    def __init__(
        self, url: str, *, name: str, size: int = 10, patience: float = 3.0, pooled: bool = False, copy: bool = False
    ) -> None:
        self.name, self.pooled, self._patience, self._renewed = name, pooled, patience, -inf
        settings = LINE | {
            "autocommit": True,
            "application_name": f"commonry {name}",
            "prepare_threshold": None if pooled else 3,
            # Such a pooler refuses options: what of them must hold is waited for here.
            "options": "" if pooled else SESSION,
            "target_session_attrs": "any" if copy else "primary",
        }
        self.pool = AsyncConnectionPool(
            url,
            connection_class=Impatient,
            kwargs=settings,
            min_size=0,
            max_size=size,
            timeout=patience,
            max_idle=15,
            open=False,
            name=name,
            check=self._check,
            num_workers=1,
            reconnect_timeout=1,
        )

    async def open(self) -> None:
        """Start the pool; connects lazily, so that services may start before their database."""
        await self.pool.open(wait=False)
        stats = self.pool.get_stats
        pool_size.labels(self.name).set(self.pool.max_size)
        pool_used.labels(self.name).set_function(lambda: stats()["pool_size"] - stats()["pool_available"])
        pool_waiting.labels(self.name).set_function(lambda: stats().get("requests_waiting", 0))

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
        """`work` in a transaction, again (with a little patience) when PostgreSQL chose it as a deadlock's victim, or
        was lost before it was to commit: then nothing has happened. Lost while it commits, it is `Unavailable`."""
        for attempt in range(1, ATTEMPTS):
            committing = False
            try:
                async with self.tx() as tx:
                    done = await work(tx)
                    committing = True
                return done
            except RETRIED:
                pass
            except Unavailable as e:
                if committing or not _is_lost(e.__cause__):
                    raise
            await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 why: spread, not secrecy
        async with self.tx() as tx:
            return await work(tx)

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Tx]:
        try:
            async with self.pool.connection(deadlines.left(self._patience)) as conn:
                if (instant := clock.pretended()) is None:
                    yield conn
                else:
                    async with _living_at(conn, instant.isoformat()):
                        yield conn
        except PoolTimeout as e:
            raise Unavailable(f"The database of {self.name} is busy or away.") from e
        except RETRIED:
            raise
        except (OperationalError, errors.ReadOnlySqlTransaction) as e:
            if _is_lost(e):
                await self._renew()
            raise Unavailable(f"The database of {self.name} does not answer.") from e

    async def _check(self, conn: Impatient) -> None:
        """Before a connection is given out: one at rest from which something can be read was most likely closed."""
        if not _has_something_to_say(conn):
            return
        try:
            await self.pool.check_connection(conn)
        except OperationalError:
            await self._renew()
            raise

    async def _renew(self) -> None:
        """Make all connections anew: where one was lost, others are, and each would have to be found out by someone."""
        now = asyncio.get_running_loop().time()
        if now - self._renewed >= RECONNECT_AT_MOST:
            self._renewed = now
            await self.pool.drain()


def _is_lost(error: BaseException | None) -> bool:
    """Whether the server, or the way to it, is gone; as opposed to what a server says that is well."""
    if not isinstance(error, DatabaseError) or isinstance(error, PoolTimeout | PoolClosed):
        return False
    return error.sqlstate is None or error.sqlstate in LOST or error.sqlstate.startswith("08")


def _has_something_to_say(conn: Tx) -> bool:
    poll = select.poll()
    poll.register(conn.fileno(), select.POLLIN)
    return bool(poll.poll(0))


@asynccontextmanager
async def _living_at(conn: Tx, instant: str) -> AsyncGenerator[None]:
    """Another present (`kit.clock`) for one transaction. In real life this is never called."""
    async with conn.transaction():
        await conn.execute("SELECT set_config('commonry.now', %s, true)", [instant])
        yield


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
