"""Where the warehouse lives, and who may use what: one run at a time, any number of readers, nothing half made.

warehouse/
  source.duckdb      what was read of the services' views; only a run opens it
  builds/{stamp}/    a finished star.duckdb; never changed; gone when another is current and the last reader has left
  current            the name of the build that readers open
  status.json        how the last run went
  key                the secret of the pseudonyms
  lock               held by the run at work
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

STAR = "star.duckdb"


class Busy(Exception):
    """Another run is at work."""


class Status(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How the last run went, and the last one that went well."""

    began_at: datetime
    ended_at: datetime | None = None
    trouble: str = ""
    """What went wrong, in words; empty when all went well."""
    failed_checks: list[str] = []
    build: str = ""
    as_of: datetime | None = None
    """All that was committed before this is in the current build."""
    loaded: dict[str, int] = {}
    """Rows that were read of each view."""
    seconds: dict[str, float] = {}
    reconciled_at: datetime | None = None
    differences: list[str] = []
    """What the last comparison with the services' own counts and sums found; it was then read again."""


class Build(NamedTuple):
    """One finished build."""

    folder: Path

    @property
    def name(self) -> str:
        """Its folder's name, which begins with the moment it was made."""
        return self.folder.name

    @property
    def star(self) -> Path:
        """The database."""
        return self.folder / STAR

    @contextmanager
    def kept(self) -> Generator[Path]:
        """The database, which stays as long as the block lasts. Raises `FileNotFoundError` if it has just gone."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if not self.star.exists():
                raise FileNotFoundError(self.star)
            yield self.star
        finally:
            os.close(descriptor)


class Folder:
    """The warehouse's part of the data folder."""

    def __init__(self, data: Path) -> None:
        self.root = data / "warehouse"
        self.source, self.builds, self.work = (self.root / n for n in ("source.duckdb", "builds", "work"))

    @contextmanager
    def locked(self) -> Generator[None]:
        """Be the one run. Raises `Busy`. The lock goes with the process, whatever ends it."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._clear()
            yield
            self._clear()
        except BlockingIOError:
            raise Busy from None
        finally:
            os.close(descriptor)

    def _clear(self) -> None:
        """Remove what only a run at work has need of; one that was killed leaves it behind."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(mode=0o700)
        self.builds.mkdir(mode=0o700, exist_ok=True)

    def key(self) -> bytes:
        """The secret that pseudonyms are made with: made once. Without it nobody can tell whose they are."""
        file = self.root / "key"
        if not file.exists():
            _write(file, secrets.token_bytes(32))
        return file.read_bytes()

    def current(self) -> Build | None:
        """The build that readers open, if there is one yet."""
        with suppress(FileNotFoundError):
            build = Build(self.builds / (self.root / "current").read_text().strip())
            return build if build.star.exists() else None
        return None

    def switch(self, build: Build) -> None:
        """From now on readers open this build. The others go, but for those that somebody still reads."""
        _sync(build.star)
        _write(self.root / "current", build.name.encode())
        self.tidy()

    def tidy(self) -> None:
        """Remove builds that are not current and that nobody reads."""
        current = self.current()
        for old in self.builds.iterdir():
            if current is None or old != current.folder:
                _remove_unless_read(old)

    def status(self) -> Status | None:
        """How the last run went, if there was one."""
        with suppress(FileNotFoundError, msgspec.DecodeError):
            return msgspec.json.decode((self.root / "status.json").read_bytes(), type=Status)
        return None

    def tell(self, status: Status) -> None:
        """Write down how a run went."""
        _write(self.root / "status.json", msgspec.json.format(msgspec.json.encode(status)))


def _remove_unless_read(build: Path) -> None:
    descriptor = os.open(build, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(build)
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)


def _write(file: Path, content: bytes) -> None:
    """Whole or not at all, and only for us to read."""
    new = file.with_name(file.name + ".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as written:
        written.write(content)
        written.flush()
        os.fsync(written.fileno())
    new.replace(file)
    _sync(file.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
