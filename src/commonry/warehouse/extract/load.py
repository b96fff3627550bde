"""What is new in the services goes into source.duckdb: read view by view, merged by dlt.

dlt's own memory of what it has done is thrown away before each run: what source.duckdb has is the truth, and its
cursors move on last. A run that is killed at any point has then either not happened, or is merged a second time.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from commonry.contracts.published import VIEWS, View
from commonry.kit.db import DatabaseError
from commonry.warehouse.arrow import pyarrow
from commonry.warehouse.duck import opened
from commonry.warehouse.extract import cursors, people, reconcile, rows
from commonry.warehouse.extract.cursors import Cursor
from commonry.warehouse.extract.people import Pseudonyms
from commonry.warehouse.folder import Folder

Tell = Callable[[str], None]
GONE = "gone"
"""The cursor of a service's deletes is called this and the service."""
QUIET = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",  # what is wrong it raises
    "EXTRACT__NEXT_ITEM_MODE": "fifo",  # one view after the other: a connection does one COPY at a time
    "NORMALIZE__WORKERS": "1",
    "LOAD__WORKERS": "1",
    "LOAD__DELETE_COMPLETED_JOBS": "true",
}


@dataclass
class Loaded:
    """What a run has read."""

    as_of: datetime
    counts: dict[str, int] = field(default_factory=dict[str, int])
    expected: dict[str, reconcile.Sums] = field(default_factory=dict[str, reconcile.Sums])
    """Counts and sums of each view at that same moment, if they were asked for."""


@dataclass
class _Reading:
    """One run's reading: what is asked of whom, and how far it got."""

    connections: Mapping[str, rows.Connection]
    pseudonyms: Pseudonyms
    known: dict[str, Cursor]
    lag: timedelta
    tell: Tell
    counts: dict[str, int] = field(default_factory=dict[str, int])
    seen: dict[str, Cursor] = field(default_factory=dict[str, Cursor])

    def since(self, view: View) -> datetime | None:
        """From when on; None: from the beginning."""
        known = self.known.get(view.name)
        return known.back_by(self.lag) if known and known.shape == cursors.shape(view) else None

    def has_news(self, view: View) -> bool:
        """Whether there is anything to read."""
        known = self.known.get(view.name)
        if known is None or known.shape != cursors.shape(view):
            return True
        return known.lately != self._lately(view, known.back_by(self.lag))

    def _lately(self, view: View, since: datetime | None) -> str:
        return rows.written(self.connections[view.service], view.name, since)

    def tables(self, view: View) -> Iterator[Any]:
        """The view's rows, as Arrow tables; the cursor follows."""
        pc = pyarrow().compute
        before = self.known.get(view.name)
        newest = before.seen if before else None
        since = self.since(view)
        for table in rows.changed(self.connections[view.service], view, since, self.pseudonyms):
            self.counts[view.name] = self.counts.get(view.name, 0) + len(table)
            newest = max(filter(None, [newest, pc.max(table["changed_at"]).as_py()]), default=None)
            self.tell(f"{view.name}: {self.counts[view.name]:,} rows")
            yield table
        seen = Cursor(newest, cursors.shape(view))
        self.seen[view.name] = seen._replace(lately=self._lately(view, seen.back_by(self.lag)))

    def taken_away(self, service: str) -> dict[str, Any]:
        """View → Arrow table of its rows that were deleted."""
        name, connection = f"{GONE} {service}", self.connections[service]
        before = self.known.get(name, Cursor(None, ""))
        since = before.back_by(self.lag)
        if before.lately == rows.written(connection, GONE, since):
            return {}
        found, last = rows.deleted(connection, since)
        seen = Cursor(max(filter(None, [last, before.seen]), default=None), "")
        self.seen[name] = seen._replace(lately=rows.written(connection, GONE, seen.back_by(self.lag)))
        made: dict[str, Any] = {}
        for view in (v for v in VIEWS if v.service == service and v.name in found and self.since(v)):
            again = rows.there(connection, view, found[view.name])
            if keys := sorted(set(found[view.name]) - again):
                made[view.name] = rows.taken_away(view, keys, self.pseudonyms)
        return made


def load(
    folder: Folder, urls: Mapping[str, str], lag: timedelta, tell: Tell, *, compare: bool, only: Sequence[str] = ()
) -> Loaded:
    """Bring source.duckdb up to date. `only`: these views from the beginning. `compare`: ask for counts and sums."""
    known = {name: c for name, c in cursors.read(folder.source).items() if name not in only}
    with ExitStack() as stack:
        connections = {service: stack.enter_context(rows.reading(url)) for service, url in urls.items()}
        as_of = min(rows.moment(c) for c in connections.values())
        reading = _Reading(connections, Pseudonyms(folder.key()), known, lag, tell)
        _merged(folder, reading)
        loaded = Loaded(as_of, reading.counts)
        for view in VIEWS if compare else ():
            tell(f"{view.name}: counting")
            loaded.expected[view.name] = reconcile.of_service(connections[view.service], view)
    tell("noting how far it got")
    cursors.write(folder.source, reading.seen)
    return loaded


def _merged(folder: Folder, reading: _Reading) -> None:
    gone = {name: t for service in reading.connections for name, t in reading.taken_away(service).items()}
    news = [view for view in VIEWS if view.name in gone or reading.has_news(view)]
    if not news:
        return
    os.environ.update(QUIET)
    import dlt
    from dlt.pipeline.exceptions import PipelineStepFailed

    with opened(folder.source) as duck:  # one for all of dlt's jobs, each of which would open one of its own
        to: Any = dlt.destinations.duckdb(duck)
        pipeline: Any = dlt.pipeline(
            "commonry", pipelines_dir=str(folder.work / "dlt"), destination=to, dataset_name="main"
        )
        resources = [_resource(dlt, reading, view, gone.get(view.name)) for view in news]
        try:
            pipeline.run(resources, loader_file_format="parquet")
        except PipelineStepFailed as e:
            raise _ours(e) from e
    reading.tell("loaded")


def _ours(failed: BaseException) -> BaseException:
    """What was wrong with the reading, out of the wrappings that dlt puts around it; else what dlt says."""
    cause: BaseException | None = failed
    while cause and not isinstance(cause, rows.OlderRelease | DatabaseError):
        cause = cause.__cause__
    return cause or failed


def _resource(dlt: Any, reading: _Reading, view: View, gone: Any) -> Any:
    """A view as dlt sees it: merged by its key, or in place of what was there when it is read from the beginning."""

    def given() -> Iterator[Any]:
        yield from reading.tables(view)
        if gone is not None:
            yield gone

    afresh = reading.since(view) is None
    return dlt.resource(
        given,
        name=view.name,
        write_disposition="replace" if afresh else "merge",
        primary_key=people.key(view),
        columns=None if afresh else {rows.HARD_DELETED: {"hard_delete": True}},
    )
