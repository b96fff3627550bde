"""What `backup` and `restore` do: what is in a backup, how it is taken, put back, and found to be the same.

A backup has every database as of one moment, then the files of the data folder that must survive. It is put back beside
where it belongs, compared, and only then moved there, the database last.
"""

import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from commonry.cli.storage import DATABASES, TOKEN_FILE, data_folder
from commonry.cli.trouble import Trouble
from commonry.contracts.settings import Settings
from commonry.kit import migrate
from commonry.kit.archive import Broken, Reading, Writing, opened, sync, written
from commonry.kit.postgres import EmbeddedPostgres
from commonry.kit.postgres.dumps import Content, contents, contents_now, dump, programs, restore, revision, snapshots
from commonry.kit.postgres.place import lock
from commonry.run import migrations

FORMAT = 1
"""Of the backup. A newer one is refused; every older one is understood."""
SURVIVING = (TOKEN_FILE, "demo", "files")
"""Names in the data folder, beside the database, of what is not made anew."""
HALF = "restore.new-"
T = TypeVar("T")
Tell = Callable[[str], None]


class Kept(msgspec.Struct):
    """One service's database: its revision, and what each of its tables held."""

    revision: str | None
    tables: dict[str, Content]


class Stamp(msgspec.Struct):
    """What backups of every format say."""

    format: int
    commonry: str


class Manifest(Stamp):
    """What a backup says of itself."""

    made_at: datetime
    postgres: int
    databases: dict[str, Kept]

    def __str__(self) -> str:
        tables = [table for kept in self.databases.values() for table in kept.tables.values()]
        return f"{len(self.databases)} databases, {len(tables)} tables, {sum(t.rows for t in tables):,} rows"


def take(settings: Settings, target: Path, tell: Tell) -> Manifest:
    """Back up into a new file, whether the platform runs or not."""
    folder = data_folder(settings)
    with _server(settings, folder) as server, written(target) as archive:
        using = programs(folder)
        manifest = Manifest(FORMAT, version("commonry"), datetime.now(UTC), using.version, {})
        with snapshots([server.url(database) for database in DATABASES]) as every:
            for database, snapshot in zip(DATABASES, every, strict=True):
                with archive.part(_dump_of(database)) as into:
                    dump(snapshot, using, _counted(into, database, tell))
                manifest.databases[database] = Kept(revision(snapshot), contents(snapshot.connection))
        _take_files(folder, archive, tell)
        archive.describe(manifest)
    return manifest


@contextmanager
def _server(settings: Settings, folder: Path) -> Generator[EmbeddedPostgres]:
    """The embedded server, as it runs already or started for the moment."""
    if settings.database_url:
        raise Trouble(
            "COMMONRY_DATABASE_URL names a PostgreSQL of your own: back it up with that server's tools, or name"
            " a folder with --data."
        )
    if not (folder / "cluster").exists():
        raise Trouble(f"There is no Commonry in {folder}: name its folder with --data.")
    server = EmbeddedPostgres(folder)
    if server.runs_elsewhere():
        yield server
        return
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _dump_of(database: str) -> str:
    return f"databases/{database}.dump"


def _counted(take: Callable[[bytes], None], what: str, tell: Tell) -> Callable[[bytes], None]:
    done = 0

    def counting(some: bytes) -> None:
        nonlocal done
        take(some)
        done += len(some)
        tell(f"{what}: {done // 2**20} MB")

    return counting


def _take_files(folder: Path, archive: Writing, tell: Tell) -> None:
    """After the databases: a file they know of is there already, unless it has been deleted since."""
    for number, path in enumerate(_surviving(folder)):
        try:
            content = open(path, "rb")  # noqa: SIM115 why: only its opening may fail so
        except FileNotFoundError:
            continue
        with content:
            tell(f"files: {number}")
            archive.add(f"data/{path.relative_to(folder).as_posix()}", content)


def _surviving(folder: Path) -> Iterator[Path]:
    for name in SURVIVING:
        path = folder / name
        yield from (f for f in sorted(path.rglob("*")) if f.is_file()) if path.is_dir() else [path]


@contextmanager
def opened_backup(source: Path) -> Generator[tuple[Reading, Manifest]]:
    """A backup that this release can read. Raises `Trouble`, also for what is found while it is being read."""
    try:
        with opened(source) as archive:
            yield archive, _readable(archive, source)
    except Broken as e:
        if _is_export(source):
            raise Trouble(f"{source} is an export, not a backup: `commonry import` takes the items.csv in it.") from e
        raise Trouble(f"{source} {e}.") from e


def _is_export(source: Path) -> bool:
    return zipfile.is_zipfile(source) and "datapackage.json" in zipfile.ZipFile(source).namelist()


def _readable(archive: Reading, source: Path) -> Manifest:
    said = _as(Stamp, archive.description)
    newer = f"{source} was made by a newer Commonry ({said.commonry}): restore it with that one"
    if said.format > FORMAT:
        raise Trouble(f"{newer}.")
    manifest = _as(Manifest, archive.description)
    for database, kept in manifest.databases.items():
        if database not in DATABASES:
            raise Trouble(f"{newer}; this one knows no service {database}.")
        if (kept.revision or "") > (newest := migrate.head(migrations(database))):
            raise Trouble(f"{newer}; its {database} is at revision {kept.revision}, this one knows {newest}.")
        if _dump_of(database) not in archive.parts:
            raise Broken(f"has no dump of {database}")
    return manifest


def _as(kind: type[T], description: Any) -> T:
    try:
        return msgspec.convert(description, kind)
    except msgspec.ValidationError as e:
        raise Broken("is not a backup of Commonry") from e


def check(source: Path, tell: Tell) -> Manifest:
    """Read all of a backup and compare it with what it says of itself."""
    with opened_backup(source) as (archive, manifest):
        _check(archive, tell)
        return manifest


def _check(archive: Reading, tell: Tell) -> None:
    archive.check(lambda done, whole: tell(f"checking: {done * 100 // max(whole, 1)} %"))


def put_back(source: Path, settings: Settings, tell: Tell) -> Manifest:
    """Restore a backup into the data folder, which must not have a database, and compare what came of it."""
    if settings.database_url:
        raise Trouble(
            "COMMONRY_DATABASE_URL names a PostgreSQL of your own, and a backup is restored into a folder: name it with"
            " --data."
        )
    folder = data_folder(settings)
    with opened_backup(source) as (archive, manifest):
        _refuse_what_is_there(folder)
        _check(archive, tell)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _half(folder) as new:
            _put_databases(archive, manifest, new, tell)
            _put_files(archive, new, tell)
            _move(new, folder)
    return manifest


def _refuse_what_is_there(folder: Path) -> None:
    for name in ("cluster", *SURVIVING):
        if (folder / name).exists():
            words = "has a database already" if name == "cluster" else f"has {name} of another Commonry"
            raise Trouble(f"{folder} {words}: move the folder away first, or name another with --data.")


@contextmanager
def _half(folder: Path) -> Generator[Path]:
    """A folder to restore into, inside the one that it is for: that may be a disk of its own. `up` does not look at it,
    nor does it start meanwhile."""
    held = lock(folder)
    try:
        _refuse_what_is_there(folder)
        for left in folder.glob(f"{HALF}*"):
            shutil.rmtree(left)
        new = Path(tempfile.mkdtemp(prefix=HALF, dir=folder))
        try:
            yield new
        finally:
            shutil.rmtree(new, ignore_errors=True)
    finally:
        os.close(held)


def _put_databases(archive: Reading, manifest: Manifest, new: Path, tell: Tell) -> None:
    using = programs(new)
    if using.version < manifest.postgres:
        raise Trouble(
            f"The backup is of PostgreSQL {manifest.postgres} and only {using.version} was found: install that."
        )
    server = EmbeddedPostgres(new)
    server.start()
    try:
        server.create_databases(list(manifest.databases))
        for database in manifest.databases:
            tell(f"restoring {database}")
            restore(server.url(database), using, archive.chunks(_dump_of(database)))
        for database, kept in manifest.databases.items():
            tell(f"comparing {database}")
            compare(database, kept.tables, contents_now(server.url(database)))
    finally:
        server.stop()


def compare(database: str, wanted: dict[str, Content], found: dict[str, Content]) -> None:
    """Raise `Trouble` unless every table holds what it should."""
    differing = sorted(table for table in wanted.keys() | found.keys() if wanted.get(table) != found.get(table))
    if differing:
        raise Trouble(
            f"What was restored of {database} differs from the backup in {', '.join(differing)}: nothing was kept."
        )


def _put_files(archive: Reading, new: Path, tell: Tell) -> None:
    names = [name for name in archive if name.startswith("data/")]
    for number, name in enumerate(names):
        tell(f"files: {number} of {len(names)}")
        path = new / name.removeprefix("data/")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.writelines(archive.chunks(name))


def _move(new: Path, folder: Path) -> None:
    """Into place, the database last: what has none is not a Commonry, and whoever restores again is told so."""
    os.sync()  # all of it is on the disk before any of it counts
    for name in (*SURVIVING, "cluster"):
        if (new / name).exists():
            (new / name).rename(folder / name)
            sync(folder)
