"""PostgreSQL servers as an administrator runs them: on TCP, with copies, an archive, and what stands before them.

They take the embedded server's programs and account, as PostgreSQL does not run as root. Their folder is one that this
account can read, which those of pytest need not be. Nothing outlives the test session, even when that is killed.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGKILL, SIGSTOP
from typing import Any

import psutil
import psycopg
import pytest

from commonry.kit.postgres.place import Account, settle
from commonry.kit.postgres.programs import find_programs
from tests.platform import _die_with_us, free_port

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": 150,
    "shared_buffers": "32MB",
    "jit": "off",
    "wal_level": "replica",
    "max_wal_senders": 8,
    "hot_standby": "on",
    "wal_keep_size": "64MB",
    "min_wal_size": "32MB",
    "log_min_messages": "warning",
}
LONGEST_START = 60.0


class Room:
    """A folder that PostgreSQL's account owns, its programs, and that account."""

    def __init__(self, folder: Path) -> None:
        place = settle(folder / "unused")
        self.folder, self.account = folder, place.account
        self.programs, self.version = find_programs(place, None)
        own(folder, self.account)

    def run(self, program: str, *arguments: str, **env: str) -> str:
        """One of PostgreSQL's programs, to its end; fails with what it said."""
        command = [str(self.programs / program), *arguments]
        done = subprocess.run(
            command, check=False, env=environment(env), capture_output=True, text=True, timeout=120, **self._who()
        )
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"
        return done.stdout

    def begin(self, command: list[str], log: Path, **env: str) -> subprocess.Popen[bytes]:
        """Something that runs as the account until it is ended."""
        return self._begin(command, log, self._who(), env)

    def begin_as_root(self, command: list[str], log: Path, **env: str) -> subprocess.Popen[bytes]:
        """The same as whoever we are: for what becomes the account later, by `as_account`."""
        return self._begin(command, log, {"cwd": self.folder}, env)

    def as_account(self, command: list[str]) -> list[str]:
        """The command run as the account, which may still read what only we may: our Python is at home with us."""
        if self.account.uid == os.geteuid():
            return command
        uid, gid, cap = self.account.uid, self.account.gid, "+dac_read_search"
        become = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
        return [*become, f"--inh-caps={cap}", f"--ambient-caps={cap}", *command]

    def _begin(
        self, command: list[str], log: Path, who: dict[str, Any], env: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                env=environment(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_die_with_us,  # noqa: PLW1509 why: it calls one function of libc, and no test starts threads
                **who,
            )

    def _who(self) -> dict[str, Any]:
        if self.account.uid == os.geteuid():
            return {"cwd": self.folder}
        return {"user": self.account.uid, "group": self.account.gid, "extra_groups": [], "cwd": self.folder}


def own(path: Path, account: Account) -> None:
    """Give it to the account."""
    if account.uid != os.geteuid():
        os.chown(path, account.uid, account.gid)


def environment(more: dict[str, str]) -> dict[str, str]:
    """What such a program sees of ours."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"LC_ALL": "C", "TZ": "UTC"} | more


class Server:
    """One server. `settings` are those it is started with, beside the usual ones. `host` is where it is reached, and
    `inside` what is put before its command, where that is not this machine's own network."""

    def __init__(self, room: Room, name: str, **settings: object) -> None:
        self.room, self.name, self.port = room, name, free_port()
        self.data, self.log = room.folder / name, room.folder / f"{name}.log"
        self.settings: dict[str, object] = SETTINGS | settings
        self.host, self.inside = "127.0.0.1", tuple[str, ...]()
        self.running: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres", role: str = "postgres") -> str:
        return f"postgresql://{role}@{self.host}:{self.port}/{database}"

    @property
    def template(self) -> str:
        """For COMMONRY_DATABASE_URL."""
        return self.url("{service}", "{service}")

    def make(self) -> "Server":
        """A new cluster."""
        self.room.run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        return self

    def copy(self, name: str, **settings: object) -> "Server":
        """A streaming copy of this server, not started yet."""
        made = Server(self.room, name, **settings)
        self.room.run("pg_basebackup", "-D", str(made.data), "-d", self.url(), "-R", "-c", "fast", "-N")
        return made

    def start(self) -> "Server":
        """Return when it takes connections."""
        said = [f"-c{name}={value}" for name, value in (self.settings | {"port": self.port}).items()]
        said.append(f"-cunix_socket_directories={self.room.folder}")
        command = [str(self.room.programs / "postgres"), "-D", str(self.data), *said]
        if self.inside:
            self.running = self.room.begin_as_root([*self.inside, *self.room.as_account(command)], self.log)
        else:
            self.running = self.room.begin(command, self.log)
        deadline = time.monotonic() + LONGEST_START
        while not self.answers():
            if self.running.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{self.name} does not start:\n{self.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.02)
        return self

    def answers(self) -> bool:
        with suppress(psycopg.Error):
            psycopg.connect(self.url(), connect_timeout=2).close()
            return True
        return False

    def ask(self, query: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Rows of a query, as the superuser."""
        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=5) as conn:
            asked = conn.execute(query.encode())
            return asked.fetchall() if asked.description else []

    def stop(self, number: int = SIGINT) -> None:
        """Fast shutdown, or as `number` says."""
        if self.running is not None and self.running.poll() is None:
            self.go_on()
            self.running.send_signal(number)
            self.running.wait(60)

    def kill(self) -> None:
        """All its processes at once, as with its machine."""
        self._signal_all(SIGKILL)
        if self.running is not None:
            self.running.wait(30)

    def pause(self) -> None:
        """Stop all its processes in their tracks."""
        self._signal_all(SIGSTOP)

    def go_on(self) -> None:
        self._signal_all(SIGCONT)

    def _signal_all(self, number: int) -> None:
        if self.running is None or self.running.poll() is not None:
            return
        server = psutil.Process(self.running.pid)
        for process in (server, *server.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def create_databases(self, *names: str) -> None:
        """A role and a database of its own for each."""
        for name in names:
            self.ask(f'CREATE ROLE "{name}" LOGIN')
            self.ask(f'CREATE DATABASE "{name}" OWNER "{name}"')


@contextmanager
def room() -> Iterator[Room]:
    """A room; at the end the folder goes."""
    folder = Path(tempfile.mkdtemp(prefix="commonry-ha-"))
    try:
        folder.chmod(0o755)
        yield Room(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
