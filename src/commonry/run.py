"""The composition root: which services run here, which are elsewhere, and what each is given.

`SERVICES` is the deployment diagram. A service named in `here` is built and called in this process; any other is
reached at the URLs in the settings. Nothing else in the project knows the difference.
"""

import asyncio
import contextlib
import importlib
import secrets
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from commonry.bookings.api import build as bookings
from commonry.contracts.analytics import Analytics
from commonry.contracts.bookings import Bookings
from commonry.contracts.inventory import Inventory
from commonry.contracts.payments import Payments
from commonry.contracts.settings import Settings
from commonry.contracts.surroundings import Peers, Surroundings
from commonry.contracts.users import Users
from commonry.gateway.api import gateway
from commonry.inventory.api import build as inventory
from commonry.kit import migrate
from commonry.kit.asgi import App
from commonry.kit.auth import Door
from commonry.kit.cache import Cache, MemoryCache
from commonry.kit.db import Database
from commonry.kit.peers import Far, Near
from commonry.kit.replicas import Replicas
from commonry.kit.service import Service
from commonry.kit.standby import PATIENCE, Standby
from commonry.payments.api import build as payments
from commonry.users.api import build as users
from commonry.warehouse.api import build as analytics
from commonry.web.api import build as web

OWNERS = ("users", "inventory", "bookings", "payments")
"""Services with a database of their own."""
SERVICES = {
    "users": users,
    "inventory": inventory,
    "bookings": bookings,
    "payments": payments,
    "analytics": analytics,
    "web": web,
}
"""All of them. The gateway owns nothing and is built on top; what owns no database runs in its process, unless its URL
says where else."""
READ_FROM_STANDBY = ("inventory",)
"""Services with reads that may be a second old."""
STARTING = 3.0
"""Seconds for which a service does not look whether the others are there: they are being started too."""


def migrations(service: str) -> Path:
    """The folder of a service's migrations."""
    package = importlib.import_module(f"commonry.{service}")
    return Path(package.__path__[0]) / "migrations"


def behind(settings: Settings, services: Sequence[str] = OWNERS) -> list[str]:
    """Which services' databases are not at their newest revision."""
    return [s for s in services if (migrate.current(settings.database(s)) or "") < migrate.head(migrations(s))]


def migrate_all(settings: Settings, services: Sequence[str] = OWNERS) -> list[str]:
    """Bring every named service's database to its newest revision; which ones were behind."""
    late = behind(settings, services)
    for service in late:
        migrate.upgrade(settings.database(service), migrations(service))
    return late


def locate(settings: Settings, here: Sequence[str]) -> dict[str, Near | Far]:
    """Where each service is. One that runs here is filled in when it has been built."""
    return {
        s: Near(s, None) if s in here else Far(s, settings.urls(s))
        for s in SERVICES
        if s in (*OWNERS, *here) or settings.urls(s)
    }


@asynccontextmanager
async def running(
    settings: Settings, here: Sequence[str] = tuple(SERVICES), cache: Cache | None = None, *, is_gateway: bool = False
) -> AsyncGenerator[tuple[dict[str, Service], dict[str, Near | Far], Surroundings]]:
    """Build the services named in `here`, open their databases and keep their loops running until the end."""
    token = settings.service_token or secrets.token_urlsafe(32)
    located = locate(settings, here)
    peers = Peers(
        users=Users(located["users"], token),
        inventory=Inventory(located["inventory"], token),
        bookings=Bookings(located["bookings"], token),
        payments=Payments(located["payments"], token),
        analytics=Analytics(located["analytics"], token) if "analytics" in located else None,
    )
    shared = cache or await _cache(settings, several=len(here) < len(SERVICES))
    door = Door(peers.users.validate, shared, token)
    built: dict[str, Service] = {}
    async with AsyncExitStack() as stack:
        if cache is None:
            stack.push_async_callback(shared.close)
        for name in here:
            db = await _opened(stack, settings, name) if name in OWNERS else _no_database()
            standby = await _standby(stack, settings, db, shared) if name in READ_FROM_STANDBY else None
            built[name] = SERVICES[name](Surroundings(settings, db, shared, door, peers, standby))
            located[name] = _filled(located[name], built[name])
        for far in located.values():
            if isinstance(far, Far):
                stack.push_async_callback(far.close)
        if not is_gateway:  # which looks after its own
            await stack.enter_async_context(looked_after(located))
        await stack.enter_async_context(_until_the_end([s.watch for s in built.values() if s.watch]))
        if settings.workers:
            await stack.enter_async_context(kept_running(built))
        yield built, located, Surroundings(settings, _no_database(), shared, door, peers)


class Platform(NamedTuple):
    """The gateway's application, the services it stands before, and those of them that run in this process."""

    app: App
    located: dict[str, Near | Far]
    built: dict[str, Service]
    around: Surroundings


@asynccontextmanager
async def platform(
    settings: Settings, here: Sequence[str] = tuple(SERVICES), cache: Cache | None = None
) -> AsyncGenerator[Platform]:
    """The gateway over all services, of which those named in `here` run in this process."""
    beside = [s for s in SERVICES if s not in (*OWNERS, *here) and not settings.urls(s)]
    async with (
        running(settings, [*here, *beside], cache, is_gateway=True) as (built, located, around),
        gateway(settings, located, around.cache) as app,
    ):
        yield Platform(app, located, built, around)


def _filled(peer: Near | Far, service: Service) -> Near | Far:
    if isinstance(peer, Near):
        peer.app = service.app
    return peer


async def _cache(settings: Settings, *, several: bool) -> Cache:
    if not settings.cache_url:
        return MemoryCache(several=several)
    from commonry.kit.cluster import connect  # the driver takes 0.3 s that nobody else should wait for

    return await connect(settings.cache_url)


def _no_database() -> Database:
    return Database("", name="none")


async def _opened(stack: AsyncExitStack, settings: Settings, name: str) -> Database:
    pooled = not settings.database_prepare
    db = Database(settings.database(name), name=name, size=settings.database_pool, pooled=pooled)
    await db.open()
    stack.push_async_callback(db.close)
    return db


async def _standby(stack: AsyncExitStack, settings: Settings, db: Database, cache: Cache) -> Standby:
    """What may be read a second late, from a copy if there is one; it is looked after until the end."""
    copy = None
    if url := settings.standby(db.name):
        pooled, name = not settings.database_prepare, f"{db.name} standby"
        copy = Database(url, name=name, size=settings.database_pool, patience=PATIENCE, pooled=pooled, copy=True)
        await copy.open()
        stack.push_async_callback(copy.close)
    standby = Standby(db, copy, cache)
    await stack.enter_async_context(_until_the_end([standby.watch]))
    return standby


def looked_after(peers: Mapping[str, Near | Far]) -> AbstractAsyncContextManager[None]:
    """A replica of a far service that hangs is noticed, and its requests given to another, until the end."""

    async def look(replicas: Replicas) -> None:
        await asyncio.sleep(STARTING)
        await replicas.watch()

    return _until_the_end([partial(look, peer.replicas) for peer in peers.values() if isinstance(peer, Far)])


def kept_running(services: Mapping[str, Service]) -> AbstractAsyncContextManager[None]:
    """The loops of these services run until the end."""
    return _until_the_end([loop for service in services.values() for loop in service.loops])


@asynccontextmanager
async def _until_the_end(loops: Sequence[Callable[[], Coroutine[Any, Any, None]]]) -> AsyncGenerator[None]:
    tasks = [asyncio.create_task(loop()) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
