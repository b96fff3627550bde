"""`commonry export`: everything in open formats, straight from the databases; or one's own items, through the API."""

import errno
import sys
from pathlib import Path

import click

from commonry.cli.backing_up import Line, data_option
from commonry.cli.loading import Person, email_option, password_option, token_option, url_option
from commonry.cli.trouble import Trouble, plainly

EXPORT_EXAMPLES = """\b
Examples:
  commonry export                             everything, into a new zip file
  commonry export everything --data ~/things  everything, into a new folder
  commonry export things.csv --email you@example.org

Everything is members, items, calendar, bookings, reviews and money as JSON Lines and CSV, with a description. It needs
the data folder or COMMONRY_DATABASE_URL, and works whether the platform runs or not. With --email or --token it is your
own items instead, as `commonry import` takes them, from the platform at --url.
"""


@click.command(epilog=EXPORT_EXAMPLES)
@click.argument("target", type=click.Path(path_type=Path), required=False)
@data_option
@email_option
@password_option
@token_option
@url_option
def export(
    target: Path | None, data: Path | None, email: str | None, password: str | None, token: str | None, url: str
) -> None:
    """Export everything in open formats, or one's own items.

    TARGET is a new zip file if it ends in .zip, else a new folder. With --email or --token it is a CSV file, or
    standard output if left out.
    """
    if email or token:
        return _items(target, Person(url, email, password, token))
    return _everything(_new(target), data)


def _new(target: Path | None) -> Path:
    from datetime import UTC, datetime

    if target is None:
        target = Path(f"commonry-export-{datetime.now(UTC).astimezone():%Y%m%d-%H%M%S}.zip")
    if target.suffix.lower() == ".csv":
        raise Trouble("For a CSV file of items say whose: --email (and --password), or --token.")
    if target.exists() or target.is_symlink():
        raise Trouble(f"{target} is there already: choose another name.")
    if not target.parent.is_dir():
        raise Trouble(f"There is no folder {target.parent}: make it first, or choose another.")
    return target


def _everything(target: Path, data: Path | None) -> None:
    from commonry.cli import exports
    from commonry.contracts.settings import Settings
    from commonry.kit.settings import load

    with plainly(), Line() as tell:
        try:
            done = exports.take(load(Settings, data=data and str(data)), target, tell)
        except PermissionError as e:
            raise Trouble(f"{target} cannot be written ({e.strerror}): choose another place.") from e
        except OSError as e:
            if e.errno == errno.EROFS:
                raise Trouble(f"{target} cannot be written ({e.strerror}): choose another place.") from e
            raise
    click.echo(f"Wrote {target}: {done.tables} tables, {done.rows:,} rows.")
    if not done.is_one_moment:
        click.echo("Each service's tables are of one moment, but not all services' of the same.", err=True)


def _items(file: Path | None, person: Person) -> None:
    import asyncio

    with plainly():
        got = asyncio.run(person.ask("GET", "/api/v1/items/export.csv"))
        if file is None:
            sys.stdout.buffer.write(got.body)
            return
        file.write_bytes(got.body)
    lines = max(got.body.count(b"\n") - 1, 0)
    click.echo(f"Wrote {lines:,} items to {file}.")
