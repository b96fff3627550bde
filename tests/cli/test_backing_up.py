"""`commonry backup` and `commonry restore`: what comes back is what was there, as of one moment, or nothing."""

import asyncio
import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from click.testing import CliRunner

from commonry.cli import backups
from commonry.cli.program import commonry as program
from commonry.cli.trouble import Trouble
from commonry.contracts.settings import Settings
from commonry.kit.archive import opened, written
from commonry.kit.postgres import EmbeddedPostgres
from commonry.kit.postgres.dumps import contents_now, snapshots
from commonry.kit.postgres.place import lock
from tests.cli.test_sentences import refusal, said
from tests.inside import check, until_at_rest
from tests.platform import OWNERS, Person, Platform, near, running, started

PHOTO = os.urandom(300_000)


class Source(NamedTuple):
    """A platform that people were booking on, and the backup taken meanwhile."""

    platform: Platform
    file: Path
    token: str
    acknowledged: set[str]
    """Bookings whose answer had arrived before the backup began."""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    with started("near", folder, COMMONRY_LIMIT_BOOKINGS="off") as platform:
        kept = platform.folder / "files" / "ab" / "photo.jpg"
        kept.parent.mkdir(parents=True)
        kept.write_bytes(PHOTO)
        yield asyncio.run(_backed_up_while_booking(platform, folder / "busy.zip"))


async def _backed_up_while_booking(platform, file):
    people = [await platform.person(f"borrower{n}") for n in range(4)]
    owner = await platform.person("owner")
    body = {"title": "A thing many want", "category": "other", "location": {"lat": 52.5, "lon": 13.4, "label": "Here"}}
    price = {"price": {"amount": 300, "currency": "EUR", "per": "hour"}, "horizon_days": 700}
    item = (await owner.must("POST", "/items", body | price))["id"]
    booked: set[str] = set()
    done = asyncio.Event()
    clients = [asyncio.ensure_future(_books(p, item, n, booked, done)) for n, p in enumerate(people)]
    while len(booked) < 20:
        await asyncio.sleep(0.05)
    before = set(booked)
    code, told, wrong = await asyncio.to_thread(said, "backup", str(file), "--data", str(platform.folder))
    assert code == 0, wrong
    assert told.startswith(f"Wrote {file}: 4 databases, 45 tables, ")
    assert booked > before, "nobody booked while the backup was taken"
    done.set()
    await asyncio.gather(*clients)
    await asyncio.gather(*(p.close() for p in [*people, owner]))
    return Source(platform, file, owner.token or "", before)


async def _books(person, item, number, booked, done):
    """Book one hour after the other, and cancel every third booking."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=2 + 100 * number)
    while not done.is_set():
        hour += timedelta(hours=2)
        period = {"from": hour.isoformat(), "to": (hour + timedelta(hours=1)).isoformat()}
        answer = await person.call("POST", "/bookings", {"item_id": item, "payment_method": "pm_card_visa", **period})
        if answer.status == 201:
            booked.add(answer.json["id"])
            if len(booked) % 3 == 0:
                await person.call("POST", f"/bookings/{answer.json['id']}/cancel")


def rewritten(source, target, change):
    """The same archive with another description, whole in itself."""
    with opened(source) as old, written(target) as new:
        for name in old:
            with new.part(name) as take:
                for some in old.chunks(name):
                    take(some)
        new.describe(change(old.description))
    return target


@contextmanager
def server_of(folder):
    server = EmbeddedPostgres(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def rows_of(folder):
    """All rows of all tables, as text: found without the code under test."""
    found: dict[str, list[Any]] = {}
    with server_of(folder) as server:
        for service in OWNERS:
            with psycopg.connect(server.url(service)) as connection:
                tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
                for (table,) in connection.execute(tables).fetchall():
                    rows: Any = f'SELECT t::text FROM "{table}" AS t ORDER BY 1'
                    found[f"{service}.{table}"] = connection.execute(rows).fetchall()
    return found


def refused(source, folder):
    """The sentence with which a backup is refused; nothing of it is left."""
    done = CliRunner().invoke(program, ["restore", str(source), "--data", str(folder)])
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert not folder.exists() or {f.name for f in folder.iterdir()} <= {"lock"}
    (line,) = done.stderr.splitlines()
    return line


async def test_taken_while_people_book_it_starts_elsewhere_with_every_promise_kept(source, tmp_path):
    platform = near(tmp_path, {"COMMONRY_LIMIT_BOOKINGS": "off"})
    code, told, wrong = said("restore", str(source.file), "--data", str(platform.folder))
    assert code == 0, wrong
    assert "every table is as in the backup" in told
    assert (platform.folder / "files" / "ab" / "photo.jpg").read_bytes() == PHOTO
    manifest = backups.check(source.file, lambda _: None)
    with server_of(platform.folder) as server:
        for service, kept in manifest.databases.items():
            assert contents_now(server.url(service)) == kept.tables
    with running(platform):
        await until_at_rest(platform, 20)
        states = check(platform)
        assert source.acknowledged <= states.keys()
        owner = Person(platform.url, "owner")
        owner.token = source.token
        assert (await owner.get("/members/me"))["display_name"] == "Owner"
        again = await platform.person("later")
        await asyncio.gather(owner.close(), again.close())


def test_taken_of_a_platform_that_is_off_it_is_the_same_row_by_row(source, tmp_path):
    source.platform.processes["platform"].kill(signal.SIGTERM)
    try:
        code, told, wrong = said("backup", str(tmp_path), "--data", str(source.platform.folder))
        before = rows_of(source.platform.folder)
    finally:
        source.platform.processes["platform"].restart()
    assert code == 0, told + wrong
    (file,) = tmp_path.glob("commonry-*.zip")
    assert said("restore", str(file), "--data", str(tmp_path / "new"))[0] == 0
    assert sum(map(len, before.values())) > 100
    assert rows_of(tmp_path / "new") == before
    for kept in ("service-token", "files/ab/photo.jpg"):
        assert (tmp_path / "new" / kept).read_bytes() == (source.platform.folder / kept).read_bytes()


def test_only_its_maker_can_read_it(source):
    assert stat.S_IMODE(source.file.stat().st_mode) == 0o600


def test_a_file_that_is_there_is_kept_unless_forced(source, tmp_path):
    file = tmp_path / "old.zip"
    file.write_text("old")
    line = refusal("backup", str(file), "--data", str(source.platform.folder))
    assert "--force" in line
    assert file.read_text() == "old"
    assert said("backup", str(file), "--force", "--data", str(source.platform.folder))[0] == 0
    assert "is whole" in said("restore", str(file), "--check")[1]
    assert [f.name for f in tmp_path.iterdir()] == ["old.zip"]


def test_where_nothing_is_there_is_nothing_to_back_up(tmp_path):
    assert refusal("backup", "--data", str(tmp_path / "no")).startswith("There is no Commonry in ")
    assert not (tmp_path / "no").exists()
    url = "postgresql://me@db/{service}"
    assert "of your own" in refusal("backup", str(tmp_path), COMMONRY_DATABASE_URL=url)


def test_a_place_that_cannot_be_written(source, tmp_path):
    line = refusal("backup", str(tmp_path / "none" / "b.zip"), "--data", str(source.platform.folder))
    assert line.endswith("b.zip cannot be written (No such file or directory): choose another place.")


def test_a_full_disk_leaves_nothing_behind(source, tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    done = CliRunner().invoke(program, ["backup", str(tmp_path / "b.zip"), "--data", str(source.platform.folder)])
    assert (done.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert done.stderr == f"The disk is full (at {tmp_path / 'b.zip'}): free some space and start again.\n"


def test_a_folder_with_a_database_is_never_overwritten(source, tmp_path):
    line = refusal("restore", str(source.file), "--data", str(source.platform.folder))
    assert line.startswith(f"{source.platform.folder} has a database already: move ")
    (tmp_path / "service-token").write_text("another's")
    assert "service-token of another" in refusal("restore", str(source.file), "--data", str(tmp_path))
    assert (tmp_path / "service-token").read_text() == "another's"


def test_a_folder_that_another_is_starting_in(source, tmp_path):
    held = lock(tmp_path)
    line = refused(source.file, tmp_path)
    os.close(held)
    assert line == f"{tmp_path} is in use by another Commonry (pid {os.getpid()})."


def test_what_is_no_backup_is_refused(tmp_path):
    (tmp_path / "words").write_text("words " * 1000)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("manifest.json", '{"a": 1}')
    with written(tmp_path / "alike.zip") as alike:
        alike.describe(["another program's"])
    with written(tmp_path / "half.zip") as half:
        half.describe({"format": 1, "commonry": "0.1.0"})
    for name in ("words", "other.zip", "alike.zip", "half.zip"):
        assert f"{name} is not a " in refused(tmp_path / name, tmp_path / "new")
    assert refused(tmp_path / "none", tmp_path / "new") == f"There is no file {tmp_path / 'none'}."


def test_a_truncated_one_is_refused(source, tmp_path):
    whole = source.file.read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.zip").write_bytes(whole[:length])
        with pytest.raises(Trouble, match=r"cut\.zip is "):
            backups.check(tmp_path / "cut.zip", lambda _: None)
    assert "cut off" in refused(tmp_path / "cut.zip", tmp_path / "new")


def test_a_flipped_byte_is_found_wherever_it_matters(source, tmp_path):
    """In zip's own headers are a few that say nothing, such as the time of day: those may change."""
    whole, meant = source.file.read_bytes(), backups.check(source.file, lambda _: None)
    found: list[str] = []
    places = range(50, len(whole), len(whole) // 100)
    for place in places:
        (tmp_path / "bad.zip").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            assert backups.check(tmp_path / "bad.zip", lambda _: None) == meant
        except Trouble as e:
            found.append(e.message)
    assert len(found) > 0.95 * len(places)
    assert {words.partition(" ")[2].partition(" ")[0] for words in found} <= {"is", "holds"}


def test_one_of_a_newer_release_is_refused(source, tmp_path):
    def newer(description: dict[str, Any], **more: Any) -> Any:
        return description | {"commonry": "9.0.0"} | more

    def revised(description: dict[str, Any]) -> Any:
        users = description["databases"]["users"] | {"revision": "9999"}
        return newer(description, databases=description["databases"] | {"users": users})

    changes = {
        "format": lambda d: newer(d, format=99, databases="something new"),
        "revision": revised,
        "service": lambda d: newer(d, databases=d["databases"] | {"messages": d["databases"]["users"]}),
    }
    for name, change in changes.items():
        line = refused(rewritten(source.file, tmp_path / f"{name}.zip", change), tmp_path / "new")
        assert "was made by a newer Commonry (9.0.0)" in line


def test_negative_control_one_changed_row_is_noticed(source, tmp_path):
    """Both ways round: another row than in the manifest, and another manifest than the rows."""

    def another(description: dict[str, Any]) -> Any:
        table = description["databases"]["payments"]["tables"]["postings"]
        table["sum"] = str(int(table["sum"]) + 1)
        return description

    line = refused(rewritten(source.file, tmp_path / "odd.zip", another), tmp_path / "odd")
    assert line == "What was restored of payments differs from the backup in postings: nothing was kept."
    manifest = backups.put_back(source.file, Settings(data=str(tmp_path / "new")), lambda _: None)
    wanted = manifest.databases["bookings"].tables
    with server_of(tmp_path / "new") as server:
        backups.compare("bookings", wanted, contents_now(server.url("bookings")))
        with psycopg.connect(server.url("bookings")) as connection:
            connection.execute("UPDATE bookings SET quantity = 2 WHERE id = (SELECT id FROM bookings LIMIT 1)")
        with pytest.raises(Trouble, match="in bookings:"):
            backups.compare("bookings", wanted, contents_now(server.url("bookings")))


@pytest.mark.faults
def is_there(folder: Path, sign: str) -> bool:
    """Whether something of that name is; what goes while one looks is not."""
    try:
        return any(folder.glob(sign))
    except FileNotFoundError:
        return False


def test_killed_while_it_restores_it_leaves_nothing_to_start(source, tmp_path):
    folder = tmp_path / "new"
    command = [sys.executable, "-m", "commonry", "restore", str(source.file), "--data", str(folder)]
    for sign in (
        "restore.new-*",
        "restore.new-*/cluster",
        "restore.new-*/*/postmaster.pid",
        "restore.new-*/*/base/16*",
    ):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as restoring:
            while restoring.poll() is None and not is_there(folder, sign):
                time.sleep(0.002)
            restoring.kill()
        assert {f.name.partition("-")[0] for f in folder.iterdir()} == {"lock", "restore.new"}
    assert said(*command[3:])[0] == 0
    assert not any(folder.glob("restore.new-*"))


class Writer(threading.Thread):
    """Writes each number to one database and then to the other, each in a transaction of its own."""

    def __init__(self, urls: list[str]) -> None:
        super().__init__(daemon=True)
        self.urls, self.stopping = urls, threading.Event()

    def run(self) -> None:
        with ExitStack() as stack:
            both = [stack.enter_context(psycopg.connect(url, autocommit=True)) for url in self.urls]
            while not self.stopping.is_set():
                for connection in both:
                    connection.execute("INSERT INTO written DEFAULT VALUES")


@pytest.fixture
def written_to(postgres):
    """Two databases that are written to in turns."""
    names = ["first", "second"]
    postgres.create_databases(names)
    urls = [postgres.url(name) for name in names]
    for url in urls:
        with psycopg.connect(url) as connection:
            connection.execute("DROP TABLE IF EXISTS written; CREATE TABLE written (n integer)")
    writer = Writer(urls)
    writer.start()
    yield urls
    writer.stopping.set()
    writer.join()


COUNTED = "SELECT count(*) FROM public.written"


def test_all_databases_are_of_one_moment(written_to):
    seen: set[int] = set()
    for _ in range(30):
        with snapshots(written_to) as (first, second):
            time.sleep(0.01)
            (ahead,), (behind,) = (s.connection.execute(COUNTED).fetchone() or (0,) for s in (first, second))
        seen.add(ahead - behind)
    assert seen <= {0, 1}


def test_negative_control_snapshots_taken_one_after_the_other_are_not(written_to):
    with snapshots(written_to[:1]) as (first,):
        time.sleep(0.2)
        with snapshots(written_to[1:]) as (second,):
            (ahead,), (behind,) = (s.connection.execute(COUNTED).fetchone() or (0,) for s in (first, second))
    assert ahead - behind < -1
