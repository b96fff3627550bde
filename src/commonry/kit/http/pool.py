"""The connections to one server: kept when idle, ended when nobody waits or nothing comes."""

import asyncio
import ssl
import time

from commonry.kit.http.connection import Answered, Connection, Teller
from commonry.kit.http.messages import Fault, Origin, Request

CONNECT_SECONDS = 1.0
IDLE_SECONDS = 20.0
"""Shorter than any server of ours keeps a connection, so that none is used that is just being closed."""
SWEEP_SECONDS = 0.1
"""How exactly time-outs are kept: one look at all exchanges instead of a timer for each."""


class Pool:
    """The connections to one server."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.idle: list[Connection] = []
        self.busy: set[Connection] = set()
        self.heard_at = 0.0
        """When something last came from there, as `time.monotonic` has it."""
        self._tls = ssl.create_default_context() if origin.tls else None
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False
        self._host_line = b"host: %b\r\n" % origin.authority

    async def ask(self, request: Request, deadline: float, *, fresh: bool = False) -> Answered:
        """One exchange, on a kept connection unless `fresh`. Raises `Fault`."""
        connection = None if fresh else self._kept()
        if connection is None:
            connection = await self._connected()
        self._watch()
        try:
            return await connection.ask(request, deadline)
        except asyncio.CancelledError:
            connection.break_off("was called off")
            raise

    def read(self, target: bytes, fields: bytes, deadline: float, tell: Teller) -> Connection | None:
        """A GET without waiting: `tell` is called with what comes of it. None: there is no kept connection."""
        connection = self._kept()
        if connection is not None:
            self._watch()
            start = b"GET %b%b HTTP/1.1\r\n%b%b\r\n" % (self.origin.prefix, target, self._host_line, fields)
            connection.send(start, deadline, tell, repeatable=True)
        return connection

    def _kept(self) -> Connection | None:
        now = time.monotonic()
        while self.idle:
            connection = self.idle.pop()
            if now - connection.idle_since < IDLE_SECONDS and not connection.is_closing:
                connection.reused = True
                return connection
            connection.break_off("was idle")
        return None

    async def _connected(self) -> Connection:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(self), self.origin.host, self.origin.port, ssl=self._tls
                )
        except (OSError, TimeoutError) as e:
            raise Fault(f"{self.origin.authority.decode()} takes no connection: {e}", sent=False) from e
        return connection

    def take_back(self, connection: Connection) -> None:
        """The exchange is over; the connection may serve another."""
        connection.idle_since = time.monotonic()
        self.idle.append(connection)

    def gone(self, connection: Connection) -> None:
        """The connection is closed."""
        if connection in self.idle:
            self.idle.remove(connection)

    def break_off(self, why: str, *, only_repeatable: bool = False) -> None:
        """End the exchanges that have no answer yet, all or those that may be made again elsewhere."""
        for connection in list(self.busy):
            if connection.is_unanswered and (connection.repeatable or not only_repeatable):
                connection.break_off(why)

    def _watch(self) -> None:
        if self._sweeper is None and not self._closed:
            self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        now = time.monotonic()
        for connection in [c for c in self.busy if c.deadline < now]:
            connection.break_off("did not answer in time")
        if self.busy:
            self._watch()

    def retire(self) -> None:
        """No more requests come: close what is idle; what is under way may end."""
        for connection in list(self.idle):
            connection.break_off("is not needed any more")

    def close(self) -> None:
        """Close all connections."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in [*self.idle, *self.busy]:
            connection.break_off("is closed")
