"""What lasts: the data folder, the embedded PostgreSQL in it, its databases and migrations, the services' secret.

`COMMONRY_DATABASE_URL` replaces the embedded server by one that somebody else runs.
"""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from commonry.cli.trouble import Trouble
from commonry.contracts.settings import Settings
from commonry.kit.postgres import READER, EmbeddedPostgres

DATABASES = ("users", "inventory", "bookings", "payments")
LEAST_SPACE = 200 * 2**20
LEAST_TO_GO_ON = 30 * 2**20
"""Bytes that must be free for a new folder, and for one that has all it needs but room for more."""
TOKEN_FILE = "service-token"  # noqa: S105 why: a file's name


class Kept(NamedTuple):
    """Settings that know where everything is, and whether there was nothing before."""

    settings: Settings
    is_new: bool


def data_folder(settings: Settings) -> Path:
    """The folder said, else the customary one: of the machine for root, of the person for others."""
    if settings.data:
        return Path(settings.data).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/commonry")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share", "commonry")


@contextmanager
def storage(settings: Settings) -> Generator[Kept]:
    """Everything that lasts, ready to be used; the embedded server, if it is that, stops at the end."""
    folder = data_folder(settings)
    if settings.database_url:
        check_url(settings)
        yield _prepared(settings, folder)
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_space(folder)
    server = EmbeddedPostgres(folder)
    server.start()
    try:
        server.create_databases(DATABASES)
        yield _prepared(msgspec.structs.replace(settings, database_url=url_of(server)), folder)
    finally:
        server.stop()


@contextmanager
def databases(settings: Settings) -> Generator[Settings]:
    """The settings with a URL of databases that answer: of somebody else's server, ours that runs, or ours started for
    the moment."""
    folder = data_folder(settings)
    server = EmbeddedPostgres(folder)
    if settings.database_url:
        yield settings
    elif server.runs_elsewhere():
        yield msgspec.structs.replace(settings, database_url=url_of(server))
    elif (folder / "cluster").exists():
        server.start()
        try:
            yield msgspec.structs.replace(settings, database_url=url_of(server))
        finally:
            server.stop()
    else:
        raise Trouble(
            f"There is no Commonry in {folder}: name its folder with --data, or start one with `commonry up`."
        )


@contextmanager
def published(settings: Settings) -> Generator[dict[str, str]]:
    """The URL at which the warehouse reads each service's database; embedded, as the role that may read what is
    published and nothing else."""
    if settings.warehouse_source("any"):
        yield {service: settings.warehouse_source(service) for service in DATABASES}
        return
    with databases(settings) as known:
        template = known.database_url.replace("{service}@", f"{{service}}{READER}@")
        yield {service: template.replace("{service}", service) for service in DATABASES}


def url_of(server: EmbeddedPostgres) -> str:
    """The server's URL with `{service}` where the database's name goes."""
    stand_in = secrets.token_hex(16)
    return server.url(stand_in).replace(stand_in, "{service}")


def _prepared(settings: Settings, folder: Path) -> Kept:
    token = settings.service_token or service_token(folder)
    settings = msgspec.structs.replace(settings, service_token=token, data=str(folder))
    return Kept(settings, bring_up_to_date(settings))


def bring_up_to_date(settings: Settings) -> bool:
    """Migrate what is behind, in a process of its own so that this one stays small; whether all were empty."""
    from commonry.kit import migrate
    from commonry.run import behind

    late = behind(settings)
    is_new = "users" in late and migrate.current(settings.database("users")) is None
    if late:
        command = [sys.executable, "-m", "commonry", "migrate", *late]
        environment = os.environ | {"COMMONRY_DATABASE_URL": settings.database_url}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Trouble(_last_line(done.stderr) or "The databases could not be migrated.")
    return is_new


def service_token(folder: Path) -> str:
    """The secret that services show each other: made once, readable by us only."""
    file = folder / TOKEN_FILE
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        new = file.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as written:
            written.write(secrets.token_urlsafe(32))
        new.rename(file)
    return file.read_text().strip()


def check_url(settings: Settings) -> None:
    """Raises `Trouble` when the URL is the same for all services."""
    if "{service}" not in settings.database_url:
        raise Trouble("COMMONRY_DATABASE_URL needs {service} where the database's name goes: each service has its own.")


def _check_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    needed = LEAST_TO_GO_ON if (folder / TOKEN_FILE).exists() else LEAST_SPACE
    if free < needed:
        words = f"{free // 2**20} MB are left and {needed // 2**20} MB needed"
        raise Trouble(f"The disk that holds {folder} is nearly full: {words}.")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]
