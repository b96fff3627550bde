"""The HTTP server: a port bound before anything else is started, and an end that leaves nothing undone.

The first Ctrl-C or SIGTERM stops accepting, lets running requests finish (5 seconds at most), and returns, as `leaving`
has it; a second one does not wait.
"""

import asyncio
import errno
import gc
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any

import click

from commonry.cli.trouble import Trouble

GRACE = 5
"""Seconds that running requests may take to finish at the end."""
LINGER = 1.0
"""Seconds before that in which a kept connection may bring one more request: longer than our health checks pause."""
KEPT_ALIVE = 75
"""Seconds an idle connection is kept: longer than our clients keep theirs, so that none sends into a closing one."""
STOPPING = (signal.SIGINT, signal.SIGTERM)


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A listening socket, alone on its port unless `shared`. Raises `Trouble` when it cannot be had.

    Callers wait in its queue until the server is up."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(address)
        listening.listen(1024)
    except OSError as e:
        raise Trouble(_why_not(e, host, port)) from e
    return listening


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken by another program: stop that, or choose another with --port."
    if error.errno == errno.EACCES:
        return f"Port {port} is only for root: choose one above 1023 with --port."
    return f"{host} is not an address of this machine ({error.strerror}): choose another with --host."


def address(listening: socket.socket) -> str:
    """The socket's URL."""
    host, port = listening.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run to the end. Being told to stop is a good end."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, suppress(asyncio.CancelledError):
        runner.run(_stoppable(main))


async def _stoppable(main: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(main)
    for number in STOPPING:
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await task


async def serve(app: Any, listening: socket.socket, on_ready: Callable[[], None], *, linger: float = LINGER) -> None:
    """Answer requests until told to stop.

    `linger`: how many seconds kept connections have for a last request after SIGTERM.
    """
    from commonry.cli.leaving import Server  # with it comes the server, which takes a while to load

    # What is loaded by now stays for good: looking through it for garbage again and again would cost 5 % of the time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # what it would say, our own log says
    await Server(_configured(app), listening, on_ready, linger).serve(sockets=[listening])


def _configured(app: Any) -> Any:
    import uvicorn

    return uvicorn.Config(
        app,
        http=getattr(app, "protocol", "httptools"),  # the gateway has its own
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEPT_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )


@contextmanager
def ended_by_signals() -> Generator[None]:
    """While there is no loop yet: SIGTERM ends like Ctrl-C, and either ends the program well."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        raise click.exceptions.Exit(0) from None
    finally:
        signal.signal(signal.SIGTERM, before)
