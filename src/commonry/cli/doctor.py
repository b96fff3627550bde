"""`commonry doctor`: looks at what has ever gone wrong for somebody, and says what to do about what it finds."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from commonry.cli.loading import url_option
from commonry.cli.trouble import plainly

if TYPE_CHECKING:
    from commonry.contracts.settings import Settings

EXAMPLES = """\b
Examples:
  commonry doctor
  commonry doctor --data ~/things --url http://127.0.0.1:9000

Ends with code 1 when something is wrong.
"""
SCARCE = 2**30
CLOCK_MAY_DIFFER = 2.0
QUEUES = {
    "users": ("outbox",),
    "inventory": ("outbox",),
    "bookings": ("bookings", "outbox"),
    "payments": ("payments", "outbox"),
}
"""Tables of each service whose rows are worked off when they are due."""


class Finding(NamedTuple):
    """What was looked at, whether it is well, and in words how it is or what to do."""

    what: str
    is_well: bool
    words: str


@click.command(epilog=EXAMPLES)
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Folder of the embedded database.")
@url_option
def doctor(data: Path | None, url: str) -> None:
    """Find out what is wrong, and what to do."""
    import asyncio

    from commonry.contracts.settings import Settings
    from commonry.kit.settings import load

    with plainly():
        settings = load(Settings, data=data and str(data))
        findings = asyncio.run(_all(settings, url))
    for finding in findings:
        click.echo(f"{'ok   ' if finding.is_well else 'WRONG'}  {finding.what:<18} {finding.words}")
    if not all(finding.is_well for finding in findings):
        raise click.exceptions.Exit(1)


async def _all(settings: "Settings", url: str) -> list[Finding]:
    here = [_python(), *_folder(settings)]
    return [*here, *[f async for f in _databases(settings)], *await _platform(url)]


def _python() -> Finding:
    said = "{}.{}.{}".format(*sys.version_info[:3])
    return Finding("Python", True, f"{said} at {sys.executable}")


def _folder(settings: "Settings") -> Iterator[Finding]:
    import os
    import shutil

    from commonry.cli.storage import data_folder

    folder = data_folder(settings)
    there = next(f for f in (folder, *folder.parents) if f.exists())
    free = shutil.disk_usage(there).free
    words = f"{free // 2**20:,} MB free where {folder} is"
    yield Finding("disk space", free > SCARCE, words if free > SCARCE else f"only {words}: free some space")
    if settings.database_url:
        return
    if not os.access(there, os.W_OK | os.X_OK):
        yield Finding("data folder", False, f"{there} cannot be written: change its owner, or name another with --data")
    elif not folder.exists():
        yield Finding("data folder", True, f"{folder} is not there yet: `commonry up` makes it")
    else:
        yield Finding("data folder", True, str(folder))


async def _databases(settings: "Settings") -> AsyncIterator[Finding]:
    """Each service's database, where there is a server to ask."""
    import msgspec

    from commonry.cli.storage import data_folder, url_of
    from commonry.kit.postgres import EmbeddedPostgres

    if not settings.database_url:
        server = EmbeddedPostgres(data_folder(settings))
        if not (data_folder(settings) / "cluster").exists():
            words = "none here: `commonry up` makes one; COMMONRY_DATABASE_URL names another"
            yield Finding("PostgreSQL", True, words)
            return
        if not server.runs_elsewhere():
            yield Finding("PostgreSQL", False, "does not run: start the platform with `commonry up`")
            return
        yield Finding("PostgreSQL", True, "runs, embedded")
        settings = msgspec.structs.replace(settings, database_url=url_of(server))
    for service, tables in QUEUES.items():
        yield await _database(settings.database(service), service, tables)


async def _database(url: str, service: str, tables: tuple[str, ...]) -> Finding:
    from commonry.kit import migrate
    from commonry.kit.db import DatabaseError
    from commonry.run import migrations

    what = f"{service} database"
    try:
        at, newest = migrate.current(url), migrate.head(migrations(service))
        if (at or "") < newest:
            return Finding(what, False, f"is at revision {at or 'none'} and needs {newest}: run `commonry migrate`")
        stuck = await _stuck(url, service, tables)
    except DatabaseError as e:
        return Finding(what, False, f"does not answer: {str(e).strip().splitlines()[0]}")
    if stuck:
        return Finding(what, False, f"{stuck} rows keep failing: their column `trouble` says why ({', '.join(tables)})")
    return Finding(what, True, f"at revision {at}, nothing stuck")


async def _stuck(url: str, service: str, tables: tuple[str, ...]) -> int:
    from commonry.kit.db import Database
    from commonry.kit.due import Queue

    db = Database(url, name=service, size=1)
    await db.open()
    try:
        return sum([await Queue(db, table).stuck() for table in tables])
    finally:
        await db.close()


async def _platform(url: str) -> list[Finding]:
    """The platform at `url`: whether it answers, each service, and its clock against ours."""
    import msgspec

    from commonry.kit.peers import Far
    from commonry.kit.problems import Unavailable

    peer = Far("platform", [url])
    try:
        got = await peer.call("GET", "/api/v1/status", query="", body=b"", headers={}, timeout=10.0)
        told = msgspec.json.decode(got.body)
        services = told["services"].items()
    except (Unavailable, msgspec.DecodeError, KeyError, TypeError):
        return [Finding("address", False, f"no Commonry answers at {url}: start it, or name its address with --url")]
    finally:
        await peer.close()
    findings = [
        Finding("address", True, f"Commonry {told['version']} answers at {url}"),
        _clock(got.headers.get("date")),
    ]
    return findings + [_service(name, service) for name, service in services]


def _service(name: str, told: dict[str, object]) -> Finding:
    is_well = told["status"] == "ok"
    return Finding(
        f"{name} service", is_well, "ready" if is_well else f"is {told['status']}: look at its log and its database"
    )


def _clock(date: str | None) -> Finding:
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    if date is None:
        return Finding("clock", True, "the platform does not tell its time")
    apart = abs((datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds())
    good = apart < CLOCK_MAY_DIFFER + 1  # the header has whole seconds
    return Finding(
        "clock", good, "as the platform's" if good else f"{apart:.0f} s from the platform's: set the time by NTP"
    )
