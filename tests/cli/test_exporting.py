"""`commonry export`: everything is in it and fits together, nothing that lets anyone in, and items go in again."""

import asyncio
import csv
import errno
import hashlib
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psycopg
import pytest
from click.testing import CliRunner

from commonry.cli import exports
from commonry.cli.program import commonry as program
from commonry.cli.storage import DATABASES, url_of
from commonry.inventory.rules.sheets.reading import MOST_ROWS
from commonry.inventory.rules.sheets.writing import HEADINGS, unguarded
from commonry.kit import migrate
from commonry.kit.postgres import EmbeddedPostgres
from commonry.kit.postgres.dumps import frozen
from commonry.run import migrations
from tests.cli.test_sentences import refusal, said
from tests.inside import until_at_rest
from tests.platform import Platform, started

NASTY = '=2+5, "so", \'tis\nälter 日本 \\. {} %s'
CARD = "pm_card_visa"
LEFT_OUT = {
    r"bookings\.messages_read\.\w+": "how far somebody has read",
    r"inventory\.photos\.gone_at": "of those that are there, none has it",
    r"\w+\.(alembic_version|idempotency_keys|outbox|events_seen)\.\w+": "the machine's own",
    r"\w+\.gone\.\w+": "tells the warehouse what is no more",
    r"\w+\.\w+\.changed_at": "tells the warehouse what has changed",
    r"inventory\.searches\.\w+": "counted for the warehouse, and nobody's",
    r"users\.members\.password_\w+": "lets people in",
    r"users\.(sessions|login_failures)\.\w+": "lets people in",
    r"inventory\.items\.(offered|place|day_price|search)": "follows from others",
    r"inventory\.claims\.live": "follows from others",
    r"bookings\.quotes\.\w+": "over within the hour",
    r"bookings\.bookings\.payment_method": "a means of payment",
    r"bookings\.bookings\.trace\w*": "the machine's own",
    r"\w+\.(bookings|payments)\.(due|holder|lease_until|attempts|trouble)": "how it is being worked on",
    r"payments\.payments\.method": "a means of payment",
    r"payments\.payments\.(charges?|renewing|renew_before)": "how it is being worked on",
    r"payments\.sandbox_\w+\.\w+": "another's book",
}
"""Columns that are not exported, and why not. A new one is exported or gets its reason here."""


class Source(NamedTuple):
    """A platform that people were booking on, and the export made meanwhile."""

    platform: Platform
    folder: Path
    secrets: list[str]
    acknowledged: set[str]
    """Bookings whose answer had arrived before the export began."""

    def rows(self, table: str) -> list[dict[str, Any]]:
        return rows_in(self.folder / f"{table}.jsonl")

    @property
    def description(self) -> dict[str, Any]:
        return json.loads((self.folder / "datapackage.json").read_bytes())


def rows_in(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").split("\n")[:-1]]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    with started("near", folder, COMMONRY_LIMIT_BOOKINGS="off") as platform:
        kept = platform.folder / "files" / "ab" / "photo.jpg"
        kept.parent.mkdir(parents=True)
        kept.write_bytes(b"a picture")
        yield asyncio.run(_exported_while_booking(platform, folder / "out"))


async def _exported_while_booking(platform, target):
    owners = [await platform.person("owner", display_name=NASTY), await platform.person("other")]
    people = [await platform.person(f"borrower{n}") for n in range(3)]
    body = {"title": "A thing", "category": "other", "location": {"lat": 52.5, "lon": 13.4, "label": "Here"}}
    priced = {"price": {"amount": 300, "currency": "EUR", "per": "hour"}, "horizon_days": 700, "description": NASTY}
    item = (await owners[0].must("POST", "/items", body | priced))["id"]
    gone = (await owners[0].must("POST", "/items", body))["id"]
    await owners[0].must("DELETE", f"/items/{gone}")
    for owner in owners:  # both call a thing of theirs the same
        await owner.call("POST", "/items/import", data=b"title,id\nOurs,1\n", headers={"content-type": "text/csv"})
    booked: set[str] = set()
    done = asyncio.Event()
    clients = [asyncio.ensure_future(_books(p, item, n, booked, done)) for n, p in enumerate(people)]
    while len(booked) < 10:
        await asyncio.sleep(0.05)
    before = set(booked)
    code, told, wrong = await asyncio.to_thread(said, "export", str(target), "--data", str(platform.folder))
    assert code == 0, wrong
    assert wrong == ""
    assert re.fullmatch(rf"Wrote {re.escape(str(target))}: 17 tables, [\d,]+ rows\.\n", told), told
    assert booked > before, "nobody booked while the export was made"
    done.set()
    await asyncio.gather(*clients)
    secrets = [p.token for p in people] + [p.password for p in people]
    await asyncio.gather(*(p.close() for p in [*people, *owners]))
    await until_at_rest(platform, 20)
    return Source(platform, target, secrets, before)


async def _books(person, item, number, booked, done):
    """Book one hour after the other, and cancel every third booking."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=2 + 100 * number)
    while not done.is_set():
        hour += timedelta(hours=2)
        period = {"from": hour.isoformat(), "to": (hour + timedelta(hours=1)).isoformat()}
        answer = await person.call("POST", "/bookings", {"item_id": item, "payment_method": CARD, **period})
        if answer.status == 201:
            booked.add(answer.json["id"])
            if len(booked) % 3 == 0:
                await person.call("POST", f"/bookings/{answer.json['id']}/cancel")


def test_what_was_acknowledged_is_in_it(source):
    assert source.acknowledged <= {row["id"] for row in source.rows("bookings")}
    assert (source.folder / "files/ab/photo.jpg").read_bytes() == b"a picture"


def test_all_tables_are_of_one_moment_whatever_goes_on(source):
    """Whatever a row names is there, also in another service's table, and each booking has its money."""
    assert source.description["one_moment"] is True
    held = {(r["name"], f["name"]) for r in source.description["resources"] for f in r["schema"]["fields"]}
    named = 0
    for resource in source.description["resources"]:
        for key in resource["schema"].get("foreignKeys", ()):
            (column,), target = key["fields"], key["reference"]
            assert (target["resource"], target["fields"][0]) in held
            there = {row[target["fields"][0]] for row in source.rows(target["resource"])}
            names = {row[column] for row in source.rows(Path(resource["path"]).stem)} - {None}
            assert names <= there, f"{resource['path']}: {column}"
            named += len(names)
    assert named > 100
    # By its step: one that is being undone is called confirmed until it is.
    confirmed = {row["id"] for row in source.rows("bookings") if row["step"] == "confirmed"}
    assert len(confirmed) > 3
    assert confirmed <= {row["id"] for row in source.rows("reservations") if row["state"] == "confirmed"}
    assert confirmed <= {row["booking_id"] for row in source.rows("payments") if row["status"] == "captured"}


def test_the_ledger_adds_up(source):
    sums: dict[tuple[str, str], int] = {}
    for row in source.rows("ledger"):
        entry = row["entry_id"], row["currency"]
        sums[entry] = sums.get(entry, 0) + row["amount"]
    assert len(sums) > 20
    assert set(sums.values()) == {0}


def test_nothing_in_it_lets_anyone_in(source):
    everything = b"\n".join(f.read_bytes() for f in sorted(source.folder.rglob("*")) if f.is_file())
    secrets = [*source.secrets, CARD, (source.platform.folder / "service-token").read_text()]
    with psycopg.connect(source.platform.database("users")) as connection:
        for (secret,) in connection.execute("SELECT token_hash FROM sessions UNION SELECT password_hash FROM members"):
            secrets.append(secret)
    assert len(secrets) > 10
    assert [secret for secret in secrets if secret.encode() in everything] == []
    assert b"borrower0-" in everything  # that is how anything would be found


def test_every_column_is_exported_or_has_its_reason_not_to_be(source):
    missing = []
    for service in DATABASES:
        queries = " ".join(table.query for table in exports.tables(service))
        with psycopg.connect(source.platform.database(service)) as connection:
            columns = connection.execute("""
                SELECT table_name, column_name FROM information_schema.columns
                WHERE table_schema = 'public' AND table_name IN (SELECT tablename FROM pg_tables)""").fetchall()
        assert len(columns) > 10
        for table, column in columns:
            name = f"{service}.{table}.{column}"
            taken = re.search(rf"\b(?:FROM|JOIN) {table}\b", queries) and re.search(rf"\b{column}\b", queries)
            if not taken and not any(re.fullmatch(pattern, name) for pattern in LEFT_OUT):
                missing.append(name)
    assert missing == []


def test_at_rest_it_has_every_row_and_a_zip_has_the_same(source, tmp_path):
    data = str(source.platform.folder)
    assert said("export", str(tmp_path / "all"), "--data", data)[0] == 0
    assert said("export", str(tmp_path / "all.zip"), "--data", data)[0] == 0
    with zipfile.ZipFile(tmp_path / "all.zip") as zipped:
        assert zipped.testzip() is None
        names = {str(f.relative_to(tmp_path / "all")) for f in (tmp_path / "all").rglob("*") if f.is_file()}
        assert set(zipped.namelist()) == names
        for name in names - {"README.md", "datapackage.json"}:  # which tell when it was made
            assert zipped.read(name) == (tmp_path / "all" / name).read_bytes()
    tables = {"ledger": "postings"}
    for service in DATABASES:
        with psycopg.connect(source.platform.database(service)) as connection:
            for table in exports.tables(service):
                count: Any = f"SELECT count(*) FROM {tables.get(table.name, table.name)}"
                ((there,),) = connection.execute(count).fetchall()
                assert len(rows_in(tmp_path / "all" / f"{table.name}.jsonl")) == there, table.name


KINDS = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": float,
    "datetime": str,
    "any": (str, bool, int, float, dict, list),
}


def test_the_description_is_true(source):
    described = {resource["path"]: resource for resource in source.description["resources"]}
    assert {f.name for f in source.folder.iterdir()} == {*described, "README.md", "datapackage.json", "files"}
    for path, resource in described.items():
        content = (source.folder / path).read_bytes()
        assert resource["bytes"] == len(content)
        assert resource["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        fields = resource["schema"]["fields"]
        assert all(len(field["description"]) > 3 for field in fields)
        if path.endswith(".csv"):
            assert next(csv.reader(io.StringIO(content.decode()))) == [field["name"] for field in fields]
            continue
        seen = set()
        for row in rows_in(source.folder / path):
            assert list(row) == [field["name"] for field in fields]
            key = tuple(row[name] for name in resource["schema"]["primaryKey"])
            assert None not in key
            assert key not in seen
            seen.add(key)
            for field in fields:
                value = row[field["name"]]
                assert value is None or isinstance(value, KINDS[field["type"]]), (path, field, value)
                if value is not None and field["type"] == "datetime":
                    assert datetime.fromisoformat(value).utcoffset() == timedelta(0)


def test_csv_says_the_same_as_json(source):
    compared = 0
    for file in sorted(source.folder.glob("*.csv")):
        if file.stem == "items":
            continue
        lines = list(csv.DictReader(io.StringIO(file.read_text("utf-8"), newline="")))
        rows = source.rows(file.stem)
        assert len(lines) == len(rows)
        for line, row in zip(lines, rows, strict=True):
            for name, value in row.items():
                cell = line[name]
                match value:
                    case None:
                        assert cell == ""
                    case str():
                        assert unguarded(cell) == value
                        assert not cell.startswith(("=", "+", "-", "@"))
                    case _:
                        assert json.loads(cell) == value
                compared += 1
    assert compared > 1000
    assert NASTY in {row["description"] for row in source.rows("items")}
    assert " ".join(NASTY.split()) in {row["display_name"] for row in source.rows("members")}


def test_only_its_maker_can_read_it(source):
    assert source.folder.stat().st_mode & 0o777 == 0o700
    assert {f.stat().st_mode & 0o777 for f in source.folder.iterdir() if f.is_file()} == {0o600}


async def test_items_go_into_an_empty_platform_and_are_the_same(source, tmp_path):
    """P9. Only the items' ids and owners are new, and what two owners called the same is told apart."""
    there = {row["title"]: row for row in source.rows("items") if row["deleted_at"] is None}
    with started("near", tmp_path) as empty:
        person = await empty.person("manager")
        sheet, password = source.folder / "items.csv", {"COMMONRY_PASSWORD": person.password}
        command = ["import", str(sheet), "--email", person.email, "--url", empty.url]
        code, told, wrong = await asyncio.to_thread(said, *command, **password)
        assert code == 0, told + wrong
        assert "3 new, 0 updated" in told
        assert "Not used" not in told
        again = await asyncio.to_thread(said, *command, **password)
        assert "0 new, 0 updated, 3 unchanged" in again[1]
        mine = (await person.get(f"/items?owner={person.id}&limit=100"))["data"]
        assert len(mine) == 3
        for item in mine:
            kept = await person.get(f"/items/{item['id']}")
            for name in set(kept) - {"id", "owner_id", "version", "created_at", "updated_at", "rating", "photos"}:
                assert kept[name] == there[kept["title"]].get(name), name
        await person.close()


def test_more_items_than_an_import_takes_are_cut():
    item = {
        "id": "01a21597-909d-74dd-ba8c-570e58857994", "owner_id": "01a21597-8ec2-7e1a-9fb3-46736ad71395",
        "title": "One", "description": "", "category": "other", "condition": "good", "time_zone": "Europe/Berlin",
        "location": {"lat": 1.0, "lon": 1.0, "label": "Here", "address": None}, "price": None, "deposit": None,
        "quantity": 1, "buffer_minutes": 0, "min_hours": 1, "max_hours": 1, "notice_hours": 0, "horizon_days": 1,
        "booking_mode": "instant", "handover": "in_person", "cancellation": "strict", "status": "listed", "version": 1,
        "created_at": "2026-01-01T00:00:00+00:00", "updated_at": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip

    def cut(count: int, **more: Any) -> list[int]:
        sheets = exports._Sheets((msgspec.json.encode(item | more) for _ in range(count)), set())
        files = []
        while not sheets.is_over:
            lines = list(sheets.next())
            assert lines[0].decode().strip() == ",".join(HEADINGS)
            assert sum(map(len, lines)) <= 8 * 2**20
            files.append(len(lines) - 1)
        return files

    assert cut(0) == [0]
    assert cut(MOST_ROWS) == [MOST_ROWS]
    assert cut(2 * MOST_ROWS + 1) == [MOST_ROWS, MOST_ROWS, 1]
    assert sum(long := cut(3000, description="x" * 5000)) == 3000
    assert len(long) == 3
    assert cut(15, quantity=10_000) == [10, 5]


def test_a_database_of_ones_own(source, tmp_path):
    """The same with COMMONRY_DATABASE_URL, from anywhere."""
    server = EmbeddedPostgres(source.platform.folder)
    assert server.runs_elsewhere()
    url = url_of(server)
    nowhere = str(tmp_path / "nowhere")
    code, told, wrong = said("export", str(tmp_path / "out"), "--data", nowhere, COMMONRY_DATABASE_URL=url)
    assert (code, wrong) == (0, "")
    assert told.startswith(f"Wrote {tmp_path / 'out'}: 17 tables, ")
    assert {row["id"] for row in rows_in(tmp_path / "out/bookings.jsonl")} >= source.acknowledged
    assert not (tmp_path / "nowhere").exists()


def test_databases_of_several_servers_have_no_moment_in_common(postgres, tmp_path):
    other = EmbeddedPostgres(tmp_path)
    other.start()
    try:
        with frozen([postgres.url("postgres"), other.url("postgres")]) as both:
            assert both.is_one_moment is False
        postgres.create_databases(["one", "two"])
        with frozen([postgres.url("one"), postgres.url("two")]) as both:
            assert both.is_one_moment is True
    finally:
        other.stop()


def test_what_is_refused_is_said_in_a_sentence(source, tmp_path):
    data = ["--data", str(source.platform.folder)]
    (tmp_path / "there").mkdir()
    for name in ("there", "there.zip", "link"):
        path = tmp_path / name
        if name == "there.zip":
            path.write_text("old")
        if name == "link":
            path.symlink_to("nowhere")
        assert refusal("export", str(path), *data) == f"{path} is there already: choose another name."
    assert (tmp_path / "there.zip").read_text() == "old"
    assert "There is no folder " in refusal("export", str(tmp_path / "none" / "x.zip"), *data)
    assert "say whose: --email" in refusal("export", str(tmp_path / "things.csv"), *data)
    assert "There is no Commonry in " in refusal("export", str(tmp_path / "x"), "--data", str(tmp_path / "no"))
    one = "postgresql://me@127.0.0.1/users"
    assert "needs {service}" in refusal("export", str(tmp_path / "x"), COMMONRY_DATABASE_URL=one)
    away = "postgresql://me@127.0.0.1:1/{service}"
    assert "The database refuses: " in refusal("export", str(tmp_path / "x"), COMMONRY_DATABASE_URL=away)
    assert {f.name for f in tmp_path.iterdir()} == {"there", "there.zip", "link"}


def test_a_database_that_is_not_migrated(postgres, tmp_path):
    postgres.create_databases(DATABASES)
    url = url_of(postgres)
    line = refusal("export", str(tmp_path / "x"), COMMONRY_DATABASE_URL=url)
    assert line == "The database of users is empty: name the one with your data."
    for service in DATABASES:
        newest = "0001" if service == "bookings" else "head"
        migrate.upgrade(postgres.url(service), migrations(service), newest)
    assert migrate.head(migrations("bookings")) > "0001"
    line = refusal("export", str(tmp_path / "x"), COMMONRY_DATABASE_URL=url)
    assert line.startswith("The database of bookings is of an older release: bring it up to date ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["b.zip", "b"])
def test_a_full_disk_leaves_nothing_behind(source, tmp_path, monkeypatch, name):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    done = CliRunner().invoke(program, ["export", str(tmp_path / name), "--data", str(source.platform.folder)])
    assert (done.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert done.stderr == f"The disk is full (at {tmp_path / name}): free some space and start again.\n"


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_ended_half_way_there_is_nothing_under_its_name(source, tmp_path, number):
    for name in ("out", "out.zip"):
        command = [sys.executable, "-m", "commonry", "export", str(tmp_path / name), "--data", source.platform.folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as exporting:
            while exporting.poll() is None and not any(tmp_path.glob(f".{name}.*")):
                time.sleep(0.001)
            exporting.send_signal(number)
            assert b"Traceback" not in exporting.communicate()[1]
        assert exporting.returncode != 0
        assert not (tmp_path / name).exists()
        assert number == signal.SIGKILL or not any(tmp_path.iterdir())


def test_a_terminal_sees_how_far_it_is(source, tmp_path):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "commonry", "export", str(tmp_path / "o"), "--data", str(source.platform.folder)]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs) as exporting:
        os.close(theirs)
        shown = b""
        try:
            while some := os.read(ours, 4096):
                shown += some
        except OSError:  # the other side is closed: that is how a terminal ends
            pass
        assert exporting.wait() == 0
    shares = [int(share) for share in re.findall(r" (\d+) %  ", shown.decode())]
    assert shares[0] == 0
    assert shares[-1] >= 95
    assert shares == sorted(shares)
    assert shown.decode().rstrip().splitlines()[-1].endswith(" rows.")


MANY = 100_000
MEASURED = """
import resource, sys
from commonry.cli.program import commonry
try:
    commonry(sys.argv[1:])
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.timeout(240)
def test_a_large_platform_takes_no_more_memory(source, tmp_path):
    def most(target: str) -> int:
        command = [sys.executable, "-c", MEASURED, "export", str(tmp_path / target), "--data", source.platform.folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return int(done.stdout.split()[-1])

    small = most("small.zip")
    with psycopg.connect(source.platform.database("bookings")) as connection:
        connection.execute(
            "INSERT INTO timeline (booking_id, event, text, state) SELECT b.id, 'noted', repeat('x', 200), 'completed'"
            " FROM generate_series(1, %s), (SELECT id FROM bookings LIMIT 1) AS b",
            [MANY],
        )
    try:
        large = most("large.zip")
    finally:
        with psycopg.connect(source.platform.database("bookings")) as connection:
            connection.execute("DELETE FROM timeline WHERE event = 'noted'")
    with zipfile.ZipFile(tmp_path / "large.zip") as zipped:
        assert zipped.getinfo("timeline.jsonl").file_size > 30 * 2**20
    assert large < small + 10
