"""`commonry backup` and `commonry restore`: everything that lasts into one file, and back."""

import errno
import signal
import sys
from pathlib import Path
from types import TracebackType

import click

from commonry.cli.trouble import Trouble, plainly

BACKUP_EXAMPLES = """\b
Examples:
  commonry backup
  commonry backup /mnt/usb
  commonry backup before-the-upgrade.zip --data ~/things

The file is a zip: one database dump a service (pg_restore reads them), the files, and a manifest. It holds password
hashes and the services' secret: only you can read it, and so it should stay.
"""
RESTORE_EXAMPLES = """\b
Examples:
  commonry restore commonry-20260314-031500.zip --data ~/things
  commonry restore commonry-20260314-031500.zip --check

Everything restored is compared with the backup before it counts. Nothing is ever overwritten.
"""
data_option = click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), help="Folder of the database and the secrets."
)


@click.command(epilog=BACKUP_EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@data_option
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
def backup(file: Path | None, data: Path | None, force: bool) -> None:
    """Write everything into one file, whether the platform runs or not.

    FILE is a name that ends in .zip, or a folder; without it, a new file in this folder.
    """
    from commonry.cli import backups
    from commonry.contracts.settings import Settings
    from commonry.kit.settings import load

    target = _target(file, force)
    with plainly(), Line() as tell:
        try:
            manifest = backups.take(load(Settings, data=data and str(data), database_url=_whose(data)), target, tell)
        except OSError as e:
            if e.filename == str(target) and e.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise Trouble(f"{target} cannot be written ({e.strerror}): choose another place.") from e
            raise
    click.echo(f"Wrote {target}: {manifest}, {target.stat().st_size:,} bytes.")


def _whose(data: Path | None) -> str | None:
    """A folder that somebody names has its own database, whatever the environment says of another one."""
    return "" if data else None


def _target(file: Path | None, force: bool) -> Path:
    from datetime import UTC, datetime

    if file is None or file.is_dir():
        name = f"commonry-{datetime.now(UTC).astimezone():%Y%m%d-%H%M%S}.zip"
        return Path(file or Path.cwd(), name)
    if file.suffix.lower() != ".zip":
        raise Trouble(f"There is no folder {file}: make it first, or choose a name that ends in .zip.")
    if file.exists() and not force:
        raise Trouble(f"{file} is there already: choose another name, or replace it with --force.")
    return file


@click.command(epilog=RESTORE_EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path))
@data_option
@click.option("--check", is_flag=True, help="Only read FILE and say whether it is whole.")
def restore(file: Path, data: Path | None, check: bool) -> None:
    """Restore a backup into a folder without a database."""
    from commonry.cli import backups
    from commonry.cli.storage import data_folder
    from commonry.contracts.settings import Settings
    from commonry.kit.settings import load

    with plainly(), Line() as tell:
        if not file.is_file():
            raise Trouble(f"There is no file {file}.")
        settings = load(Settings, data=data and str(data), database_url=_whose(data))
        manifest = backups.check(file, tell) if check else backups.put_back(file, settings, tell)
    if check:
        made = f"{manifest.made_at:%Y-%m-%d %H:%M} UTC by Commonry {manifest.commonry}"
        click.echo(f"{file} is whole: made {made}; {manifest}.")
        return
    folder = data_folder(settings)
    click.echo(f"Restored {manifest}; every table is as in the backup. Start it: commonry up --data {folder}")


class Line:
    """One line that changes, where a person looks; and what tells us to stop lets us tidy up first."""

    def __enter__(self) -> "Line":
        self._before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        self._said = ""
        return self

    def __call__(self, words: str) -> None:
        if words != self._said and sys.stdout.isatty():
            click.echo(f"\r\033[K  {words} ", nl=False)
        self._said = words

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        signal.signal(signal.SIGTERM, self._before)
        if self._said and sys.stdout.isatty():
            click.echo("\r\033[K", nl=False)
