"""What every service's tests ask of its published views: they are as the contract says, and let nobody see more."""

from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import errors

from commonry.contracts.published import GONE, VIEWS
from commonry.kit.postgres import EmbeddedPostgres

TYPES = {"double precision": "double", "timestamp with time zone": "timestamptz"}
COLUMNS = """
    SELECT table_name, column_name, data_type FROM information_schema.columns
    WHERE table_schema = 'published' ORDER BY table_name, column_name"""


def columns_of(connection: psycopg.Connection[Any]) -> dict[str, dict[str, str]]:
    """View → column → type, as the database has them."""
    found: dict[str, dict[str, str]] = {}
    for view, column, kind in connection.execute(COLUMNS):
        found.setdefault(view, {})[column] = TYPES.get(kind, kind)
    return found


def is_as_the_contract_says(connection: psycopg.Connection[Any], service: str) -> None:
    """Neither a column less, which would break the warehouse at night, nor one more that nobody has thought about."""
    wanted = {view.name: view.columns for view in VIEWS if view.service == service} | {"gone": GONE}
    assert columns_of(connection) == wanted


def nothing_else_can_be_read(postgres: EmbeddedPostgres, database: str) -> None:
    """The warehouse's role reads every view, no table, and changes nothing."""
    with psycopg.connect(postgres.url(database, f"{database}_reader"), autocommit=True) as reader:
        views = columns_of(reader)
        assert views
        for view in views:
            query: Any = f"SELECT count(changed_at) FROM published.{view}"
            reader.execute(query)
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        with psycopg.connect(postgres.url(database)) as owner:
            every = [name for (name,) in owner.execute(tables)]
        assert len(every) > 3
        for table in every:
            query = f"SELECT FROM {table}"
            with pytest.raises(errors.InsufficientPrivilege):
                reader.execute(query)
        with pytest.raises(errors.InsufficientPrivilege):
            reader.execute("INSERT INTO gone (view, key) VALUES ('members', 'x')")
        with pytest.raises(errors.InsufficientPrivilege):
            reader.execute("CREATE TABLE mine (id integer)")


def a_change_is_dated(connection: psycopg.Connection[Any], view: str, update: LiteralString) -> None:
    """Whatever `update` changes is dated later than all there was, also where somebody pretends another present."""
    query: Any = f"SELECT max(changed_at) FROM published.{view}"
    before = connection.execute(query).fetchone()
    connection.execute("SET commonry.now = '2001-01-01 00:00:00+00'")
    assert connection.execute(update).rowcount > 0
    connection.execute("RESET commonry.now")
    after = connection.execute(query).fetchone()
    assert before
    assert after
    assert after[0] > before[0]


def a_delete_is_remembered(connection: psycopg.Connection[Any], view: str, delete: LiteralString) -> None:
    """Rows that are deleted are told by their keys."""
    key = next(v.key for v in VIEWS if v.name == view)
    query: Any = f"SELECT {key}::text FROM published.{view}"
    before = {k for (k,) in connection.execute(query)}
    assert connection.execute(delete).rowcount > 0
    after = {k for (k,) in connection.execute(query)}
    told = connection.execute("SELECT key FROM published.gone WHERE view = %s", [view])
    assert before > after
    assert before - after == {k for (k,) in told}
