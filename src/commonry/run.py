"""The composition root: which services run here, which are elsewhere, and what each is given.

`SERVICES` is the deployment diagram. A service named in `here` is built and called in this process; any other is
reached at the URLs in the settings. Nothing else in the project knows the difference.
"""

import asyncio
import contextlib
import importlib
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from commonry.bookings.api import build as bookings
from commonry.contracts.bookings import Bookings
from commonry.contracts.inventory import Inventory
from commonry.contracts.payments import Payments
from commonry.contracts.settings import Settings
from commonry.contracts.surroundings import Peers, Surroundings
from commonry.contracts.users import Users
from commonry.inventory.api import build as inventory
from commonry.kit import migrate
from commonry.kit.auth import Door
from commonry.kit.cache import Cache, MemoryCache
from commonry.kit.db import Database
from commonry.kit.peers import Far, Near
from commonry.kit.service import Service
from commonry.payments.api import build as payments
from commonry.users.api import build as users

SERVICES = {"users": users, "inventory": inventory, "bookings": bookings, "payments": payments}
"""Services with a database of their own. The gateway owns nothing and is built on top."""


def migrations(service: str) -> Path:
    """The folder of a service's migrations."""
    package = importlib.import_module(f"commonry.{service}")
    return Path(package.__path__[0]) / "migrations"


def migrate_all(settings: Settings, services: Sequence[str] = tuple(SERVICES)) -> list[str]:
    """Bring every named service's database to its newest revision; which ones were behind."""
    behind = [s for s in services if migrate.current(settings.database(s)) != migrate.head(migrations(s))]
    for service in behind:
        migrate.upgrade(settings.database(service), migrations(service))
    return behind


def locate(settings: Settings, here: Sequence[str]) -> dict[str, Near | Far]:
    """Where each service is. One that runs here is filled in when it has been built."""
    return {s: Near(s, None) if s in here else Far(s, settings.urls(s)) for s in SERVICES}


@asynccontextmanager
async def running(
    settings: Settings, here: Sequence[str] = tuple(SERVICES), cache: Cache | None = None
) -> AsyncGenerator[tuple[dict[str, Service], dict[str, Near | Far], Surroundings]]:
    """Build the services named in `here`, open their databases and keep their loops running until the end."""
    token = settings.service_token or secrets.token_urlsafe(32)
    located = locate(settings, here)
    peers = Peers(*(kind(located[kind.__name__.lower()], token) for kind in (Users, Inventory, Bookings, Payments)))
    shared = cache or MemoryCache()
    door = Door(peers.users.validate, shared, token)
    built: dict[str, Service] = {}
    async with AsyncExitStack() as stack:
        for name in here:
            db = await _opened(stack, settings, name)
            built[name] = SERVICES[name](Surroundings(settings, db, shared, door, peers))
            located[name] = _filled(located[name], built[name])
        for far in located.values():
            if isinstance(far, Far):
                stack.push_async_callback(far.close)
        if settings.workers:
            await stack.enter_async_context(_kept_running([loop for s in built.values() for loop in s.loops]))
        yield built, located, Surroundings(settings, _no_database(), shared, door, peers)


def _filled(peer: Near | Far, service: Service) -> Near | Far:
    if isinstance(peer, Near):
        peer.app = service.app
    return peer


def _no_database() -> Database:
    return Database("", name="none")


async def _opened(stack: AsyncExitStack, settings: Settings, name: str) -> Database:
    db = Database(settings.database(name), name=name, size=settings.database_pool, prepare=settings.database_prepare)
    await db.open()
    stack.push_async_callback(db.close)
    return db


@asynccontextmanager
async def _kept_running(loops: Sequence[Any]) -> AsyncGenerator[None]:
    tasks = [asyncio.create_task(loop()) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
