"""What inventory publishes for the warehouse: as the contract says, dated, and without exact places.

A change of a table that breaks a view fails here, not at night.
"""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from commonry.kit.postgres import EmbeddedPostgres
from tests import published
from tests.warehouse.filling import fill

DATABASE = "published_inventory"


@pytest.fixture(scope="module")
def filled(postgres: EmbeddedPostgres) -> None:
    fill(postgres, 60, prefix="published_", services=["inventory"])


@pytest.fixture
def connection(postgres: EmbeddedPostgres, filled: None) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres.url(DATABASE), autocommit=True) as opened:
        yield opened


def test_the_views_are_as_the_contract_says(connection: psycopg.Connection[Any]) -> None:
    published.is_as_the_contract_says(connection, "inventory")


def test_the_warehouse_reads_the_views_and_nothing_else(postgres: EmbeddedPostgres, filled: None) -> None:
    published.nothing_else_can_be_read(postgres, DATABASE)


def test_changes_are_dated_and_deletes_remembered(connection: psycopg.Connection[Any]) -> None:
    connection.execute("""
        INSERT INTO blackouts (id, item_id, period)
        SELECT gen_random_uuid(), id, tstzrange(now(), now() + interval '1 day', '[]') FROM items LIMIT 3""")
    connection.execute("""
        INSERT INTO searches (hour, words, category, dated, asked, unanswered)
        VALUES (date_trunc('hour', now()), 'tent', '', false, 3, 1)""")
    published.a_change_is_dated(connection, "items", "UPDATE items SET title = 'New' WHERE title = 'Thing 1'")
    published.a_change_is_dated(connection, "items", "UPDATE items SET deleted_at = now() WHERE title = 'Thing 2'")
    published.a_change_is_dated(connection, "units", "UPDATE units SET retired_at = now() WHERE label = 'A3'")
    published.a_change_is_dated(connection, "categories", "UPDATE categories SET name = 'All' WHERE slug = 'other'")
    published.a_change_is_dated(connection, "searches", "UPDATE searches SET asked = asked + 1")
    published.a_delete_is_remembered(connection, "blackouts", "DELETE FROM blackouts WHERE lower(period) <= now()")
    published.a_delete_is_remembered(connection, "units", "DELETE FROM units WHERE label IN ('A4', 'A5')")
    published.a_delete_is_remembered(connection, "searches", "DELETE FROM searches")


def test_places_are_as_others_see_them(connection: psycopg.Connection[Any]) -> None:
    connection.execute("UPDATE items SET lat = 52.123456, address = 'Somewhere 7' WHERE title = 'Thing 7'")
    found = connection.execute("SELECT lat FROM published.items WHERE title = 'Thing 7'").fetchone()
    assert found == (52.123,)
    assert "address" not in published.columns_of(connection)["items"]
