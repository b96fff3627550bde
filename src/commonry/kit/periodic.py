"""Work that is done again and again beside the requests: one loop, which no fault ends.

For rows that wait for their time there is `due`; this is for the rest, as forgetting what is old. Every replica may
run the same work, so it must be harmless to do twice.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from commonry.kit.telemetry import new_request_id, new_trace_id, set_ids

log = structlog.get_logger()


def every(seconds: float, work: Callable[[], Awaitable[Any]]) -> Callable[[], Coroutine[Any, Any, None]]:
    """A loop that does `work` about every `seconds`, first soon after the start; replicas drift apart."""

    async def loop() -> None:
        while True:
            await _once(work)
            await asyncio.sleep(seconds * random.uniform(0.9, 1.1))  # noqa: S311 why: spread, not secrecy

    return loop


async def _once(work: Callable[[], Awaitable[Any]]) -> None:
    set_ids(new_request_id(), new_trace_id())
    try:
        await work()
    except Exception as e:  # why: the loop outlives any fault of what it needs; the next round tries again
        log.warning("periodic work failed", work=getattr(work, "__qualname__", repr(work)), trouble=repr(e))
