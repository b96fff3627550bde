"""Behind PgBouncer in transaction mode each transaction may get another connection; nothing may depend on which."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from commonry.kit import clock
from commonry.kit.db import Database, value
from tests.faults.test_kill import booking
from tests.ha.servers import Room, Server, own
from tests.inside import check, until_at_rest
from tests.needs import need
from tests.platform import OWNERS, Platform, free_port, started

FEW = 3
"""Connections to the server for each database: fewer than the services have, so that they get each other's."""
CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
admin_users = postgres
pool_mode = transaction
default_pool_size = {few}
max_client_conn = 500
server_login_retry = 1
"""


class Pooler:
    """A PgBouncer before a server."""

    def __init__(self, room: Room, server: Server) -> None:
        self.room, self.port, self.log = room, free_port(), room.folder / "pgbouncer.log"
        self.program = need("pgbouncer", "whatever depends on a session breaks behind a pooler")
        users = self._written("users.txt", "".join(f'"{name}" ""\n' for name in ("postgres", *OWNERS)))
        told = CONFIGURATION.format(server=server.port, port=self.port, users=users, few=FEW)
        self.command = [str(self.program), str(self._written("pgbouncer.ini", told))]
        self.running: subprocess.Popen[bytes] | None = None

    def _written(self, name: str, text: str) -> Path:
        path = self.room.folder / name
        path.write_text(text)
        own(path, self.room.account)
        return path

    def url(self, database: str, role: str | None = None) -> str:
        return f"postgresql://{role or database}@127.0.0.1:{self.port}/{database}"

    def start(self) -> "Pooler":
        self.running = self.room.begin(self.command, self.log)
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return self
            except psycopg.OperationalError:
                if self.running.poll() is not None:
                    pytest.fail(f"PgBouncer does not start:\n{self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        if self.running is not None:
            self.running.kill()
            self.running.wait(30)


@pytest.fixture(scope="module")
def pooler(place: Room, server: Server) -> Iterator[Pooler]:
    server.create_databases(*OWNERS)
    made = Pooler(place, server).start()
    yield made
    made.kill()


@contextmanager
def pooled(pooler: Pooler, folder: Path) -> Iterator[Platform]:
    url = pooler.url("{service}")
    with started("far", folder, COMMONRY_DATABASE_URL=url, COMMONRY_DATABASE_PREPARE="false") as platform:
        yield platform


async def test_databases_are_migrated_through_it_by_many_at_once(pooler: Pooler, server: Server) -> None:
    environment = os.environ | {"COMMONRY_DATABASE_URL": pooler.url("{service}")}
    command = [sys.executable, "-m", "commonry", "migrate"]
    running = [await asyncio.create_subprocess_exec(*command, env=environment) for _ in range(3)]
    assert [await one.wait() for one in running] == [0] * 3
    assert server.ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


@pytest.mark.timeout(180)
async def test_the_journey_and_a_crowd_pass_through_it_also_when_it_is_killed(
    pooler: Pooler, server: Server, tmp_path: Path
) -> None:
    with pooled(pooler, tmp_path) as platform:
        command = [sys.executable, "-m", "commonry", "demo", "--url", platform.url]
        journey = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
        assert journey.returncode == 0, journey.stdout + journey.stderr
        async with booking(platform, 12) as crowd:
            await _booked(crowd.acknowledged, 40)
            pooler.kill()
            pooler.start()
            await _booked(crowd.acknowledged, 40)
        await until_at_rest(platform, 60)
        states = check(platform)
        assert crowd.server_errors == []
        assert {i for i in crowd.acknowledged if states.get(i) not in ("confirmed", "requested")} == set()
        assert all(len(ids) == 1 for ids in crowd.by_key.values()), "one key, two bookings"
        sessions = server.ask("SELECT count(*) FROM pg_stat_activity WHERE usename = ANY ('{users,bookings}')")
        assert sessions[0][0] <= 2 * FEW


async def _booked(acknowledged: dict[str, str], more: int) -> None:
    enough = len(acknowledged) + more
    async with asyncio.timeout(60):
        while len(acknowledged) < enough:
            await asyncio.sleep(0.05)


async def test_a_pretended_present_does_not_reach_whoever_has_the_connection_next(pooler: Pooler) -> None:
    first, second = (Database(pooler.url("bookings"), name=name, pooled=True) for name in ("first", "second"))
    await first.open()
    await second.open()
    past = clock.now().replace(year=2001)
    for _ in range(20):
        with clock.at(past):
            async with first.read() as tx:
                assert await value(tx, "SELECT app_now()") == past
        async with second.read() as tx:
            assert await value(tx, "SELECT app_now() = now()")
    await first.close()
    await second.close()
