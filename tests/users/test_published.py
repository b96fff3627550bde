"""What users publishes for the warehouse: as the contract says, dated, and without names.

A change of a table that breaks a view fails here, not at night.
"""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from commonry.kit.postgres import EmbeddedPostgres
from tests import published
from tests.warehouse.filling import fill

DATABASE = "published_users"


@pytest.fixture(scope="module")
def filled(postgres: EmbeddedPostgres) -> None:
    fill(postgres, 60, prefix="published_", services=["users"])


@pytest.fixture
def connection(postgres: EmbeddedPostgres, filled: None) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres.url(DATABASE), autocommit=True) as opened:
        yield opened


def test_the_views_are_as_the_contract_says(connection: psycopg.Connection[Any]) -> None:
    published.is_as_the_contract_says(connection, "users")


def test_the_warehouse_reads_the_views_and_nothing_else(postgres: EmbeddedPostgres, filled: None) -> None:
    published.nothing_else_can_be_read(postgres, DATABASE)


def test_changes_are_dated_and_deletes_remembered(connection: psycopg.Connection[Any]) -> None:
    published.a_change_is_dated(connection, "members", "UPDATE members SET status = 'suspended' WHERE email LIKE '1%'")
    published.a_delete_is_remembered(connection, "members", "DELETE FROM members WHERE email LIKE '2%'")


def test_nothing_in_it_names_a_person(connection: psycopg.Connection[Any]) -> None:
    columns = published.columns_of(connection)["members"]
    assert not set(columns) & {"email", "display_name", "about", "password_hash"}
