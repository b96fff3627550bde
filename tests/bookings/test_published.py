"""What bookings publishes for the warehouse: as the contract says, dated, and without words.

A change of a table that breaks a view fails here, not at night.
"""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from commonry.kit.postgres import EmbeddedPostgres
from tests import published
from tests.warehouse.filling import fill

DATABASE = "published_bookings"


@pytest.fixture(scope="module")
def filled(postgres: EmbeddedPostgres) -> None:
    fill(postgres, 60, prefix="published_", services=["bookings"])


@pytest.fixture
def connection(postgres: EmbeddedPostgres, filled: None) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres.url(DATABASE), autocommit=True) as opened:
        yield opened


def test_the_views_are_as_the_contract_says(connection: psycopg.Connection[Any]) -> None:
    published.is_as_the_contract_says(connection, "bookings")


def test_the_warehouse_reads_the_views_and_nothing_else(postgres: EmbeddedPostgres, filled: None) -> None:
    published.nothing_else_can_be_read(postgres, DATABASE)


def test_changes_are_dated_and_deletes_remembered(connection: psycopg.Connection[Any]) -> None:
    published.a_change_is_dated(connection, "bookings", "UPDATE bookings SET overdue = true WHERE state = 'declined'")
    published.a_change_is_dated(connection, "reviews", "UPDATE reviews SET published = NOT published")
    published.a_delete_is_remembered(connection, "reviews", "DELETE FROM reviews WHERE rating = 4")


def test_each_state_has_its_time_and_days_are_those_of_the_items_zone(connection: psycopg.Connection[Any]) -> None:
    connection.execute("""
        WITH made AS (
            INSERT INTO bookings (id, item_id, borrower_id, owner_id, starts_at, ends_at, quantity, terms, tiers, lines,
                state, step)
            VALUES ('00000000-0000-7000-8000-00000000abcd', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),
                '2026-10-24 22:00:00+00', '2026-10-26 23:00:00+00', 1, '{"time_zone": "Europe/Berlin"}', '[]', '[]',
                'declined', 'over')
            RETURNING id)
        INSERT INTO timeline (booking_id, at, event, text, state)
        SELECT made.id, line.at::timestamptz, 'as it went', 'As it went', line.state
        FROM made, (VALUES ('2026-10-01 10:00:00+00', 'pending'), ('2026-10-01 10:01:00+00', 'requested'),
            ('2026-10-01 10:05:00+00', 'requested'), ('2026-10-02 11:00:00+00', 'declined')) AS line (at, state)""")
    found = connection.execute("""
        SELECT starts_on::text, last_on::text, days, requested_at::text, confirmed_at, ended_at::text
        FROM published.bookings WHERE id = '00000000-0000-7000-8000-00000000abcd'""").fetchone()
    # From midnight to midnight, in Berlin, over the night in which clocks go back: two days of 25 and 24 hours.
    assert found == ("2026-10-25", "2026-10-26", 2, "2026-10-01 10:01:00+00", None, "2026-10-02 11:00:00+00")


def test_nothing_in_it_is_in_peoples_own_words(connection: psycopg.Connection[Any]) -> None:
    columns = {column for view in published.columns_of(connection).values() for column in view}
    assert not columns & {"message", "text", "note", "payment_method", "author_id", "subject_id"}
