"""`commonry etl`: the warehouse, brought up to date now, looked at, or made anew."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commonry.cli.backing_up import Line, data_option
from commonry.cli.trouble import Trouble, plainly

if TYPE_CHECKING:
    from commonry.contracts.settings import Settings
    from commonry.warehouse.folder import Status

EXAMPLES = """\b
Examples:
  commonry etl run                  what has changed since the last run
  commonry etl run --compare        and compare with the services' own counts and sums
  commonry etl status               how the last run went
  commonry etl rebuild --data ~/things   everything, from nothing

It needs the data folder or COMMONRY_DATABASE_URL, and works whether the platform runs or not. A running platform does
this by itself, every COMMONRY_ETL_MINUTES.
"""
WRONG = "WRONG"


@click.group(epilog=EXAMPLES)
def etl() -> None:
    """Bring the warehouse up to date, or see how it is."""


@etl.command(epilog=EXAMPLES)
@data_option
@click.option("--compare", is_flag=True, help="Also compare with the services' own counts and sums.")
@click.option("--scheduled", is_flag=True, help="Give way to others; say nothing if another run is at work.")
def run(data: Path | None, compare: bool, scheduled: bool) -> None:
    """Read what has changed, make a new build, switch to it."""
    if scheduled:
        import os

        os.nice(10)
    _run(data, compare=compare, afresh=False, scheduled=scheduled)


@etl.command(epilog=EXAMPLES)
@data_option
def rebuild(data: Path | None) -> None:
    """The same from nothing. Until it is done, the old numbers stay."""
    _run(data, compare=True, afresh=True, scheduled=False)


@etl.command(epilog=EXAMPLES)
@data_option
def status(data: Path | None) -> None:
    """How the last run went. Ends with code 1 when something is wrong."""
    with plainly():
        found = _folder_status(_settings(data))
    if found is None:
        raise Trouble("The warehouse was never built: `commonry etl run` does it.")
    click.echo("\n".join(_told(found)))
    if found.trouble:
        raise click.exceptions.Exit(1)


def _settings(data: Path | None) -> "Settings":
    import msgspec

    from commonry.cli.storage import data_folder
    from commonry.contracts.settings import Settings
    from commonry.kit.settings import load

    settings = load(Settings, data=data and str(data))
    return msgspec.structs.replace(settings, data=str(data_folder(settings)))


def _folder_status(settings: "Settings") -> "Status | None":
    from commonry.warehouse.folder import Folder

    return Folder(Path(settings.data)).status()


def _run(data: Path | None, *, compare: bool, afresh: bool, scheduled: bool) -> None:
    from commonry.cli.storage import published
    from commonry.warehouse.folder import Busy

    with plainly(), Line() as tell:
        settings = _settings(data)
        try:
            with published(settings) as urls:
                done = _done(settings, urls, tell, compare=compare, afresh=afresh)
        except Busy:
            if scheduled:
                return
            raise Trouble("Another run is at work: `commonry etl status` says how it went, once it is done.") from None
    click.echo(f"The warehouse is as of {done.as_of:%Y-%m-%d %H:%M:%S} UTC: {_seconds(done)}.")
    for words in done.differences if done.reconciled_at and done.reconciled_at > done.began_at else ():
        click.echo(f"{WRONG}  {words}; read again", err=True)


def _done(
    settings: "Settings", urls: dict[str, str], tell: Callable[[str], None], *, compare: bool, afresh: bool
) -> "Status":
    try:
        from commonry.warehouse import runs
    except ModuleNotFoundError as e:
        raise Trouble(f"{e.name} is missing, which the warehouse needs: pip install 'commonry[warehouse]'.") from e
    try:
        return runs.run(settings, urls, tell, compare=compare, afresh=afresh)
    except runs.RunFailed as e:
        raise Trouble(str(e)) from e


def _seconds(status: "Status") -> str:
    rows = sum(status.loaded.values())
    steps = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in status.seconds.items())
    return f"{rows:,} rows read; {steps}"


def _told(status: "Status") -> list[str]:
    as_of = f"{status.as_of:%Y-%m-%d %H:%M:%S} UTC" if status.as_of else "nothing yet"
    how = f"{WRONG}: {status.trouble}" if status.trouble else _seconds(status)
    compared = f"{status.reconciled_at:%Y-%m-%d %H:%M:%S} UTC" if status.reconciled_at else "never"
    return [
        f"numbers as of    {as_of}",
        f"last run         {status.began_at:%Y-%m-%d %H:%M:%S} UTC, {how}",
        *(f"  check fails    {words}" for words in status.failed_checks),
        f"last comparison  {compared}" + ("" if status.differences else ", all equal" if status.reconciled_at else ""),
        *(f"  was different  {words}" for words in status.differences),
    ]
