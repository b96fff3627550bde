"""What payments publishes for the warehouse: as the contract says, dated, and without cards or pockets.

A change of a table that breaks a view fails here, not at night.
"""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from commonry.kit.postgres import EmbeddedPostgres
from tests import published
from tests.warehouse.filling import fill

DATABASE = "published_payments"


@pytest.fixture(scope="module")
def filled(postgres: EmbeddedPostgres) -> None:
    fill(postgres, 60, prefix="published_", services=["payments"])


@pytest.fixture
def connection(postgres: EmbeddedPostgres, filled: None) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres.url(DATABASE), autocommit=True) as opened:
        yield opened


def test_the_views_are_as_the_contract_says(connection: psycopg.Connection[Any]) -> None:
    published.is_as_the_contract_says(connection, "payments")


def test_the_warehouse_reads_the_views_and_nothing_else(postgres: EmbeddedPostgres, filled: None) -> None:
    published.nothing_else_can_be_read(postgres, DATABASE)


def test_changes_are_dated_and_deletes_remembered(connection: psycopg.Connection[Any]) -> None:
    published.a_change_is_dated(connection, "payments", "UPDATE payments SET paid_out = false WHERE amount > 510")
    published.a_change_is_dated(
        connection,
        "ledger",
        """
        WITH entry AS (
            INSERT INTO entries (id, kind, cause) VALUES (gen_random_uuid(), 'refund', 'by hand') RETURNING id)
        INSERT INTO postings (entry_id, account, currency, amount)
        SELECT id, account, 'EUR', amount
        FROM entry, (VALUES ('owner:x', -5), ('borrower:y', 5)) AS line (account, amount)""",
    )
    published.a_delete_is_remembered(connection, "payments", "DELETE FROM payments WHERE amount > 550")


def test_the_ledger_is_told_to_the_cent_and_names_nobody(connection: psycopg.Connection[Any]) -> None:
    told = connection.execute("""
        SELECT sum(borrowers), sum(owners), sum(platform), sum(rentals), sum(deposits), sum(held), sum(limits)
        FROM published.ledger""").fetchone()
    kept = connection.execute("""
        SELECT sum(amount) FILTER (WHERE account LIKE 'borrower:%'), sum(amount) FILTER (WHERE account LIKE 'owner:%'),
            coalesce(sum(amount) FILTER (WHERE account LIKE 'platform:%'), 0),
            sum(amount) FILTER (WHERE account LIKE 'booking:%'),
            coalesce(sum(amount) FILTER (WHERE account LIKE 'deposit:%'), 0),
            sum(amount) FILTER (WHERE account LIKE 'held:%'), sum(amount) FILTER (WHERE account LIKE 'limit:%')
        FROM postings""").fetchone()
    assert told == kept
    columns = {column for view in published.columns_of(connection).values() for column in view}
    assert not columns & {"method", "provider", "provider_ref", "account", "cause"}
