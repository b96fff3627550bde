"""How often somebody may do something: GCRA, the leaky bucket that needs one number per subject.

That number is the *theoretical arrival time*: when the bucket would be empty again. A request moves it `cost` on;
it is refused when that would put it more than `burst` requests into the future. There is no window whose edge could be
exploited, and nothing is written for who is refused.
"""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

FORGET_OVER = 50_000


class Limit(NamedTuple):
    """`rate` requests a second in the long run, `burst` of them at once."""

    name: str
    rate: float
    burst: int

    @property
    def cost(self) -> float:
        """Seconds that one request takes out of the bucket."""
        return 1.0 / self.rate

    @property
    def window(self) -> float:
        """Seconds after which an exhausted bucket is full again."""
        return self.burst / self.rate


class Verdict(NamedTuple):
    """Whether it may be done now, how many more at once, and seconds: until one more, until all of them again."""

    allowed: bool
    remaining: int
    retry_after: float
    reset: float


def verdict(limit: Limit, arrival: float, now: float) -> Verdict:
    """What `arrival`, the theoretical arrival time after this request if it is allowed, means for who asked."""
    ahead = max(arrival, now) + limit.cost - now
    over = ahead - limit.window
    if over > 1e-9:
        return Verdict(False, 0, over, ahead - limit.cost)
    return Verdict(True, math.floor((limit.window - ahead) / limit.cost + 1e-6), 0.0, ahead)


class Buckets:
    """Buckets of this process, by subject. Forgets the full ones when there are too many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._arrivals = clock, dict[str, float]()

    def take(self, subject: str, limit: Limit) -> Verdict:
        """One request out of the bucket of this subject, or the refusal, which takes nothing."""
        now = self._clock()
        found = verdict(limit, self._arrivals.get(subject, 0.0), now)
        if found.allowed:
            if len(self._arrivals) >= FORGET_OVER:
                self._forget(now)
            self._arrivals[subject] = now + found.reset
        return found

    def _forget(self, now: float) -> None:
        kept = {subject: arrival for subject, arrival in self._arrivals.items() if arrival > now}
        self._arrivals = kept if len(kept) < FORGET_OVER else {}
