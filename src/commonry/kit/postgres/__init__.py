"""PostgreSQL as a child process: made, started, kept alive and stopped with the platform.

The server ends when we end, however that happens, and a committed row outlives both. It listens only on a Unix socket
in a private folder. A folder has one supervisor at a time.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psycopg
import structlog
from psycopg import sql

from commonry.kit.postgres.cluster import environment, failure, last_words, make_cluster, start_log, write_settings
from commonry.kit.postgres.leftovers import clear, end_leftovers
from commonry.kit.postgres.place import Place, PostgresTrouble, in_words, lock, make_private, settle
from commonry.kit.postgres.programs import find_programs

__all__ = ["READER", "EmbeddedPostgres", "PostgresTrouble"]

READER = "_reader"
"""What the name of the role that may only read ends in."""
LONGEST_START = 600.0
"""Seconds; replaying the log after a crash may take minutes on a slow disk."""
LONGEST_PAUSE = 30.0
STEADY = 60.0
"""Seconds alive after which an end counts as the first again."""

log = structlog.get_logger()


class EmbeddedPostgres:
    """The server in `folder`. `binaries` names the folder of PostgreSQL's programs; by default they are looked for."""

    def __init__(self, folder: Path, *, binaries: Path | None = None) -> None:
        self._folder, self._binaries = folder, binaries
        self._place: Place | None = None
        self._lock: int | None = None
        self._keeper: threading.Thread | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._ended = ""
        self._turn = threading.Lock()
        self._ready, self._stopping = threading.Event(), threading.Event()

    @property
    def pid(self) -> int | None:
        """The postmaster's, while it runs."""
        return self._server.pid if self._server and self._server.returncode is None else None

    def url(self, database: str, role: str = "") -> str:
        """How to connect, by default as the role of the same name. Known once started."""
        if self._place is None:
            raise PostgresTrouble("The embedded PostgreSQL has no URL before it is started.")
        name, host = quote(database, safe=""), quote(str(self._place.sockets), safe="")
        return f"postgresql://{quote(role, safe='') or name}@/{name}?host={host}&port=5432"

    def runs_elsewhere(self) -> bool:
        """Whether another process runs this server right now. If so, `url` says how to reach it."""
        if not (self._folder.expanduser() / "cluster" / "postmaster.pid").exists():
            return False
        self._place = settle(self._folder)
        return self._answers()

    def start(self) -> None:
        """Return when the server accepts connections, after making it if it is new. Raises `PostgresTrouble`."""
        if self._keeper is not None:
            return
        try:
            self._start()
        except BaseException as error:  # why: an interrupt too must not leave a server and a lock behind
            self.stop()
            if isinstance(error, OSError):
                raise PostgresTrouble(in_words(error, self._folder)) from error
            raise

    def _start(self) -> None:
        self._place = place = settle(self._folder)
        self._lock = lock(place.folder)
        make_private(place.log, place.account)
        programs, version = find_programs(place, self._binaries)
        make_cluster(place, programs, version)
        write_settings(place, programs, version)
        self._ready.clear()
        self._stopping.clear()
        clear(place)
        self._keeper = threading.Thread(target=self._keep, args=(place, programs), name="postgres", daemon=True)
        self._keeper.start()
        self._await_ready(place, self._keeper)

    def _await_ready(self, place: Place, keeper: threading.Thread) -> None:
        deadline = time.monotonic() + LONGEST_START
        while not (_says_ready(place) and self._answers()):
            if not keeper.is_alive():
                raise PostgresTrouble(failure(place, f"{last_words(place)}\n{self._ended}"))
            if time.monotonic() > deadline:
                raise PostgresTrouble(f"PostgreSQL in {place.folder} does not get ready: see {place.log}.")
            time.sleep(0.002)
        self._ready.set()

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _keep(self, place: Place, programs: Path) -> None:
        """Start the server, and again whenever it ends unasked. The thread lives as long as the server does: to the
        kernel, a child's parent dies when the thread that forked it ends."""
        failures = 0
        while True:
            born = time.monotonic()
            try:
                self._ended = self._run(place, programs)
            except (OSError, PostgresTrouble) as error:
                self._ended = f"error: {error}"
            if self._stopping.is_set() or not self._ready.is_set():
                return
            failures = 1 if time.monotonic() - born > STEADY else failures + 1
            pause = min(0.05 * 2**failures, LONGEST_PAUSE)
            log.error("postgres_ended", how=self._ended, restart_in=pause)
            self._stopping.wait(pause)

    def _run(self, place: Place, programs: Path) -> str:
        """One life of the server; how it ended."""
        with self._turn:
            if self._stopping.is_set():
                return "it was stopped"
            clear(place)
            self._server = _launch(place, programs)
        return f"it ended with status {self._server.wait()}"

    def stop(self) -> None:
        """Fast shutdown: sessions end, what was committed stays. Returns when no process of the server is left."""
        with self._turn:
            self._stopping.set()
        for number, patience in ((signal.SIGINT, 60.0), (signal.SIGQUIT, 15.0), (signal.SIGKILL, None)):
            if self._keeper and self._keeper.is_alive():
                self._signal(number)
                self._keeper.join(patience)
        self._keeper = None
        if self._place is not None and self._lock is not None:
            self._leave(self._place, self._lock)

    def _leave(self, place: Place, lock: int) -> None:
        try:
            end_leftovers(place)
            if self._server:  # else the folder may be somebody else's
                with suppress(OSError):
                    place.sockets.rmdir()
        finally:
            self._lock = None
            os.close(lock)

    def _signal(self, number: int) -> None:
        if self._server is not None:
            self._server.send_signal(number)

    def create_databases(self, names: Sequence[str]) -> None:
        """A role and a database of its own for each name, unless they are there. No other role can connect to it but
        `{name}_reader`, once a migration has admitted it."""
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=5) as connection:
            roles = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
            databases = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            for name in names:
                it = sql.Identifier(name)
                for role in {name, f"{name}{READER}"} - roles:
                    connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
                if name not in databases:
                    connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(it, it))
                connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(it))


def _launch(place: Place, programs: Path) -> subprocess.Popen[bytes]:
    here = place.named_by_server(place.cluster)
    command = [str(programs / "postgres"), "-D", here, "-c", f"cluster_name={place.mark}"]
    with open(start_log(place), "wb") as output:  # no pipe, which would have to be drained
        return subprocess.Popen(
            place.command(place.cluster, signal.SIGINT, command),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for us: while we shut down, we need the database
        )


def _says_ready(place: Place) -> bool:
    """Whether trying to connect is worth it; each try before would be a FATAL in the server's log."""
    with suppress(OSError):
        return (place.cluster / "postmaster.pid").read_bytes().rstrip().endswith(b"\nready")
    return False
