"""Switches traces on for a process, where it was told a collector to send them to."""

from collections.abc import Generator
from contextlib import contextmanager

from commonry.kit import traces


@contextmanager
def exporting(url: str, share: float, process: str) -> Generator[None]:
    """Make spans for a share of all traces and send them to the collector at `url`, until the end; none without one.

    To be entered before anything is built. `process` is whose the spans are when nobody says.
    """
    if not url or share == 0:
        yield
        return
    from commonry.kit.otlp import Collector  # what it needs takes memory and time that nobody else should pay for

    collector = Collector(url)
    traces.record_to(collector, share, process)
    try:
        yield
    finally:
        traces.stop()
        collector.close()
