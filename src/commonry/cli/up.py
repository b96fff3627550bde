"""`commonry up`: everything in one process, PostgreSQL beside it, and on an empty folder a neighbourhood to try."""

import importlib
import os
import shutil
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commonry.cli.trouble import plainly

if TYPE_CHECKING:
    from commonry.cli.storage import Kept

EXAMPLES = """\b
Examples:
  commonry up
  commonry up --port 9000 --data ~/things
  commonry up --no-demo --host 0.0.0.0
  COMMONRY_DATABASE_URL='postgresql://me@db/{service}' commonry up

The data folder is --data, else COMMONRY_DATA, else /var/lib/commonry for root and ~/.local/share/commonry
for others. Stop with Ctrl-C; whatever was acknowledged is kept, even after kill -9 or a power cut.
"""
EVERYWHERE = ("127.", "localhost", "::1")


@click.command(epilog=EXAMPLES)
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes any free one.  [default: 8000]")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--data", type=click.Path(file_okay=False), help="Folder of the database and the secrets.")
@click.option("--demo/--no-demo", default=True, help="Fill an empty folder with a neighbourhood to try things with.")
def up(port: int | None, host: str | None, data: str | None, demo: bool) -> None:
    """Start everything: the platform and its PostgreSQL."""
    threading.Thread(target=importlib.import_module, args=("commonry.run",), daemon=True).start()
    from commonry.cli.listening import bind, ended_by_signals, run
    from commonry.cli.storage import storage
    from commonry.contracts.settings import Settings
    from commonry.kit.exporting import exporting
    from commonry.kit.settings import load
    from commonry.kit.telemetry import set_up_logs

    with plainly(), ended_by_signals():
        settings = load(Settings, port=port, host=host, data=data)
        set_up_logs(settings.log_level)
        traces = exporting(settings.traces_url, settings.traces_share, "commonry")
        with bind(settings.host, settings.port) as listening, storage(settings) as kept, traces:
            run(_platform(kept, listening, demo))


async def _platform(kept: "Kept", listening: socket.socket, with_demo: bool) -> None:
    import asyncio

    import msgspec

    from commonry.cli import neighbourhood
    from commonry.cli.listening import address, serve
    from commonry.run import platform

    here = address(listening)
    fills = neighbourhood.is_to_be_loaded(kept, with_demo)
    # The demo's past is played with a clock of its own; loops on the real one would end its loans as long overdue.
    settings = msgspec.structs.replace(kept.settings, workers=kept.settings.workers and not fills)
    async with platform(settings) as running:
        if not fills:
            return await serve(running.app, listening, lambda: _tell(here, kept))
        click.echo(f"Commonry answers at {here}")
        filling = asyncio.create_task(neighbourhood.fill(running, kept, lambda: _tell(here, kept)))
        try:
            await serve(running.app, listening, lambda: None)
        finally:
            filling.cancel()
            await asyncio.wait([filling])


def _ourselves() -> str:
    """How this command is called from where the person is."""
    if shutil.which("commonry"):
        return "commonry"
    script = Path(sys.executable).with_name("commonry")
    return os.path.relpath(script) if script.exists() else "python -m commonry"


def _tell(here: str, kept: "Kept") -> None:
    from commonry.cli import neighbourhood
    from commonry.cli.storage import data_folder

    lines = ["", f"Commonry is ready:  {here}", "", *neighbourhood.sign_ins(kept), "Try first:"]
    lines += [
        f"  {here}/           what is shared here",
        f"  {here}/api/docs   every call, with its fields",
        f"  {_ourselves()} demo --url {here}   a whole loan, told step by step",
        "",
        f"Everything is kept in {data_folder(kept.settings)}. Stop with Ctrl-C.",
    ]
    if not kept.settings.host.startswith(EVERYWHERE) and neighbourhood.sign_ins(kept):
        lines += [
            "",
            "Others can reach this address and know the demo's passwords: for a community, start with --no-demo.",
        ]
    click.echo("\n".join(lines))
