"""A whole run: extract, compare if it is time, transform, switch; and what is written down of it, however it ends."""

import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from commonry.contracts.published import VIEWS
from commonry.contracts.settings import Settings
from commonry.kit.db import DatabaseError
from commonry.warehouse.delivery import deliver
from commonry.warehouse.extract import reconcile
from commonry.warehouse.extract.load import Loaded, load
from commonry.warehouse.extract.rows import OlderRelease
from commonry.warehouse.folder import Folder, Status
from commonry.warehouse.transform.build import ChecksFailed, build

Tell = Callable[[str], None]
COMPARED_EVERY = timedelta(hours=20)
"""The first run of a night is nearer to the last comparison than a day."""
NIGHT = range(1, 6)
"""Hours, UTC, in which most communities sleep."""


class RunFailed(Exception):
    """One sentence: why the old numbers stay."""


def run(
    settings: Settings, urls: Mapping[str, str], tell: Tell, *, compare: bool = False, afresh: bool = False
) -> Status:
    """Bring the warehouse up to date. Raises `Busy`, and `RunFailed`, after which the old build is still the current.

    `compare` with the services' own counts and sums, which a run at night does by itself; `afresh`: from nothing.
    """
    folder = Folder(Path(settings.data))
    with folder.locked():
        status = _begun(folder)
        try:
            if afresh:
                folder.source.unlink(missing_ok=True)
            _run(folder, settings, urls, status, tell, compare=compare or _is_time(status))
        except ChecksFailed as e:
            status.failed_checks = e.failed
            raise RunFailed(str(e)) from e
        except (OlderRelease, DatabaseError) as e:
            words = str(e).strip().split("\n")[0]
            raise RunFailed(f"The services' databases could not be read: {words}") from e
        finally:
            if error := sys.exception():
                status.trouble = str(error) or type(error).__name__
            status.ended_at = datetime.now(UTC)
            folder.tell(status)
        return status


def _begun(folder: Folder) -> Status:
    """A new run's status. What an earlier one achieved is still so."""
    status, before = Status(began_at=datetime.now(UTC)), folder.status()
    if before:
        status.build, status.as_of = before.build, before.as_of
        status.reconciled_at, status.differences = before.reconciled_at, before.differences
    folder.tell(status)
    return status


def _run(
    folder: Folder, settings: Settings, urls: Mapping[str, str], status: Status, tell: Tell, *, compare: bool
) -> None:
    lag = timedelta(seconds=settings.etl_lag_seconds)
    with _timed(status, "extract"):
        loaded = load(folder, urls, lag, tell, compare=compare)
    if compare:
        with _timed(status, "compare"):
            loaded = _compared(folder, urls, lag, loaded, status, tell)
    status.loaded = loaded.counts
    with _timed(status, "transform"):
        made = build(folder, loaded.as_of, tell)
        folder.switch(made)
    status.build, status.as_of = made.name, loaded.as_of
    if settings.warehouse_url:
        with _timed(status, "deliver"):
            deliver(folder, made, settings.warehouse_url, tell)


def _compared(
    folder: Folder, urls: Mapping[str, str], lag: timedelta, loaded: Loaded, status: Status, tell: Tell
) -> Loaded:
    """Views that are not as the services have them are named, and read again from the beginning."""
    status.reconciled_at, status.differences = datetime.now(UTC), []
    wrong: list[str] = []
    for view in VIEWS:
        if found := reconcile.differences(view, loaded.expected[view.name], reconcile.of_source(folder.source, view)):
            wrong.append(view.name)
            status.differences += found
    return load(folder, urls, lag, tell, compare=False, only=wrong) if wrong else loaded


def _is_time(status: Status) -> bool:
    now = datetime.now(UTC)
    last = status.reconciled_at
    return now.hour in NIGHT and (last is None or now - last > COMPARED_EVERY)


@contextmanager
def _timed(status: Status, what: str) -> Generator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        status.seconds[what] = round(time.monotonic() - began, 3)
