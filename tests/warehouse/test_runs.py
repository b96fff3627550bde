"""Runs: one at a time, nothing half made, yesterday's numbers stay when something is wrong, and people are nobody's."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from commonry.warehouse import metrics, runs, serving
from commonry.warehouse.duck import opened
from commonry.warehouse.extract.people import Pseudonyms
from commonry.warehouse.folder import Busy
from commonry.warehouse.transform import build
from commonry.warehouse.transform.tables import Check, Table, tables
from tests.warehouse.conftest import Warehouse
from tests.warehouse.life import Life


@pytest.fixture
def life(town: Warehouse) -> Iterator[Life]:
    lived = Life(town.server, town.databases, seed=3)
    lived.step(120)
    yield lived
    lived.close()


def test_a_check_that_fails_stops_the_switch_and_says_so(
    town: Warehouse, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.run()
    before, totals = town.folder.current(), town.mart("totals")
    life.step(50)
    broken = tables()[0]._replace(checks=(Check("the earth is flat", "SELECT 'round' AS it"),))
    with monkeypatch.context() as planted:
        planted.setattr(build, "tables", lambda: (broken, *tables()[1:]))
        with pytest.raises(runs.RunFailed, match="the earth is flat"):
            town.run()
    assert town.folder.current() == before
    assert town.mart("totals") == totals
    assert before is not None
    assert [b.name for b in town.folder.builds.iterdir()] == [before.name]  # nothing half made is left
    status = town.folder.status()
    assert status is not None
    assert status.failed_checks == ["dim_category: the earth is flat: but ('round',)"]
    assert status.build == before.name
    metrics.look(town.folder)
    assert (metrics.failed._value.get(), metrics.checks._value.get()) == (1, 1)
    town.run()
    metrics.look(town.folder)
    assert (metrics.failed._value.get(), metrics.checks._value.get()) == (0, 0)
    assert town.mart("totals") != totals


@pytest.mark.parametrize("table", [t for t in tables() if t.checks], ids=lambda table: table.name)
def test_every_check_can_be_asked_and_finds_nothing_in_nothing(table: Table) -> None:
    assert all(check.query.startswith("SELECT ") for check in table.checks)


def test_what_has_not_changed_is_not_read_again(town: Warehouse, life: Life) -> None:
    assert sum(town.run().loaded.values()) > 100
    assert town.run().loaded == {}
    life.db["bookings"].execute("UPDATE bookings SET quantity = quantity")
    assert town.run().loaded.keys() == {"bookings"}


def test_a_change_that_looks_older_than_the_newest_and_changes_no_count_is_read(town: Warehouse, life: Life) -> None:
    """Dated before what a run has seen and committed after it: there are as many rows as before, and none is newer."""
    late_id, newest = (key for (key,) in life.db["inventory"].execute("SELECT id FROM items ORDER BY id LIMIT 2"))
    titled = "UPDATE items SET title = %s WHERE id = %s"
    town.run()
    with psycopg.connect(town.server.url(town.databases["inventory"])) as late:
        late.execute(titled, ["Late", late_id])
        life.db["inventory"].execute(titled, ["Newest", newest])
        town.run()
        late.commit()
    town.run()
    titles = {row["item"]: row["title"] for row in town.mart("utilisation")}
    assert (titles[late_id], titles[newest]) == ("Late", "Newest")


def test_one_run_at_a_time(town: Warehouse, life: Life) -> None:
    with town.folder.locked():
        with pytest.raises(Busy):
            town.run()
        busy = subprocess.run(
            [sys.executable, "-m", "commonry", "etl", "run", "--data", town.settings.data],
            env=os.environ | {"COMMONRY_ETL_DATABASE_URL": "postgresql://nobody@localhost:1/{service}"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (busy.returncode, "Another run is at work" in busy.stderr) == (1, True)
    town.run()


def test_people_read_on_while_builds_come_and_go(town: Warehouse, life: Life) -> None:
    """Dashboards answer during a load, each answer is of one build, and no build stays that nobody reads."""
    town.run()
    stop, answers, wrong = threading.Event(), list[Any](), list[Exception]()

    def read() -> None:
        while not stop.is_set():
            try:
                found = serving.rows(town.folder, "totals", 0, 1)
                assert found.rows[0]["as_of"] == found.as_of
                answers.append((found.as_of, found.rows[0]["bookings"]))
            except Exception as e:
                wrong.append(e)
                return

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(3):
        life.step(30)
        before = len(answers)
        town.run()
        assert len(answers) > before  # while it was at work
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert len(set(answers)) >= 3
    by_build = {as_of: {n for at, n in answers if at == as_of} for as_of, _ in answers}
    assert all(len(numbers) == 1 for numbers in by_build.values())
    town.folder.tidy()
    assert len(list(town.folder.builds.iterdir())) == 1


def test_what_is_being_read_stays_until_it_is_let_go(town: Warehouse, life: Life) -> None:
    town.run()
    first = town.folder.current()
    assert first is not None
    with first.kept() as star:
        town.run()
        assert town.folder.current() != first
        assert star.exists()
    town.folder.tidy()
    assert not star.exists()
    with pytest.raises(FileNotFoundError), first.kept():
        pass


def test_whoever_was_erased_is_nobody_and_nobody_can_be_told_from_their_id(town: Warehouse, life: Life) -> None:
    life.step(200)
    town.run()
    ids = {str(key) for (key,) in life.db["users"].execute("SELECT id FROM members")}
    chosen = "SELECT DISTINCT borrower_id FROM bookings WHERE state = 'completed' ORDER BY 1 LIMIT 4"
    erased = [key for (key,) in life.db["bookings"].execute(chosen)]
    assert erased
    before = town.mart("totals")[0]["borrowers"]
    life.db["users"].execute(
        "UPDATE members SET status = 'erased', email = NULL, password_hash = NULL, about = '', erased_at = now()"
        " WHERE id = ANY (%s)",
        [erased],
    )
    town.run()
    assert town.mart("totals")[0]["borrowers"] < before
    pseudonyms = Pseudonyms(town.folder.key())
    gone = {pseudonyms.of(str(member), role) for member in erased for role in ("borrower", "lender")}
    build = town.folder.current()
    assert build is not None
    with opened(build.star, read_only=True) as duck:
        known: set[Any] = set()
        for (name,) in duck.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            found = duck.execute(f"FROM {name}").fetchall()
            known |= {value for row in found for value in row if isinstance(value, str)}
    assert not known & gone
    assert not known & ids
    content = town.folder.source.read_bytes() + build.star.read_bytes()
    assert not any(member.encode() in content for member in ids)
    borrowers = {row for (row,) in _column(build.star, "SELECT DISTINCT borrower FROM fact_booking")}
    lenders = {row for (row,) in _column(build.star, "SELECT DISTINCT lender FROM fact_booking")}
    assert not (borrowers & lenders) - {None}  # the same people, under other names


def _column(star: Path, query: str) -> list[Any]:
    with opened(star, read_only=True) as duck:
        return duck.execute(query).fetchall()


def test_a_view_that_lacks_a_column_is_said_in_words_and_the_old_numbers_stay(town: Warehouse, life: Life) -> None:
    town.run()
    before = town.folder.current()
    with psycopg.connect(town.server.url(town.databases["users"]), autocommit=True) as owner:
        owner.execute("ALTER VIEW published.members RENAME COLUMN manages TO leads")
        try:
            with pytest.raises(runs.RunFailed, match="users does not publish members as this release reads it"):
                town.run(afresh=True)
        finally:
            owner.execute("ALTER VIEW published.members RENAME COLUMN leads TO manages")
    assert town.folder.current() == before
    town.run()


def test_what_was_changed_past_the_triggers_is_named_and_mended(town: Warehouse, life: Life) -> None:
    town.run()
    with psycopg.connect(town.server.url(town.databases["bookings"], "postgres"), autocommit=True) as somebody:
        somebody.execute("SET session_replication_role = replica")
        somebody.execute("UPDATE bookings SET quantity = quantity + 5 WHERE id = (SELECT id FROM bookings LIMIT 1)")
    town.told(etl_lag_seconds=0)
    assert town.run().differences == []
    status = town.run(compare=True)
    assert len(status.differences) == 1
    assert status.differences[0].startswith("bookings.bookings: quantity is ")
    assert town.run(compare=True).differences == []


def test_a_spreadsheet_takes_no_title_for_a_formula(town: Warehouse, life: Life) -> None:
    life.db["inventory"].execute("UPDATE items SET title = '=HYPERLINK(\"x\")'")
    town.run()
    text = serving.whole(town.folder, "utilisation", "csv").decode()
    assert "'=HYPERLINK" in text
    assert ',"=' not in text
    assert serving.whole(town.folder, "utilisation", "parquet").startswith(b"PAR1")
