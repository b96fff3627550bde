"""P9 for a cluster: after a mistake all is as it was the moment before, from a base backup and the archived log.

It is what docs/how-to/point-in-time-recovery.md says, with PostgreSQL's own means.
"""

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from psycopg import sql

from tests.faults.test_kill import booking
from tests.ha.servers import Room, Server, own
from tests.inside import check, until_at_rest
from tests.platform import OWNERS, started

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]
BOOKED = 20
TABLES = """
    SELECT table_schema, table_name FROM information_schema.tables
    WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')"""
CHECKSUM = "SELECT count(*), md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM {} AS t"
MISTAKES = {
    "bookings": "DROP TABLE bookings CASCADE",
    "inventory": "DELETE FROM claims",
    "users": "UPDATE members SET display_name = 'Oops'",
}


class Archived(NamedTuple):
    """A server whose log is archived."""

    server: Server
    archive: Path

    def all_archived(self) -> None:
        """Return when all that was written so far is in the archive."""
        (last,) = self.server.ask("SELECT pg_walfile_name(pg_current_wal_lsn())")[0]
        self.server.ask("SELECT pg_switch_wal()")
        until = time.monotonic() + 60
        while not (self.archive / str(last)).exists():
            assert time.monotonic() < until, self.server.log.read_text()[-2000:]
            time.sleep(0.05)


@pytest.fixture
def archived(place: Room) -> Iterator[Archived]:
    archive = place.folder / "archive"
    archive.mkdir()
    own(archive, place.account)
    command = f"test ! -f {archive}/%f && cp %p {archive}/%f"
    server = Server(place, "archived", archive_mode="on", archive_command=command).make().start()
    server.create_databases(*OWNERS)
    yield Archived(server, archive)
    server.stop()


def checksums(server: Server) -> dict[str, tuple[int, str]]:
    """Of every table: how many rows, and a digest of all they say."""
    found: dict[str, tuple[int, str]] = {}
    for service in OWNERS:
        with psycopg.connect(server.url(service), autocommit=True) as conn:
            for schema, table in conn.execute(TABLES).fetchall():
                row = conn.execute(sql.SQL(CHECKSUM).format(sql.Identifier(schema, table))).fetchone()
                assert row
                found[f"{service}.{schema}.{table}"] = row
    return found


def recovered(was: Server, backup: Path, archive: Path, instant: str) -> Server:
    """Another server, with everything that was committed before the instant."""
    target = {
        "restore_command": f"cp {archive}/%f %p",
        "recovery_target_time": instant,
        "recovery_target_inclusive": "off",
        "recovery_target_action": "promote",
    }
    made = Server(was.room, "recovered", **target)
    shutil.copytree(backup, made.data, copy_function=shutil.copy2)
    for path in (made.data, *made.data.rglob("*")):
        own(path, was.room.account)
    (made.data / "recovery.signal").touch()
    own(made.data / "recovery.signal", was.room.account)
    made.start()
    until = time.monotonic() + 60
    while made.ask("SELECT pg_is_in_recovery()") != [(False,)]:
        assert time.monotonic() < until, made.log.read_text()[-2000:]
        time.sleep(0.05)
    return made


async def test_everything_is_as_it_was_before_the_mistake(archived: Archived, tmp_path: Path) -> None:
    server, archive = archived
    backup = server.room.folder / "backup"
    with started("far", tmp_path, COMMONRY_DATABASE_URL=server.template) as platform:
        async with booking(platform, 6) as crowd:
            await _booked(crowd.acknowledged, BOOKED)
            at = ["-D", str(backup), "-d", server.url(), "-c", "fast"]
            await asyncio.to_thread(server.room.run, "pg_basebackup", *at)  # while they go on
            await _booked(crowd.acknowledged, BOOKED)
        await until_at_rest(platform, 60)
    before = checksums(server)
    assert before["bookings.public.bookings"][0] >= len(crowd.acknowledged) >= 2 * BOOKED
    instant = str(server.ask("SELECT clock_timestamp()")[0][0])
    for service, mistake in MISTAKES.items():
        server.ask(mistake, service)
    archived.all_archived()
    server.stop()

    again = recovered(server, backup, archive, instant)
    try:
        assert checksums(again) == before
        (resumed := tmp_path / "resumed").mkdir()
        with started("far", resumed, COMMONRY_DATABASE_URL=again.template) as platform:
            command = [sys.executable, "-m", "commonry", "demo", "--url", platform.url]
            journey = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
            assert journey.returncode == 0, journey.stdout + journey.stderr
            await until_at_rest(platform, 60)
            states = check(platform)
        assert {i for i in crowd.acknowledged if states.get(i) not in ("confirmed", "requested")} == set()
    finally:
        again.stop()


async def _booked(acknowledged: dict[str, str], more: int) -> None:
    enough = len(acknowledged) + more
    async with asyncio.timeout(60):
        while len(acknowledged) < enough:
            await asyncio.sleep(0.05)
