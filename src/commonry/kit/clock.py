"""The time that business rules see.

Normally the present. A demo loader or a test may live at another instant *in its own task only* (a context variable, so
no request header can reach it); `kit.db` tells the database through the setting `commonry.now`, which SQL reads with
`app_now()`. Leases never use it: they run on the database's real `now()`.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_pretended: ContextVar[datetime | None] = ContextVar("pretended_now", default=None)


def now() -> datetime:
    """The present instant, in UTC, or the pretended one inside `at()`."""
    return _pretended.get() or datetime.now(UTC)


def pretended() -> datetime | None:
    """The instant set by `at()` in this task, or None in real life."""
    return _pretended.get()


@contextmanager
def at(instant: datetime) -> Generator[None]:
    """Everything awaited inside sees `instant` as its present."""
    token = _pretended.set(instant.astimezone(UTC))
    try:
        yield
    finally:
        _pretended.reset(token)
