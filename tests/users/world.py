"""The users service alone: its application, its database, a cache, and small stand-ins for the services it asks.

`World.call` is what a client sees: a method, a path, a body, a token; back come the status, the headers, the JSON.
"""

from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from commonry.contracts.bookings import Bookings
from commonry.contracts.inventory import Inventory
from commonry.contracts.payments import Payments
from commonry.contracts.settings import Settings
from commonry.contracts.surroundings import Peers, Surroundings
from commonry.contracts.users import Users
from commonry.kit.auth import Door
from commonry.kit.cache import MemoryCache
from commonry.kit.db import Database
from commonry.kit.peers import Answer, Near
from commonry.users.api import build
from commonry.users.store import promote

SERVICE_TOKEN = "the services' own secret"
PASSWORD = "correct horse battery"


class StandIn:
    """Another service: answers every question with `says`, remembers what it was asked and told."""

    def __init__(self, name: str, **says: Any) -> None:
        self.name, self.says, self.asked, self.told = name, says, [], []

    async def call(
        self, method: str, path: str, *, query: str, body: bytes, headers: Mapping[str, str], timeout: float, **_: Any
    ) -> Answer:
        if path.startswith("/api/v1/"):  # a list that belongs to whoever asks
            assert headers["authorization"].startswith("Bearer ")
            return Answer(200, {}, msgspec.json.encode({"data": [{"list": path}], "next_cursor": None}))
        assert headers["commonry-service"] == SERVICE_TOKEN
        if path.startswith("/internal/events/"):
            self.told.append((path.split("/")[3], msgspec.json.decode(body)))
            return Answer(201, {}, b"")
        if path.endswith("/messages"):
            return Answer(200, {}, msgspec.json.encode([{"list": path}]))
        self.asked.append((method, path))
        return Answer(200, {}, msgspec.json.encode(self.says))


class Reply(msgspec.Struct):
    """An answer as a client reads it."""

    status: int
    headers: dict[str, str]
    json: Any

    @property
    def slug(self) -> str:
        """Which problem it is."""
        return self.json["type"].rsplit("/", 1)[-1]

    @property
    def mistakes(self) -> set[str]:
        """Where a 422 says the mistakes are."""
        return {e["at"] for e in self.json["errors"]}


class World:
    """The service in its surroundings."""

    def __init__(self, db: Database, cache: Any = None, **settings: Any) -> None:
        self.db, self.cache = db, cache or MemoryCache()
        self.bookings = StandIn("bookings", live=False)
        self.payments = StandIn("payments", open=False)
        self.inventory = StandIn("inventory")
        self.users = Near("users", None)
        peers = Peers(
            Users(self.users, SERVICE_TOKEN),
            Inventory(self.inventory, SERVICE_TOKEN),
            Bookings(self.bookings, SERVICE_TOKEN),
            Payments(self.payments, SERVICE_TOKEN),
        )
        self.door = Door(peers.users.validate, self.cache, SERVICE_TOKEN)
        self.settings = Settings(**{"session_hours": 24.0, **settings})
        self.service = build(Surroundings(self.settings, db, self.cache, self.door, peers))
        self.users.app = self.service.app

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str = "", raw: bytes | None = None, **headers: str
    ) -> Reply:
        """Ask as a person would. Header names are written with underscores."""
        path, _, query = path.partition("?")
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        named |= {"authorization": f"Bearer {token}"} if token else {}
        named |= {"content-type": "application/json"} if body is not None or raw is not None else {}
        sent = raw if raw is not None else msgspec.json.encode(body) if body is not None else b""
        full = path if path.startswith(("/api", "/readyz", "/internal")) else f"/api/v1{path}"
        got = await self.users.call(method, full, query=query, body=sent, headers=named, timeout=30)
        return Reply(got.status, got.headers, msgspec.json.decode(got.body) if got.body else None)

    async def register(self, name: str = "ada", **more: Any) -> Reply:
        """Become a member called after the local part of the address."""
        body = {"email": f"{name}@example.org", "password": PASSWORD, "display_name": name.title(), **more}
        return await self.call("POST", "/auth/register", body)

    async def login(self, name: str = "ada", password: str = PASSWORD, **headers: str) -> Reply:
        """Sign in."""
        body = {"email": f"{name}@example.org", "password": password}
        return await self.call("POST", "/auth/login", body, **headers)

    async def member(self, name: str = "ada") -> tuple[str, str]:
        """A new member who is signed in: their id and their token."""
        made = await self.register(name)
        assert made.status == 201, made
        return made.json["id"], (await self.login(name)).json["access_token"]

    async def manager(self, name: str = "mona") -> tuple[str, str]:
        """A new manager who is signed in."""
        await self.register(name)
        async with self.db.tx() as tx:
            assert await promote(tx, f"{name}@example.org")
        session = (await self.login(name)).json
        return session["member"]["id"], session["access_token"]

    async def valid(self, token: str) -> Any:
        """What validate-token says."""
        return (await self.call("POST", "/auth/validate-token", {"token": token})).json

    async def rows(self, query: str, *parameters: Any) -> list[Any]:
        """Rows of the service's tables, read behind its back."""
        async with self.db.pool.connection() as conn:
            return await (await conn.execute(query, parameters)).fetchall()

    async def events(self) -> list[tuple[str, str]]:
        """What is on its way to other services: topic and receiver."""
        return [(t, r) for t, r in await self.rows("SELECT topic, receiver FROM outbox ORDER BY topic, receiver")]


class Counting(Database):
    """A database that counts how often somebody wanted a connection, and can be away."""

    def __init__(self, db: Database) -> None:
        self.__dict__ |= vars(db) | {"used": 0, "away": False}

    @asynccontextmanager
    async def _connection(self):
        self.used += 1
        assert not self.away, "the database was asked"
        async with super()._connection() as conn:
            yield conn
