"""For those who run the services apart: `serve` one, `migrate` databases."""

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from commonry.cli.trouble import Trouble, plainly

if TYPE_CHECKING:
    from commonry.contracts.settings import Settings

OWNERS = ("users", "inventory", "bookings", "payments")
SERVABLE = ("gateway", *OWNERS, "analytics", "web")

SERVE_EXAMPLES = """\b
Examples:
  commonry serve gateway --port 8000
  COMMONRY_DATABASE_URL=postgresql://bookings@db/bookings commonry serve bookings --port 8003

The other services are found at COMMONRY_USERS_URL, COMMONRY_INVENTORY_URL, COMMONRY_BOOKINGS_URL and
COMMONRY_PAYMENTS_URL (several replicas: comma-separated); COMMONRY_SERVICE_TOKEN is the same everywhere.
"""


@click.command(epilog=SERVE_EXAMPLES)
@click.argument("service", type=click.Choice(SERVABLE))
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes any free one.  [default: 8000]")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
def serve(service: str, port: int | None, host: str | None) -> None:
    """Run one service, with the others elsewhere."""
    import msgspec

    from commonry.cli.listening import bind, ended_by_signals, run
    from commonry.cli.storage import data_folder
    from commonry.contracts.settings import Settings
    from commonry.kit.exporting import exporting
    from commonry.kit.settings import load
    from commonry.kit.telemetry import set_up_logs

    with plainly(), ended_by_signals():
        settings = load(Settings, port=port, host=host)
        _check_complete(service, settings)
        with suppress(RuntimeError):  # in a container nobody may have a home; then there are no builds to be found
            settings = msgspec.structs.replace(settings, data=str(data_folder(settings)))
        set_up_logs(settings.log_level)
        with (
            bind(settings.host, settings.port, shared=settings.share_port) as listening,
            exporting(settings.traces_url, settings.traces_share, service),
        ):
            run(_serve(service, settings, listening))


def _check_complete(service: str, settings: "Settings") -> None:
    """All that is missing is said at once."""
    needed = [f"{peer}_url" for peer in OWNERS if peer != service]
    needed += ["service_token", "database_url"] if service in OWNERS else ["service_token"]
    missing = [f"COMMONRY_{name.upper()}" for name in needed if not getattr(settings, name)]
    if missing:
        raise Trouble(f"To serve {service}, set {_listed(missing)}: see `commonry serve --help`.")


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


async def _serve(service: str, settings: "Settings", listening: socket.socket) -> None:
    from commonry import run
    from commonry.cli import listening as server

    def told() -> None:
        click.echo(f"{service} answers at {server.address(listening)}")

    if service == "gateway":
        async with run.platform(settings, here=()) as platform:
            await server.serve(platform.app, listening, told)
    else:
        async with run.running(settings, here=(service,)) as (built, _, _):
            await server.serve(built[service].app, listening, told)


MIGRATE_EXAMPLES = """\b
Examples:
  COMMONRY_DATABASE_URL='postgresql://admin@db/{service}' commonry migrate
  COMMONRY_DATABASE_URL=postgresql://users@db/users commonry migrate users

`commonry up` does this by itself.
"""


@click.command(epilog=MIGRATE_EXAMPLES)
@click.argument("services", nargs=-1, type=click.Choice(OWNERS))
def migrate(services: tuple[str, ...]) -> None:
    """Bring databases to their newest revision, all or the ones named."""
    from commonry.contracts.settings import Settings
    from commonry.kit.settings import load
    from commonry.run import migrate_all

    with plainly():
        settings = load(Settings)
        if not settings.database_url:
            raise Trouble("Set COMMONRY_DATABASE_URL to say which databases: see `commonry migrate --help`.")
        if "{service}" not in settings.database_url and len(services) != 1:
            raise Trouble("COMMONRY_DATABASE_URL names one database: put {service} in it, or name one service.")
        moved = migrate_all(settings, services or OWNERS)
    click.echo(f"Migrated {_listed(moved)}." if moved else "Nothing to migrate.")
