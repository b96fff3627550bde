"""A circuit breaker: who keeps failing is left alone for a while, then asked once, and trusted again if that went well.

Closed, it counts outcomes in a sliding window; too many failures (or slow answers) open it. Open, it refuses. When its
rest is over it is half-open and admits exactly ONE call, the probe; its outcome closes or opens it again, for longer
each time. A probe whose caller goes away frees its place and says nothing about the patient. Neither does a call that
was let in before the last change: what comes of it late is news of another time.
"""

import time
from collections.abc import Callable
from typing import Literal, NamedTuple

State = Literal["closed", "open", "half-open"]
SLICES = 10
NOTED_TOGETHER = 32
"""Good outcomes that are noted at once, since there are so many of them; at the latest with the next bad one."""


class Rules(NamedTuple):
    """When to open: after `in_a_row` failures, or when of at least `least` calls in `window` seconds a `share` failed.

    A call that took longer than `slow` seconds counts as slow; a `slow_share` of those opens it too. It rests `rest`
    seconds, doubled with each probe that fails, up to `longest`.
    """

    window: float = 10.0
    least: int = 20
    share: float = 0.5
    in_a_row: int = 5
    slow: float = 5.0
    slow_share: float = 0.8
    rest: float = 1.0
    longest: float = 2.0


USUAL = Rules()


class Breaker:
    """`admits` before a call, then exactly one of `succeeded`, `failed`, `gave_up` with what it said."""

    def __init__(
        self,
        rules: Rules = USUAL,
        *,
        clock: Callable[[], float] = time.monotonic,
        told: Callable[[State], None] | None = None,
    ) -> None:
        self._rules, self._clock, self._told = rules, clock, told
        self._length = rules.window / SLICES
        self._slices = [[0, 0, 0, 0] for _ in range(SLICES)]  # number of the slice, calls, failures, slow ones
        self._in_a_row = self._well = 0
        self.is_closed, self._probing = True, False
        """Whether calls pass freely."""
        self._opened_at, self._rest = 0.0, rules.rest
        self.turn = 1
        """Grows with every opening and closing: what `admits` says to who may call while it is closed."""

    @property
    def state(self) -> State:
        """As a person would say it now."""
        if self.is_closed:
            return "closed"
        return "half-open" if self._is_rested() else "open"

    def is_willing(self) -> bool:
        """Whether `admits` would say yes, without taking the probe's place."""
        return self.is_closed or (self._is_rested() and not self._probing)

    def admits(self) -> int:
        """Whether this call may be made: 0, or what to tell with its outcome. Half-open, the first is the probe."""
        if self.is_closed:
            return self.turn
        if self._probing or not self._is_rested():
            return 0
        self._probing = True
        return self.turn

    def wait(self) -> float:
        """Seconds until a call may be admitted again."""
        return 0.0 if self.is_closed else max(0.0, self._opened_at + self._rest - self._clock())

    def succeeded(self, turn: int, seconds: float = 0.0) -> None:
        """An admitted call went well, in so many seconds."""
        if turn != self.turn:
            return
        if not self.is_closed:
            self._close()
            return
        self._in_a_row = 0
        if seconds > self._rules.slow:
            self._count(failed=0, slow=1)
        else:
            self._well += 1
            if self._well >= NOTED_TOGETHER:
                self._count(failed=0, slow=0)

    def failed(self, turn: int, *, hard: bool = True) -> None:
        """An admitted call failed: `hard`, without any answer, or with one that nobody wanted to give."""
        if turn != self.turn:
            return
        if not self.is_closed:
            self._rest = min(self._rest * 2, self._rules.longest)
            self._open()
            return
        self._in_a_row += hard
        self._count(failed=1, slow=0)
        if self.is_closed and self._in_a_row >= self._rules.in_a_row:
            self._open()

    def gave_up(self, turn: int) -> None:
        """An admitted call was called off by whoever made it."""
        if turn == self.turn:
            self._probing = False

    def heal(self) -> None:
        """Close now: something else than an admitted call has shown that it may be."""
        if not self.is_closed:
            self._close()

    def trip(self) -> None:
        """Open now: something else than a call has shown that it must be."""
        if self.is_closed:
            self._open()

    def _is_rested(self) -> bool:
        return self._clock() >= self._opened_at + self._rest

    def _count(self, *, failed: int, slow: int) -> None:
        """Note an outcome, and the good ones since the last time, in the present slice of the window."""
        number = int(self._clock() / self._length)
        slice_ = self._slices[number % SLICES]
        if slice_[0] != number:
            slice_[:] = [number, 0, 0, 0]
        slice_[1] += self._well + failed + slow
        self._well = 0
        if failed or slow:
            slice_[2] += failed
            slice_[3] += slow
            self._judge(number)

    def _judge(self, number: int) -> None:
        lately = [s for s in self._slices if s[0] > number - SLICES]
        calls, failures, slow = (sum(s[n] for s in lately) for n in (1, 2, 3))
        enough = calls >= self._rules.least
        if enough and (failures >= self._rules.share * calls or slow >= self._rules.slow_share * calls):
            self._open()

    def _open(self) -> None:
        if self.is_closed:
            self._rest = self._rules.rest
        self.is_closed, self._probing, self._opened_at = False, False, self._clock()
        self.turn += 1
        self._say("open")

    def _close(self) -> None:
        self.is_closed, self._probing, self._in_a_row, self._well = True, False, 0, 0
        self.turn += 1
        for slice_ in self._slices:
            slice_[:] = [0, 0, 0, 0]
        self._say("closed")

    def _say(self, state: State) -> None:
        if self._told:
            self._told(state)
