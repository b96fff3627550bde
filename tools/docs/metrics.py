"""Every metric that the code registers: its name as Prometheus sees it, its labels, and what it says."""

import importlib
import pkgutil
from collections.abc import Iterator

from prometheus_client.metrics import MetricWrapperBase

import commonry
from tools.docs.markdown import code, table

SHOWN = {"counter": "_total"}
"""What the client library adds to the name of such a metric."""


def registered() -> list[MetricWrapperBase]:
    """Every metric that is a name in one of our modules. One with its labels filled in is still the same metric."""
    things = (thing for module in _modules() for thing in vars(module).values())
    found = {_name(thing): thing for thing in things if isinstance(thing, MetricWrapperBase)}
    return [found[name] for name in sorted(found)]


def table_rows() -> list[list[str]]:
    """Name, type, labels, words."""
    return [[code(_name(m)), next(iter(m.describe())).type, _labels(m), _words(m)] for m in registered()]


def table_of_all() -> str:
    """All of them, by name."""
    return table(["metric", "type", "labels", "what it says"], table_rows())


def _modules() -> Iterator[object]:
    for found in pkgutil.walk_packages(commonry.__path__, "commonry."):
        if ".migrations" not in found.name and not found.name.endswith(("__main__", ".child")):
            yield importlib.import_module(found.name)


def _name(metric: MetricWrapperBase) -> str:
    family = next(iter(metric.describe()))
    return family.name + SHOWN.get(family.type, "")


def _labels(metric: MetricWrapperBase) -> str:
    return ", ".join(code(label) for label in metric._labelnames)  # noqa: SLF001 why: the library tells them nowhere else


def _words(metric: MetricWrapperBase) -> str:
    return next(iter(metric.describe())).documentation
