"""A whole platform in the test's own process, on fresh databases, with people in it.

For tests that look inside or make a step stumble. No worker runs by itself: `town.work()` does one worker's round, so a
test decides who moves what. Tests that need only the public API use the `platform` fixture instead.
"""

import itertools
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from commonry import run
from commonry.bookings.saga.engine import Saga
from commonry.contracts.settings import Settings
from commonry.contracts.surroundings import Surroundings
from commonry.gateway.api import gateway
from commonry.kit.db import Database, many, value
from commonry.kit.peers import Near
from commonry.kit.postgres import EmbeddedPostgres

_towns = itertools.count(1)
_people = itertools.count(1)
CARD = "pm_card_visa"


class Town:
    """The platform, its databases, and a worker for bookings."""

    def __init__(self, door: Near, around: Surroundings, databases: dict[str, Database]) -> None:
        self.door, self.around, self.databases = door, around, databases
        self.saga = Saga(Surroundings(around.settings, databases["bookings"], around.cache, around.door, around.peers))

    async def person(self, *, manages: bool = False) -> "Person":
        """A new member, signed in."""
        number = next(_people)
        body = {"email": f"p{number}@example.org", "password": "correct horse", "display_name": f"Person {number}"}
        status, member = await self.call("POST", "/auth/register", body)
        assert status == 201, member
        if manages:
            async with self.databases["users"].tx() as tx:
                await tx.execute("UPDATE members SET roles = '{member,manager}' WHERE id = %s", [member["id"]])
        _, session = await self.call("POST", "/auth/login", {"email": body["email"], "password": body["password"]})
        return Person(self, UUID(member["id"]), session["access_token"])

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of a public call."""
        sent = msgspec.json.encode(body) if body is not None else b""
        bare, _, query = path.partition("?")
        said = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        got = await self.door.call(method, f"/api/v1{bare}", query=query, body=sent, headers=said, timeout=30)
        return got.status, msgspec.json.decode(got.body) if got.body else None

    async def work(self) -> int:
        """One round of a bookings worker; how many rows it handled."""
        return await self.saga.queue.round(self.saga.work)

    async def sql(self, service: str, query: Any, **params: Any) -> Any:
        """One value from a service's database."""
        async with self.databases[service].read() as tx:
            return await value(tx, query, params)

    async def rows(self, service: str, query: Any, **params: Any) -> list[dict[str, Any]]:
        """Rows of a service's database."""
        async with self.databases[service].read() as tx:
            return await many(tx, dict, query, params)

    async def lease_over(self, booking: str) -> None:
        """Let the lease of a booking run out and its time come."""
        await self.sql(
            "bookings",
            "UPDATE bookings SET lease_until = now() - interval '1 s', due = now() - interval '1 s'"
            " WHERE id = %(id)s RETURNING id",
            id=booking,
        )

    async def ledger_balances(self) -> bool:
        """Whether every entry, and so the whole ledger, sums to zero per currency."""
        wrong = "SELECT count(*) FROM (SELECT 1 FROM postings GROUP BY entry_id, currency HAVING sum(amount) <> 0) AS w"
        return await self.sql("payments", wrong) == 0

    async def money_held(self, booking: str) -> int:
        """What the payment provider still holds or has taken for a booking and not given back."""
        rows = await self.rows(
            "payments", "SELECT status, amount, captured, refunded FROM payments WHERE booking_id = %(id)s", id=booking
        )
        return sum(
            r["amount"] if r["status"] in ("authorising", "authorised") else r["captured"] - r["refunded"] for r in rows
        )


class Person:
    """A member of a town."""

    def __init__(self, town: Town, member: UUID, token: str) -> None:
        self.town, self.id, self.token = town, member, token

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of a call as this person."""
        return await self.town.call(method, path, body, authorization=f"Bearer {self.token}", **headers)

    async def lists(self, **terms: Any) -> dict[str, Any]:
        """A new item of theirs: 10.00 EUR a day, at once, in person, unless `terms` say otherwise."""
        body = {
            "title": "A thing to lend",
            "category": "other",
            "location": {"lat": 52.5, "lon": 13.4, "label": "Here", "address": "Street 1"},
            "price": {"amount": 1000, "currency": "EUR", "per": "day"},
        } | terms
        status, item = await self.call("POST", "/items", body)
        assert status == 201, item
        return item

    async def books(
        self, item: dict[str, Any], *, start: float = 48, hours: float = 24, card: str | None = CARD, **more: Any
    ) -> tuple[int, Any]:
        """Ask for an item from `start` hours from now."""
        headers = {k: more.pop(k) for k in ("idempotency_key",) if k in more}
        body = {"item_id": item["id"], "payment_method": card, **period(start, hours), **more}
        return await self.call("POST", "/bookings", body, **headers)

    async def does(self, what: str, booking: dict[str, Any], body: Any = None) -> tuple[int, Any]:
        """Give a command."""
        return await self.call("POST", f"/bookings/{booking['id']}/{what}", body)


def period(start: float, hours: float) -> dict[str, str]:
    """`from` and `to` in hours from now."""
    first = datetime.now(UTC) + timedelta(hours=start)
    return {"from": first.isoformat(), "to": (first + timedelta(hours=hours)).isoformat()}


@asynccontextmanager
async def new_town(postgres: EmbeddedPostgres, **settings: Any) -> AsyncGenerator[Town]:
    """A town on databases of its own."""
    tag = f"t{next(_towns)}"
    postgres.create_databases([f"{s}_{tag}" for s in run.SERVICES])
    url = postgres.url(f"SERVICE_{tag}").replace("SERVICE", "{service}")
    folder = tempfile.TemporaryDirectory()
    chosen = Settings(database_url=url, workers=False, files_url=f"file://{folder.name}", **settings)
    run.migrate_all(chosen)
    databases = {s: Database(chosen.database(s), name=f"look {s}", size=4) for s in run.SERVICES}
    async with run.running(chosen) as (_, located, around), gateway(chosen, located) as app:
        for db in databases.values():
            await db.open()
        try:
            yield Town(Near("gateway", app), around, databases)
        finally:
            folder.cleanup()
            for db in databases.values():
                await db.close()
