"""The payments service alone: its application behind its typed client, its books, and people with tokens.

`client` is what other services see, `call` what people see. `check_books` is what must be true of the ledger, the
payments and the provider's own book whenever nothing is under way.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID, uuid4

import msgspec

from commonry.contracts.bookings import Bookings
from commonry.contracts.inventory import Inventory
from commonry.contracts.money import Money
from commonry.contracts.payments import Authorise, Payment, Payments, Purpose
from commonry.contracts.settings import Settings
from commonry.contracts.surroundings import Peers, Surroundings
from commonry.contracts.users import Users
from commonry.kit.auth import Caller, Door
from commonry.kit.cache import MemoryCache
from commonry.kit.db import Database
from commonry.kit.due import Queue
from commonry.kit.peers import Near
from commonry.payments.api import build, open_till
from commonry.payments.jobs import look_after

SERVICE_TOKEN = "the services' own secret"


def eur(amount: int) -> Money:
    return Money(amount, "EUR")


class Reply(msgspec.Struct):
    """An answer as a client reads it."""

    status: int
    json: Any

    @property
    def slug(self) -> str:
        """Which problem it is."""
        return self.json["type"].rsplit("/", 1)[-1]


class World:
    """The service in its surroundings, a borrower, an owner, and somebody else. A person's token is their id."""

    def __init__(self, db: Database, **settings: Any) -> None:
        self.db = db
        self.borrower, self.owner, self.other, self.manager = (uuid4() for _ in range(4))
        near = Near("payments", None)
        client = Payments(near, SERVICE_TOKEN)
        peers = Peers(Users(near, SERVICE_TOKEN), Inventory(near, SERVICE_TOKEN), Bookings(near, SERVICE_TOKEN), client)
        cache = MemoryCache()
        self.settings = Settings(**{"provider_seconds": 10.0, **settings})
        around = Surroundings(self.settings, db, cache, Door(self._validate, cache, SERVICE_TOKEN), peers)
        self.service, self.till = build(around), open_till(around)
        near.app = self.service.app
        self.client, self.near = client, near

    async def _validate(self, token: str) -> Caller:
        roles = ("member", "manager") if token == str(self.manager) else ("member",)
        return Caller(UUID(token), roles, token, datetime.max.replace(tzinfo=UTC))

    def order(self, amount: int = 1000, method: str = "pm_card_visa", currency: str = "EUR") -> Authorise:
        """What a booking asks for."""
        return Authorise(amount=Money(amount, currency), method=method, payer=self.borrower, payee=self.owner)

    async def authorise(self, booking: UUID, amount: int = 1000, purpose: Purpose = "rental", **order: Any) -> Payment:
        """The client's, with a patience of its own longer than the provider's."""
        return await self.client.authorise(booking, purpose, self.order(amount, **order), timeout=30)

    async def paid(self, amount: int = 1000, purpose: Purpose = "rental") -> UUID:
        """A booking whose money is captured."""
        booking = uuid4()
        await self.authorise(booking, amount, purpose)
        await self.client.capture(booking, purpose, timeout=30)
        return booking

    async def call(self, path: str, who: UUID | None = None, method: str = "GET", **headers: str) -> Reply:
        """Ask as a person would."""
        path, _, query = path.partition("?")
        sent: Mapping[str, str] = headers | ({"authorization": f"Bearer {who}"} if who else {})
        got = await self.near.call(method, path, query=query, body=b"", headers=sent, timeout=30)
        return Reply(got.status, msgspec.json.decode(got.body) if got.body else None)

    async def rows(self, query: LiteralString, *parameters: Any) -> list[Any]:
        """Rows of the service's tables, read behind its back."""
        async with self.db.pool.connection() as conn:
            return await (await conn.execute(query, parameters or None)).fetchall()

    async def run(self, query: LiteralString, *parameters: Any) -> None:
        """Change something behind the service's back."""
        async with self.db.pool.connection() as conn:
            await conn.execute(query, parameters or None)

    async def balances(self) -> dict[str, int]:
        """What this world's people did to each account that is not empty, by what kind of account it is."""
        query: LiteralString = """
            SELECT split_part(account, ':', 1), sum(p.amount)::bigint FROM postings p
            WHERE entry_id IN (SELECT entry_id FROM postings WHERE account = ANY (%s))
            GROUP BY 1 HAVING sum(p.amount) <> 0"""
        accounts = [f"limit:{self.borrower}", f"borrower:{self.borrower}", f"owner:{self.owner}"]
        return dict(await self.rows(query, accounts))

    async def effects(self, booking: UUID) -> list[tuple[str, int, int]]:
        """What the provider knows of a booking: each charge's status, and what it took and gave back."""
        query: LiteralString = """
            SELECT status, captured, refunded FROM sandbox_charges WHERE starts_with(key, %s) ORDER BY key"""
        return await self.rows(query, str(booking))

    async def kinds(self, booking: UUID) -> list[str]:
        """What was entered for a booking, in order."""
        return [k for (k,) in await self.rows("SELECT kind FROM entries WHERE booking_id = %s ORDER BY id", booking)]

    async def look_after(self) -> int:
        """One round of the job over what is due; how many rows."""
        return await Queue(self.db, "payments").round(lambda claim: look_after(self.till, claim))

    async def make_due(self, booking: UUID) -> None:
        """As if all the waiting for this booking's payments were over."""
        query: LiteralString = """
            UPDATE payments SET due = now() - interval '1 second', lease_until = NULL
            WHERE booking_id = %s AND due IS NOT NULL"""
        await self.run(query, booking)

    async def check_books(self) -> None:
        """Everything that must hold at rest, over everything that ever happened here."""
        for claim, query in MUST_BE_EMPTY.items():
            assert await self.rows(query) == [], claim


MUST_BE_EMPTY: dict[str, LiteralString] = {
    "every entry balances per currency": """
        SELECT entry_id, currency, sum(amount) FROM postings GROUP BY 1, 2 HAVING sum(amount) <> 0""",
    "the whole ledger sums to zero per currency": """
        SELECT currency, sum(amount) FROM postings GROUP BY 1 HAVING sum(amount) <> 0""",
    "every entry posts something": """
        SELECT id FROM entries e WHERE NOT EXISTS (SELECT FROM postings WHERE entry_id = e.id)""",
    "refunds ≤ captured ≤ amount": """
        SELECT booking_id, purpose FROM payments WHERE refunded > captured OR captured > amount""",
    "what is held by the ledger is what is authorised, and no more": """
        SELECT p.booking_id, p.purpose, p.status, l.held FROM payments p
        LEFT JOIN (SELECT account, sum(amount) AS held FROM postings GROUP BY 1) l
            ON l.account = 'held:' || p.booking_id || ':' || p.purpose
        WHERE coalesce(l.held, 0) <> CASE WHEN p.status = 'authorised' THEN p.amount ELSE 0 END""",
    "what was held and is not any more was released or captured (rule 14)": """
        SELECT account FROM postings p JOIN entries e ON e.id = p.entry_id WHERE account LIKE 'held:%'
        GROUP BY account
        HAVING coalesce(sum(amount) FILTER (WHERE kind = 'authorise'), 0) <>
            sum(amount) - coalesce(sum(amount) FILTER (WHERE kind IN ('release', 'capture')), 0)
            OR sum(amount) FILTER (WHERE kind NOT IN ('authorise', 'release', 'capture')) IS NOT NULL""",
    "the provider holds what we say is authorised, and nothing else": """
        SELECT p.booking_id, p.purpose, p.status, c.held FROM payments p
        LEFT JOIN (SELECT split_part(key, ':', 1) AS booking, split_part(key, ':', 2) AS purpose, sum(amount) AS held
            FROM sandbox_charges WHERE status = 'authorised' GROUP BY 1, 2) c
            ON c.booking = p.booking_id::text AND c.purpose = p.purpose
        WHERE p.status <> 'authorising'
            AND coalesce(c.held, 0) <> CASE WHEN p.status = 'authorised' THEN p.amount ELSE 0 END""",
    "the provider took and gave back what we say": """
        SELECT p.booking_id, p.purpose, p.status, p.captured, c.captured, p.refunded, c.refunded FROM payments p
        LEFT JOIN (SELECT split_part(key, ':', 1) AS booking, split_part(key, ':', 2) AS purpose,
                sum(captured) AS captured, sum(refunded) AS refunded FROM sandbox_charges GROUP BY 1, 2) c
            ON c.booking = p.booking_id::text AND c.purpose = p.purpose
        WHERE coalesce(c.captured, 0) <> p.captured OR coalesce(c.refunded, 0) <> p.refunded""",
    "the provider knows no money that we do not": """
        SELECT key FROM sandbox_charges c WHERE status IN ('authorised', 'captured') AND NOT EXISTS (
            SELECT FROM payments p
            WHERE p.booking_id::text = split_part(c.key, ':', 1) AND p.purpose = split_part(c.key, ':', 2))""",
    "the pockets lack what the provider has, per currency": """
        SELECT currency, sum(amount) FROM (
            SELECT currency, amount FROM postings WHERE account LIKE 'borrower:%'
            UNION ALL SELECT currency, captured - refunded FROM sandbox_charges WHERE currency IS NOT NULL) x
        GROUP BY 1 HAVING sum(amount) <> 0""",
    "a pot is never overdrawn": """
        SELECT account, sum(amount) FROM postings
        WHERE account LIKE 'booking:%' OR account LIKE 'deposit:%' OR account LIKE 'held:%'
        GROUP BY 1 HAVING sum(amount) < 0""",
}
