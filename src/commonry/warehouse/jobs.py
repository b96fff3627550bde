"""What runs beside the requests: the warehouse is brought up to date now and then, by a process of its own.

A run needs a hundred megabytes and a while of a processor; the platform keeps neither. Any number of platforms may
start runs on one folder: the second finds the first at work and leaves.
"""

import asyncio
import random
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from commonry.contracts.settings import Settings
from commonry.kit.periodic import every
from commonry.warehouse import metrics
from commonry.warehouse.folder import Folder

FIRST = (45.0, 90.0)
"""Seconds after the start: others have better to do first."""
LOOKED_AT = 10.0
Loop = Callable[[], Coroutine[Any, Any, None]]


class RunEnded(Exception):
    """A scheduled run came to nothing; in its own words."""


def loops(settings: Settings) -> Sequence[Loop]:
    """The schedule, where there is something to read and somebody wants it."""
    if not settings.etl_minutes or not settings.warehouse_source("any"):
        return ()

    async def bring_up_to_date() -> None:
        await _run(settings)

    async def scheduled() -> None:
        await asyncio.sleep(random.uniform(*FIRST))  # noqa: S311 why: spread, not secrecy
        await every(settings.etl_minutes * 60, bring_up_to_date)()

    return (scheduled,)


def watch(folder: Folder) -> Loop:
    """Keeps the metrics as the last run left them."""

    async def look() -> None:
        await asyncio.to_thread(metrics.look, folder)

    return every(LOOKED_AT, look)


async def _run(settings: Settings) -> None:
    """One run, which ends with us. Raises `RunEnded`."""
    command = [sys.executable, "-m", "commonry", "etl", "run", "--scheduled", "--data", settings.data]
    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        _, said = await child.communicate()
    finally:
        if child.returncode is None:
            child.terminate()
            await child.wait()
    if child.returncode:
        raise RunEnded(said.decode(errors="replace").strip().rpartition("\n")[2])
