"""The two PostgreSQL servers of compose.yaml, run by `deploy/postgres/server.sh` on loopback addresses.

They start in any order, one follows the other, they change places when they are told to, and a server whose copy is of
no use any more makes a new one.
"""

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from tests.needs import need
from tests.platform import PR_SET_PDEATHSIG, free_port
from tests.redis_cluster import until

SCRIPTS = Path(__file__).parents[2] / "deploy/postgres"
WHY = "the two servers of compose.yaml must follow each other by themselves"
SERVICES = ("users", "inventory", "bookings", "payments")


@dataclass
class Server:
    """One container of the two."""

    name: str
    pair: "Pair"
    room: Path
    running: subprocess.Popen[bytes] | None = None

    def start(self, leader: str) -> None:
        """As compose does, with PRIMARY of .env."""
        with self.log.open("ab") as output:
            self.running = subprocess.Popen(
                ["bash", str(self.pair.scripts / "server.sh")],
                env=self.environment(leader),
                cwd=self.room,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=self.pair.prepare,  # noqa: PLW1509 why: no test starts threads
            )

    def environment(self, leader: str) -> dict[str, str]:
        return {
            "PATH": f"{self.pair.binaries}:{os.environ['PATH']}",
            "NAME": self.name,
            "PRIMARY": leader,
            "PGROOM": str(self.room),
            "PGSOCKETS": str(self.room),
            "PGPORT": str(self.pair.port),
            "PGLISTEN": self.name,
            **self.pair.passwords,
        }

    def stop(self, number: int = signal.SIGINT) -> None:
        """By default as compose does (stop_signal)."""
        if self.running is not None:
            os.killpg(self.running.pid, number)
            self.running.wait(30)
            self.running = None

    @property
    def log(self) -> Path:
        return self.room.parent / f"{self.name}.log"

    def ask(self, query: str, who: str = "users", database: str = "") -> str:
        """The first column of the first row, or why there is none."""
        password = self.pair.passwords[f"PASSWORD_{ALIASES.get(who, who).upper()}"]
        where = f"postgresql://{who}:{password}@{self.name}:{self.pair.port}/{database or who}?connect_timeout=3"
        try:
            with psycopg.connect(where, autocommit=True) as connection:
                row = connection.execute(query.encode()).fetchone() if query else None
                return str(row[0]) if row else ""
        except psycopg.Error as e:
            return f"refused: {e}"

    def leads(self) -> bool:
        return self.ask("SELECT pg_is_in_recovery()") == "False"

    def follows(self) -> bool:
        return self.ask("SELECT pg_is_in_recovery()") == "True"


ALIASES = {"replicator": "replication"} | {f"{service}_reader": "reader" for service in SERVICES}


@dataclass
class Pair:
    """Both, in a folder that the account they run as may use."""

    folder: Path
    binaries: Path
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        names = (*SERVICES, "reader", "replication", "monitor")
        self.passwords = {f"PASSWORD_{name.upper()}": secrets.token_hex(12) for name in names}
        self.account = pwd.getpwnam("nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name)
        self.scripts = self.folder / "scripts"
        shutil.copytree(SCRIPTS, self.scripts)
        block = f"127.{secrets.randbelow(200) + 16}.{secrets.randbelow(200) + 1}"
        self.one, self.two = (Server(f"{block}.{n}", self, self.folder / f"room{n}") for n in (1, 2))
        for server in (self.one, self.two):
            server.room.mkdir()
            os.chown(server.room, self.account.pw_uid, self.account.pw_gid)
        self.folder.chmod(0o755)

    def prepare(self) -> None:
        """In the child: not as root, and not for longer than the test."""
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(self.account.pw_gid)
            os.setuid(self.account.pw_uid)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def start(self, leader: Server) -> None:
        for server in (self.two, self.one):
            server.start(leader.name)
        self.settled(leader)

    def settled(self, leader: Server) -> None:
        other = self.two if leader is self.one else self.one
        try:
            until(lambda: leader.leads() and other.follows(), "one leads, one follows", seconds=60)
        except AssertionError as e:
            said = [server.log.read_text(errors="replace")[-2000:] for server in (self.one, self.two)]
            raise AssertionError("\n".join([str(e), *said])) from e

    def stop(self) -> None:
        for server in (self.two, self.one):
            server.stop()


@pytest.fixture
def pair() -> Iterator[Pair]:
    binaries = need("system postgres", WHY)
    with tempfile.TemporaryDirectory(prefix="commonry-pair-") as folder:
        made = Pair(Path(folder), binaries)
        try:
            yield made
        finally:
            for server in (made.one, made.two):
                server.stop(signal.SIGKILL)


def test_one_follows_the_other_whoever_starts_first_and_whoever_is_told_to_lead(pair: Pair) -> None:
    one, two = pair.one, pair.two
    two.start(one.name)
    until(lambda: "to lead" in two.log.read_text(), "the follower waits for its leader")
    one.start(one.name)
    pair.settled(one)
    one.ask("CREATE TABLE kept (what text)")
    one.ask("INSERT INTO kept VALUES ('before') RETURNING what")
    until(lambda: two.ask("SELECT what FROM kept") == "before", "what is written to one is read from the other")
    assert "read-only" in two.ask("INSERT INTO kept VALUES ('there') RETURNING what")

    pair.stop()
    pair.start(two)
    assert two.ask("INSERT INTO kept VALUES ('after') RETURNING what") == "after"
    until(lambda: one.ask("SELECT count(*) FROM kept") == "2", "the former leader follows")
    assert (one.room / "cluster.before").is_dir()

    one.stop(signal.SIGKILL)
    one.start(two.name)
    pair.settled(two)
    assert one.log.read_text().count("has copied") == 1, "what can go on is not copied again"


def test_a_leader_that_lost_everything_takes_nothing_from_its_follower(pair: Pair) -> None:
    one, two = pair.one, pair.two
    pair.start(one)
    one.ask("CREATE TABLE kept (what text)")
    assert one.ask("INSERT INTO kept VALUES ('before') RETURNING what") == "before"
    until(lambda: two.ask("SELECT what FROM kept") == "before", "it has arrived")
    pair.stop()
    shutil.rmtree(one.room / "cluster")
    for server in (two, one):
        server.start(one.name)
    until(one.leads, "it leads, with nothing", seconds=60)
    until(lambda: two.running is not None and two.running.poll() is not None, "the other does not follow", seconds=60)
    assert f"has another cluster than {one.name}, and keeps it" in two.log.read_text()
    assert not (two.room / "cluster.before").exists()

    one.stop()
    two.start(two.name)
    until(two.leads, "whoever has the good one leads", seconds=60)
    assert two.ask("SELECT what FROM kept") == "before"
    shutil.rmtree(one.room / "cluster")
    one.start(two.name)
    pair.settled(two)
    assert one.ask("SELECT what FROM kept") == "before"


@pytest.mark.long
def test_everybody_has_their_own_database_and_only_that(pair: Pair) -> None:
    pair.one.start(pair.one.name)
    until(pair.one.leads, "it leads", seconds=60)
    for service in SERVICES:
        assert pair.one.ask("SELECT current_user", service) == service
        assert "no pg_hba.conf entry" in pair.one.ask(
            "SELECT 1", service, "users" if service != "users" else "payments"
        )
    assert pair.one.ask("SELECT pg_has_role('pg_monitor', 'member')", "monitor", "postgres") == "True"
    assert "no pg_hba.conf entry" in pair.one.ask("SELECT 1", "monitor", "users")
    pair.passwords["PASSWORD_USERS"] = "another"
    assert "password authentication failed" in pair.one.ask("SELECT 1")
    pair.one.stop()
    pair.one.start(pair.one.name)
    until(pair.one.leads, "the password of the environment is the one that counts", seconds=60)


@pytest.mark.long
def test_the_warehouse_reads_what_is_published_and_nothing_else(pair: Pair) -> None:
    reader = "users_reader"
    pair.one.start(pair.one.name)
    until(pair.one.leads, "it leads", seconds=60)
    url = f"postgresql://users:{pair.passwords['PASSWORD_USERS']}@{pair.one.name}:{pair.port}/users"
    command = [sys.executable, "-m", "commonry", "migrate", "users"]
    subprocess.run(command, env=os.environ | {"COMMONRY_DATABASE_URL": url}, check=True, capture_output=True)
    assert pair.one.ask("SELECT count(*) FROM published.members", reader, "users") == "0"
    assert "permission denied" in pair.one.ask("SELECT count(*) FROM members", reader, "users")
    assert "no pg_hba.conf entry" in pair.one.ask("SELECT 1", reader, "payments")

    pair.one.ask("REVOKE USAGE ON SCHEMA published FROM users_reader")
    assert "permission denied" in pair.one.ask("SELECT count(*) FROM published.members", reader, "users")
    pair.one.stop()
    pair.one.start(pair.one.name)
    until(pair.one.leads, "it leads again", seconds=60)
    assert pair.one.ask("SELECT count(*) FROM published.members", reader, "users") == "0"
