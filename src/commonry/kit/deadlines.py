"""How long whoever asked will still wait: passed on from call to call, each a little shorter than the one above it.

A header says the milliseconds that are left; clocks need not agree. What a service asks of others then ends before its
own caller gives up, so nobody works for someone who has left. Work that outlives its request `lift`s the deadline.
"""

import time
from contextvars import ContextVar

HEADER = "commonry-deadline"
RAW_HEADER = HEADER.encode()
MARGIN = 0.05
"""Seconds less for who is asked: time to hear of it, and to say so."""

_until: ContextVar[float | None] = ContextVar("deadline", default=None)


def adopt(headers: list[tuple[bytes, bytes]]) -> float | None:
    """From now on, in this task, the caller's deadline holds, if it has said one. What held before, for `back_to`."""
    before = _until.get()
    for name, value in headers:
        if name == RAW_HEADER and value.isdigit():
            _until.set(time.monotonic() + int(value) / 1000)
            break
    return before


def back_to(before: float | None) -> None:
    """The request is answered: a near caller, whose task this is too, goes on with its own deadline."""
    _until.set(before)


def lift() -> None:
    """From now on, in this task, nobody waits."""
    _until.set(None)


def left(seconds: float) -> float:
    """What remains of `seconds`: less, if our own caller waits less."""
    until = _until.get()
    return seconds if until is None else max(0.0, min(seconds, until - time.monotonic() - MARGIN))


def said(seconds: float) -> str:
    """The header's value for a call that may take so long."""
    return str(max(1, int(seconds * 1000)))
