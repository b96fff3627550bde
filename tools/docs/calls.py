"""Every public call, from the OpenAPI documents of the services and the gateway."""

from collections.abc import Iterator
from typing import Any

from commonry import run
from commonry.contracts.bookings import Bookings
from commonry.contracts.inventory import Inventory
from commonry.contracts.payments import Payments
from commonry.contracts.settings import Settings
from commonry.contracts.surroundings import Peers, Surroundings
from commonry.contracts.users import Users
from commonry.gateway.document import Documents
from commonry.kit.auth import Door
from commonry.kit.cache import MemoryCache
from commonry.kit.db import Database
from commonry.kit.peers import Near
from tools.docs.markdown import code
from tools.docs.markdown import table as tabled

ORDER = ("auth", "members", "items", "bookings", "reviews", "payments", "platform")
METHODS = ("get", "post", "put", "patch", "delete")


def table() -> str:
    """One table for each tag."""
    found = list(_operations())
    tags = sorted({tag for tag, *_ in found}, key=lambda tag: (ORDER.index(tag) if tag in ORDER else len(ORDER), tag))
    return "\n\n".join(
        f"### {tag}\n\n{tabled(['call', 'what it does', 'needs a token'], _rows(found, tag))}" for tag in tags
    )


def _rows(found: list[tuple[str, str, str, Any]], tag: str) -> list[list[str]]:
    return [
        [code(f"{method.upper()} {path}"), told["summary"], "yes" if told.get("security") else ""]
        for of, path, method, told in found
        if of == tag
    ]


def _operations() -> Iterator[tuple[str, str, str, Any]]:
    paths: dict[str, Any] = document()["paths"]
    for path, methods in paths.items():
        for method, told in sorted(methods.items(), key=lambda pair: METHODS.index(pair[0])):
            yield (told.get("tags") or ["other"])[0], path, method, told


def document() -> dict[str, Any]:
    """The joined document as the gateway serves it. No service is started and no database opened for it."""
    import asyncio

    return asyncio.run(_document())


async def _document() -> dict[str, Any]:
    located = {name: Near(name, None) for name in run.SERVICES}
    peers = Peers(
        Users(located["users"], "token"),
        Inventory(located["inventory"], "token"),
        Bookings(located["bookings"], "token"),
        Payments(located["payments"], "token"),
    )
    cache = MemoryCache()
    door = Door(peers.users.validate, cache, "token")
    around = Surroundings(Settings(), Database("", name="none"), cache, door, peers)
    for name, build in run.SERVICES.items():
        located[name].app = build(around).app
    return await Documents(located).joined()
