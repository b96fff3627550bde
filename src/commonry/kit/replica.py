"""One process of a service, with its connections and its breaker; and a request to it that nobody waits for."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from commonry.kit.breaker import Breaker, Rules, State
from commonry.kit.http.connection import Answered, Connection, Teller
from commonry.kit.http.messages import Fault, Origin
from commonry.kit.http.pool import Pool
from commonry.kit.telemetry import breaker_open

BROKEN = frozenset({500, 502, 504})
"""Answers that count as failures: nobody wanted to give them."""
DOUBLES_EVERY = 0.1
"""A returning replica takes one request at a time, after so many seconds two, then four, until it takes all."""
MOST = 1000
"""Requests under way to one service; more are refused."""

log = structlog.get_logger()


class Replica:
    """One process of a service."""

    def __init__(self, service: str, url: str, rules: Rules, opened: Callable[[str], None]) -> None:
        self.service, self.url = service, url
        self.pool = Pool(Origin.of(url))
        self.breaker = Breaker(rules, told=self._changed)
        self.under_way, self._came_back_at = 0, 0.0
        self.looked_at, self.owes = 0.0, False
        """When it was last looked at, and whether it did not answer that, though it said other things."""
        self._opened = opened
        self._gauge: Any = breaker_open.labels(service, self.pool.origin.authority.decode())
        self._gauge.set(0)

    def is_free(self, *, even_half_open: bool) -> bool:
        """Whether it may be asked now."""
        if not self.breaker.is_closed and not (even_half_open and self.breaker.is_willing()):
            return False
        return self.under_way == 0 or self.under_way < (self.allowed if self._came_back_at else MOST)

    @property
    def allowed(self) -> int:
        """How many requests it may have under way."""
        if not self._came_back_at:
            return MOST
        doublings = (time.monotonic() - self._came_back_at) / DOUBLES_EVERY
        if doublings < 10:
            return int(2**doublings)
        self._came_back_at = 0.0
        return MOST

    def retire(self) -> None:
        """It is gone: close what is idle, and say nothing more of it."""
        self.pool.retire()
        with suppress(KeyError):
            breaker_open.remove(self.service, self.pool.origin.authority.decode())

    def _changed(self, state: State) -> None:
        self._gauge.set(state == "open")
        log.warning("breaker", service=self.service, replica=self.pool.origin.authority.decode(), state=state)
        if state == "open":
            self._opened(self.url)
        else:
            self._came_back_at = time.monotonic()


class Begun:
    """A request under way without anybody who waits: when it is over, the breakers hear of it, and whoever began it."""

    __slots__ = ("_breaker", "_replica", "_tell", "_turns", "began", "connection")

    def __init__(self, breaker: Breaker, replica: Replica, tell: Teller) -> None:
        self._breaker, self._replica, self._tell = breaker, replica, tell
        self._turns = (breaker.turn, replica.breaker.turn)
        self.began = time.monotonic()
        self.connection: Connection | None = None

    def over(self, outcome: Answered | Fault) -> None:
        """There is an answer, or there will be none."""
        replica, (whole, own) = self._replica, self._turns
        replica.under_way -= 1
        if isinstance(outcome, Fault):
            if not outcome.stale:
                replica.breaker.failed(own)
        elif outcome.status in BROKEN:
            replica.breaker.failed(own, hard=False)
            self._breaker.failed(whole, hard=False)
        else:
            seconds = time.monotonic() - self.began
            replica.breaker.succeeded(own, seconds)
            self._breaker.succeeded(whole, seconds)
        self._tell(outcome)

    def call_off(self) -> None:
        """Nobody wants the answer any more."""
        self._tell = _nobody
        if self.connection is not None and self.connection.is_unanswered:
            self.connection.break_off("was called off", stale=True)


def _nobody(_: Answered | Fault) -> None:
    pass
