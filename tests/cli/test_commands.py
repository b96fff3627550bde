"""Commands that speak with a running platform."""

import pytest

from tests.cli.test_sentences import said
from tests.platform import Person, started

TABLE = """\
title,description,category,price
Cordless drill,Two batteries and a case,Tools,3.50
Cargo bike,Carries two children,Bikes,
"""


@pytest.fixture(scope="module")
def near_by(tmp_path_factory):
    with started("near", tmp_path_factory.mktemp("near")) as platform:
        yield platform


@pytest.fixture
async def ada(near_by):
    person = await near_by.person("ada")
    yield person
    await person.close()


@pytest.fixture
def who(near_by, ada):
    return ["--url", near_by.url, "--email", ada.email, "--password", ada.password]


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "things.csv"
    file.write_text(TABLE)
    return file


async def titles(person):
    return sorted(i["title"] for i in (await person.get(f"/items?owner={person.id}"))["data"])


async def test_a_table_is_imported_and_reported(who, table, ada):
    code, told, wrong = said("import", str(table), *who)
    assert code == 0, wrong
    assert "2 new" in told
    assert "← title" in told
    assert await titles(ada) == ["Cargo bike", "Cordless drill"]


async def test_a_dry_run_changes_nothing(who, table, ada):
    code, told, _ = said("import", str(table), *who, "--dry-run")
    assert (code, await titles(ada)) == (0, [])
    assert "Would be: 2 new" in told


async def test_mistakes_are_listed_and_nothing_is_imported(who, table, ada):
    table.write_text(TABLE + "X,too short a title,Tools,-1\n")
    code, _, wrong = said("import", str(table), *who)
    assert (code, await titles(ada)) == (1, [])
    assert "row 4" in wrong
    assert "Traceback" not in wrong


async def test_columns_can_be_said(who, table, ada):
    table.write_text(TABLE.replace("title", "Xyz"))
    code, _, wrong = said("import", str(table), *who, "--columns", "Xyz:title")
    assert code == 0, wrong
    assert await titles(ada) == ["Cargo bike", "Cordless drill"]


async def test_what_is_exported_imports_again_unchanged(who, table, tmp_path):
    said("import", str(table), *who)
    out = tmp_path / "out.csv"
    code, told, wrong = said("export", str(out), *who)
    assert code == 0, wrong
    assert "2 items" in told
    code, told, wrong = said("import", str(out), *who)
    assert code == 0, wrong
    assert "0 new" in told


async def test_export_goes_to_standard_output_too(who, table):
    said("import", str(table), *who)
    code, told, _ = said("export", *who)
    assert code == 0
    assert "Cordless drill" in told


async def test_a_wrong_password_is_one_sentence(near_by, ada, table):
    code, _, wrong = said(
        "import", str(table), "--url", near_by.url, "--email", ada.email, "--password", "not this one"
    )
    assert (code, wrong) == (1, "E-mail address and password do not belong together.\n")


async def test_a_member_is_promoted_while_the_platform_runs(near_by, ada):
    code, told, wrong = said("promote", ada.email.upper(), "--data", str(near_by.folder))
    assert code == 0, wrong
    assert "is a manager now" in told
    assert "manager" in (await ada.get("/members/me"))["roles"]


def test_nobody_cannot_be_promoted(near_by):
    code, _, wrong = said("promote", "nobody@example.org", "--data", str(near_by.folder))
    assert code == 1
    assert "register first" in wrong


async def test_a_member_is_promoted_while_the_platform_is_off(tmp_path):
    with started("near", tmp_path) as platform:
        ada = await platform.person("ada")
        await ada.close()
        platform.processes["platform"].kill(15)
        code, _, wrong = said("promote", ada.email, "--data", str(platform.folder))
        assert code == 0, wrong
        platform.processes["platform"].restart()
        again = Person(platform.url)
        again.email, again.password = ada.email, ada.password
        await again.login()
        assert "manager" in (await again.get("/members/me"))["roles"]
        await again.close()


def test_the_doctor_finds_nothing_wrong(near_by):
    code, told, _ = said("doctor", "--data", str(near_by.folder), "--url", near_by.url)
    assert code == 0, told
    assert "WRONG" not in told
    for what in ("Python", "disk space", "data folder", "PostgreSQL", "bookings database", "payments service", "clock"):
        assert f"ok     {what}" in told


def test_the_doctor_finds_rows_that_keep_failing(near_by):
    import psycopg

    row = "INSERT INTO outbox (id, receiver, topic, event, attempts) VALUES (gen_random_uuid(), 'x', 'y', '{}', 9)"
    with psycopg.connect(near_by.database("users"), autocommit=True) as connection:
        connection.execute(row)
        code, told, _ = said("doctor", "--data", str(near_by.folder), "--url", near_by.url)
        connection.execute("DELETE FROM outbox")
    assert code == 1
    assert "WRONG  users database" in told
    assert "keep failing" in told


def test_the_doctor_finds_a_database_that_is_behind(near_by):
    import psycopg

    with psycopg.connect(near_by.database("payments"), autocommit=True) as connection:
        newest = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
        code, told, _ = said("doctor", "--data", str(near_by.folder), "--url", near_by.url)
        connection.execute("UPDATE alembic_version SET version_num = %s", newest)
    assert code == 1
    assert "commonry migrate" in told


def test_the_journey_is_played(near_by):
    code, told, wrong = said("demo", "--url", near_by.url)
    assert code == 0, told + wrong
    assert "Done" in told


def test_migrating_again_changes_nothing(near_by):
    url = near_by.database("users").replace("users", "{service}")
    code, told, wrong = said("migrate", COMMONRY_DATABASE_URL=url)
    assert code == 0, wrong
    assert told == "Nothing to migrate.\n"
