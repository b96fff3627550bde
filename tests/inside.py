"""What must be true inside a platform at rest, asked of its databases: nothing lent twice, no money lost, nothing
stuck.
"""

import asyncio
import subprocess
import sys
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.platform import Platform

TWICE = """
    SELECT count(*) AS n FROM claims a JOIN claims b ON a.unit_id = b.unit_id
        AND a.reservation_id < b.reservation_id AND a.period && b.period
    WHERE a.live AND b.live"""
UNBALANCED = """
    SELECT count(*) AS n FROM (
        SELECT 1 FROM postings GROUP BY entry_id, currency HAVING sum(amount) <> 0) AS entry"""
AT_WORK = """
    SELECT count(*) AS n FROM bookings
    WHERE step NOT IN ('ask', 'confirmed', 'in_use', 'returned', 'over')"""
MONEY = """
    SELECT booking_id, sum(CASE WHEN status IN ('authorising', 'authorised') THEN amount ELSE captured - refunded END)
        AS held
    FROM payments GROUP BY booking_id"""


def rows(platform: Platform, service: str, query: Any) -> list[dict[str, Any]]:
    """Rows of a service's database."""
    with psycopg.connect(platform.database(service), row_factory=dict_row, autocommit=True) as conn:
        return conn.execute(query).fetchall()


def count(platform: Platform, service: str, query: Any) -> int:
    """The column `n` of the first row."""
    return rows(platform, service, query)[0]["n"]


def bring_up_to_date(platform: Platform) -> None:
    """Run the warehouse's ETL on a near platform, as the command does."""
    command = [sys.executable, "-m", "commonry", "etl", "run", "--data", str(platform.folder)]
    subprocess.run(command, env=platform.processes["platform"].env, check=True, timeout=60)


async def until_at_rest(platform: Platform, seconds: float) -> None:
    """Wait until no saga is at work any more; fail if that takes longer."""
    async with asyncio.timeout(seconds):
        while count(platform, "bookings", AT_WORK):
            await asyncio.sleep(0.2)


def check(platform: Platform) -> dict[str, str]:
    """Every promise, on a platform at rest. The state of each booking by its id."""
    assert count(platform, "inventory", TWICE) == 0, "a unit is lent twice"
    assert count(platform, "payments", UNBALANCED) == 0, "a ledger entry does not balance"
    states = {str(r["id"]): r["state"] for r in rows(platform, "bookings", "SELECT id, state FROM bookings")}
    live = "SELECT id FROM reservations WHERE state <> 'released'"
    reserved = {str(r["id"]) for r in rows(platform, "inventory", live)}
    held = {str(r["booking_id"]): int(r["held"]) for r in rows(platform, "payments", MONEY)}
    for booking, state in states.items():
        if state in ("failed", "declined", "expired"):
            assert booking not in reserved, f"{booking} is {state} but still reserved"
            assert held.get(booking, 0) == 0, f"{booking} is {state} but its money is held"
        elif state in ("confirmed", "in_use"):
            assert booking in reserved, f"{booking} is {state} without a reservation"
    assert reserved <= states.keys(), "something is reserved for no booking"
    assert held.keys() <= states.keys(), "money is held for no booking"
    return states
