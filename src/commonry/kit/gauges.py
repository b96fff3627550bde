"""Gauges that say what is known and are silent about the rest, and the one that says which version runs."""

from collections.abc import Callable, Iterable
from importlib.metadata import version

from prometheus_client import Gauge, Metric

build_info = Gauge("commonry_build_info", "Always 1: which version runs.", ["version"])
build_info.labels(version("commonry")).set(1)


class Known(Gauge):
    """A gauge without labels that is on the page only while its value is known. (One with labels has `remove`.)"""

    is_known = False

    def say(self, value: float | Callable[[], float]) -> None:
        """From now on this is its value, or what this function returns."""
        self.is_known = True
        if callable(value):
            self.set_function(value)
        else:
            self.set(value)

    def forget(self) -> None:
        """From now on nobody knows."""
        self.is_known = False

    def collect(self) -> Iterable[Metric]:
        """What the page shows of it."""
        return super().collect() if self.is_known else []
