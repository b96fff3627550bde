"""What tests do with an inventory: put things in it, lend them, ask over HTTP as this or that person."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from commonry.contracts.inventory import Hold, Location, NewItem, Reservation
from commonry.contracts.settings import Settings
from commonry.contracts.surroundings import Surroundings
from commonry.contracts.words import Period
from commonry.inventory.api import build, writing
from commonry.inventory.api.calendar import calendar_of
from commonry.inventory.rules.calendar import Span
from commonry.inventory.store import calendar, items
from commonry.kit.auth import SERVICE_HEADER, Caller, Door
from commonry.kit.cache import MemoryCache
from commonry.kit.clock import now
from commonry.kit.db import Database, value
from commonry.kit.files import Files
from commonry.kit.ids import new_id
from commonry.kit.peers import Answer, Near
from commonry.kit.pictures import Album
from commonry.kit.problems import Conflict

KEY = "let-me-in"
SETTINGS = Settings(database_url="none")
FAR = datetime.max.replace(tzinfo=UTC)
_numbers = itertools.count(1)


def person(*roles: str) -> Caller:
    """Someone with a token of their own."""
    return Caller(new_id(), ("member", *roles), f"token-{next(_numbers)}", FAR)


class Shed:
    """One inventory service and its database."""

    def __init__(self, db: Database, data: Path | None = None) -> None:
        self.db, self.data = db, data
        self.people: dict[str, Caller] = {}
        self.owner, self.other, self.manager = self.knows(person()), self.knows(person()), self.knows(person("manager"))
        # Well ahead, on the hour, so that nothing is late or in the past.
        self.start = (now() + timedelta(days=10)).replace(minute=0, second=0, microsecond=0)

    @cached_property
    def near(self) -> Near:
        """The service, made when first asked."""
        cache, peers = MemoryCache(), cast("Any", None)
        settings = msgspec.structs.replace(SETTINGS, data=str(self.data or "/nowhere"))
        service = build(Surroundings(settings, self.db, cache, Door(self._validate, cache, KEY), peers))
        return Near("inventory", service.app)

    @cached_property
    def album(self) -> Album:
        """Where the photos are."""
        return Album(Files(f"file://{self.data}/files"), "items")

    def knows(self, caller: Caller) -> Caller:
        self.people[caller.token] = caller
        return caller

    async def _validate(self, token: str) -> Caller | None:
        return self.people.get(token)

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: Caller | None = None,
        headers: dict[str, str] | None = None,
        service: bool = False,
        data: bytes | None = None,
        **query: Any,
    ) -> "Said":
        """One request; `from_` in the query stands for `from`."""
        given = {k.rstrip("_"): v.isoformat() if isinstance(v, datetime) else v for k, v in query.items()}
        sent = dict(headers or {}) | ({"content-type": "application/json"} if body is not None else {})
        sent |= {"authorization": f"Bearer {by.token}"} if by else {}
        sent |= {SERVICE_HEADER: KEY} if service else {}
        if data is None:
            data = b"" if body is None else json.dumps(body, default=_plain).encode()
        return Said(await self.near.call(method, path, query=urlencode(given), body=data, headers=sent, timeout=20))

    async def item(self, quantity: int = 1, *, owner: Caller | None = None, **fields: Any) -> UUID:
        """A new item, straight into the store."""
        usual = {"title": "Hammer drill", "category": "power-tools", "location": Location(52.5, 13.42, "Corner")}
        new = NewItem(**usual | fields, quantity=quantity)
        async with self.db.tx() as tx:
            return (await writing.create(tx, new_id(), owner or self.owner, new, SETTINGS)).id

    def at(self, hours: float) -> datetime:
        """An instant, counted in hours from the start."""
        return self.start + timedelta(hours=hours)

    def period(self, begin: float, end: float) -> Period:
        return Period(self.at(begin), self.at(end))

    async def hold(
        self,
        item: UUID,
        begin: float,
        end: float,
        quantity: int = 1,
        *,
        booking: UUID | None = None,
        seconds: int = 300,
    ) -> Reservation:
        """Hold from hour `begin` to hour `end`."""
        wanted = Hold(item_id=item, period=self.period(begin, end), quantity=quantity, seconds=seconds)
        return await calendar.hold(self.db, booking or new_id(), wanted)

    async def tries(self, *args: Any, **more: Any) -> str:
        """`held`, or the slug of why not."""
        try:
            return (await self.hold(*args, **more)).state
        except Conflict as e:
            return e.slug

    async def lent(self, item: UUID, begin: float, end: float, quantity: int = 1, *, out: bool = False) -> UUID:
        """A confirmed reservation, picked up if `out`."""
        booking = (await self.hold(item, begin, end, quantity)).id
        await calendar.confirm(self.db, booking)
        if out:
            await calendar.in_use(self.db, booking, self.at(begin))
        return booking

    async def release(self, booking: UUID) -> Reservation:
        async with self.db.tx() as tx:
            return await calendar.release(tx, booking)

    async def free(self, item: UUID, begin: float, end: float) -> list[tuple[float, float, int]]:
        """The free stretches between two hours: begin, end, units."""
        async with self.db.read() as tx:
            found = await calendar_of(tx, await items.read(tx, item), Span(self.at(begin), self.at(end)))
        return [(self.hour(f.from_), self.hour(f.to), f.units) for f in found.free]

    def hour(self, instant: datetime) -> float:
        return (instant - self.start).total_seconds() / 3600

    async def lent_twice(self) -> int:
        """How many pairs of live claims are on one unit at one time. Must be 0, always."""
        async with self.db.read() as tx:
            return await value(tx, LENT_TWICE)


class Said:
    """An answer."""

    def __init__(self, answer: Answer) -> None:
        self.status, self.headers, self.body = answer

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"null")

    def as_a(self, kind: Any) -> Any:
        assert self.status == 200, self.body
        return msgspec.json.decode(self.body, type=kind)

    @property
    def slug(self) -> str:
        return self.json["type"].rsplit("/", 1)[-1]

    @property
    def mistaken(self) -> set[str]:
        """Where the mistakes are."""
        assert self.status == 422, self.body
        return {e["at"] for e in self.json["errors"]}


def _plain(thing: Any) -> str:
    return thing.isoformat() if isinstance(thing, datetime) else str(thing)


LENT_TWICE = """
    SELECT count(a.id) FROM claims a JOIN claims b
        ON a.unit_id = b.unit_id AND a.id < b.id AND a.occupied && b.occupied
    WHERE a.state <> 'over' AND b.state <> 'over'"""
