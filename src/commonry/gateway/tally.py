"""What the fast lane has answered, for the metrics: noted here and told now and then, since there is so much of it.

One note costs a look into a dictionary; telling the metrics one by one would cost more than some of the answers.
"""

from bisect import bisect_left

from prometheus_client import REGISTRY

from commonry.kit.telemetry import SECONDS, cache_lookups, observe_many, timer

CLASSES = tuple(f"{hundreds}xx" for hundreds in range(10))
"""Of statuses, by their hundreds."""
_LOOKUPS, _KEPT = "commonry_cache_lookups_total", ("hit", "stale", "collapsed", "shared", "miss")
_counts = {
    word: cache_lookups.labels("response", word)
    for word in "hit stale collapsed shared miss uncacheable pass bypass error".split()
}


def cache_outcome(word: str) -> None:
    """Count one look-up."""
    _counts[word].inc()


class Tally:
    """Answers to GETs by what came of the look-up, the route and the class of the status."""

    def __init__(self) -> None:
        self._noted: dict[tuple[str, str, str], tuple[list[int], list[float]]] = {}

    def note(self, outcome: str, route: str, status: str, seconds: float) -> None:
        """One answer."""
        key = (outcome, route, status)
        counts, total = self._noted.get(key) or self._noted.setdefault(key, ([0] * (len(SECONDS) + 1), [0.0]))
        counts[bisect_left(SECONDS, seconds)] += 1
        total[0] += seconds

    def flush(self) -> None:
        """Tell the metrics."""
        noted, self._noted = self._noted, {}
        for (outcome, route, status), (counts, total) in noted.items():
            observe_many(timer("gateway", "GET", route, status), counts, total[0])
            _counts[outcome].inc(sum(counts))


tally = Tally()


def share_kept() -> float | None:
    """Of the answers that may be kept, the share that was not asked a service for, since this process began."""
    tally.flush()
    count = {word: REGISTRY.get_sample_value(_LOOKUPS, {"cache": "response", "outcome": word}) or 0.0 for word in _KEPT}
    total = sum(count.values())
    return round(1 - count["miss"] / total, 3) if total else None
