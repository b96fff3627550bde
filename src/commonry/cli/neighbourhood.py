"""The demo neighbourhood on an empty platform: when to load it, the loading itself, and who can sign in.

A file in the data folder says that a load has begun, or is done; one that was cut off is taken up at the next start.
"""

import asyncio
import functools
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commonry.cli.members import made_manager
from commonry.cli.storage import Kept, data_folder
from commonry.gateway.routes import route_for
from commonry.kit.peers import Answer, Far, Near
from commonry.kit.problems import NotFound

if TYPE_CHECKING:
    from commonry.run import Platform

DONE = "done"


def _mark(kept: Kept) -> Path:
    return data_folder(kept.settings) / "demo"


def is_to_be_loaded(kept: Kept, wanted: bool) -> bool:
    """On empty databases if wanted, and where a load was cut off."""
    mark = _mark(kept)
    if mark.exists():
        return mark.read_text() != DONE
    if not (kept.is_new and wanted):
        return False
    mark.parent.mkdir(parents=True, exist_ok=True)  # there may be none where PostgreSQL is elsewhere
    mark.write_text(datetime.now(UTC).date().isoformat())
    return True


async def fill(platform: "Platform", kept: Kept, on_ready: Callable[[], None]) -> None:
    """Load it while others may already look around; then let the services' loops run."""
    from commonry.demo.load import load
    from commonry.run import kept_running

    mark = _mark(kept)
    promote = functools.partial(made_manager, kept.settings.database("users"))
    inside = _Inside("platform", platform.located)
    await load(inside, promote, kept.settings.service_token, date.fromisoformat(mark.read_text()), Progress())
    mark.write_text(DONE)
    on_ready()
    async with kept_running(platform.built):
        await asyncio.Event().wait()


class _Inside:
    """All services as one peer, by path; without the gateway's access log, which the load would fill."""

    def __init__(self, name: str, services: Mapping[str, Near | Far]) -> None:
        self.name, self._services = name, services

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: str,
        body: bytes,
        headers: Mapping[str, str],
        timeout: float,
        repeatable: bool = False,
    ) -> Answer:
        route = route_for(path)
        if route is None:
            raise NotFound
        peer = self._services[route.service]
        return await peer.call(
            method, path, query=query, body=body, headers=headers, timeout=timeout, repeatable=repeatable
        )


class Progress:
    """One line that counts, where a person looks; else one line a stage."""

    def __init__(self) -> None:
        self._stage = ""

    def __call__(self, stage: str, done: int, of: int) -> None:
        if sys.stdout.isatty():
            click.echo(f"\r  {stage}: {done} of {of} ", nl=done == of)
        elif stage != self._stage:
            click.echo(f"Loading {stage} …")
        self._stage = stage


def sign_ins(kept: Kept) -> list[str]:
    """One line a demo sign-in: role, e-mail, password. None without the demo."""
    if not _mark(kept).exists():
        return []
    from commonry.demo import neighbourhood

    people = neighbourhood.sign_ins()
    wide = max(len(email) for _, email, _ in people)
    return ["Sign in as:", *(f"  {role:<10} {email:<{wide}}   {password}" for role, email, password in people), ""]
