"""The HTTP server, and how it leaves: nobody who has come is cut off, and nobody sends into what is being closed.

It takes no more callers, but those who are in the queue; for a moment it gives each kept connection a last answer,
which says that it is the last; then it closes what is idle, and waits for what is under way.
"""

import asyncio
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn

LOOK_SECONDS = 0.02


class Server(uvicorn.Server):
    """uvicorn's, on one socket. `linger`: for how many seconds a kept connection may bring one more request."""

    def __init__(
        self, config: uvicorn.Config, listening: socket.socket, on_ready: Callable[[], None], linger: float
    ) -> None:
        super().__init__(config)
        self._listening, self._on_ready, self._linger = listening, on_ready, linger

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """The first ends it well, the second at once. At Ctrl-C a person waits, and does not want to."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stop, number)
        yield

    def _stop(self, number: int) -> None:
        self.force_exit, self.should_exit = self.should_exit, True
        if number == signal.SIGINT:
            self._linger = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        self._queue = self._listening.dup()  # the same callers wait in it; uvicorn closes its own before we are done
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Leave."""
        for server in self.servers:
            server.close()
        self._listening.close()
        self._announce()
        await self._take_the_late()
        await self._linger_on()
        await super().shutdown(sockets)

    def _announce(self) -> None:
        """Every answer from now on is its connection's last, and says so."""
        state = self.server_state
        state.default_headers.append((b"connection", b"close"))  # this list is that of whoever is being answered
        state.default_headers = list(state.default_headers)

    async def _take_the_late(self) -> None:
        """Whoever is in the queue would be cut off by its end."""
        late: list[socket.socket] = []
        self._queue.setblocking(False)
        with self._queue, suppress(BlockingIOError):
            while True:
                late.append(self._queue.accept()[0])
        for caller in late:
            caller.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, caller)

    def _protocol(self) -> Any:
        kind: Any = self.config.http_protocol_class
        return kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def _linger_on(self) -> None:
        """Until nobody is there any more, or long enough for them to come with their last request."""
        for _ in range(round(self._linger / LOOK_SECONDS)):
            if not self.server_state.connections or self.force_exit:
                break
            await asyncio.sleep(LOOK_SECONDS)
