"""One file (or folder) that holds many, whole or not there at all, and shows when a byte of it has changed.

A zip file, so that it can be read without us, too. Its last part describes the others: anything the writer wants to
say, and each one's size and SHA-256. It is written under another name, synced, and only then gets its own.
"""

import hashlib
import os
import secrets
import shutil
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

import msgspec

DESCRIPTION = "manifest.json"
CHUNK = 2**18


class Broken(Exception):
    """Not one of our archives, or no longer as it was written. The words continue a sentence that names the file."""


class Part(msgspec.Struct, frozen=True):
    """What is inside under one name."""

    size: int
    sha256: str


class Writing:
    """Takes parts while the archive is being made."""

    def __init__(self, opened: Callable[[str, bool], AbstractContextManager[IO[bytes]]]) -> None:
        self._opened = opened
        self.parts: dict[str, Part] = {}

    @contextmanager
    def part(self, name: str, *, packed: bool = True) -> Generator[Callable[[bytes], None]]:
        """What takes the bytes of a new part, which need not fit in memory."""
        digest, size = hashlib.sha256(), 0
        with self._opened(name, packed) as inside:

            def take(some: bytes) -> None:
                nonlocal size
                inside.write(some)
                digest.update(some)
                size += len(some)

            yield take
        self.parts[name] = Part(size, digest.hexdigest())

    def add(self, name: str, content: IO[bytes]) -> None:
        """A part from a file, as it is: what is large is packed already."""
        with self.part(name, packed=False) as take:
            while some := content.read(CHUNK):
                take(some)

    def describe(self, description: Any) -> None:
        """The last part: the writer's words and the list of the others."""
        said = {"description": description, "parts": self.parts}
        with self.part(DESCRIPTION) as take:
            take(msgspec.json.format(msgspec.json.encode(said), indent=1))


@contextmanager
def written(target: Path) -> Generator[Writing]:
    """A new archive at `target`, readable by us alone. Whatever goes wrong leaves `target` as it was."""
    new = _passing_name(target)
    try:
        with open(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
            with zipfile.ZipFile(file, "w", allowZip64=True) as zipped:
                yield Writing(partial(_zipped, zipped))
            file.flush()
            os.fsync(file.fileno())
        new.replace(target)
        sync(target.parent)
    except OSError as e:
        _name(e, target)
        raise
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)


def _passing_name(target: Path) -> Path:
    """What it is called until it is whole. Known before there is anything, so that whoever ends us at any moment leaves
    nothing behind."""
    return target.with_name(f".{target.name}.{secrets.token_hex(8)}")


def _zipped(file: zipfile.ZipFile, name: str, packed: bool) -> AbstractContextManager[IO[bytes]]:
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    info.external_attr = 0o600 << 16
    return file.open(info, "w", force_zip64=True)


@contextmanager
def laid_out(target: Path) -> Generator[Writing]:
    """The same as a new folder of files, readable by us alone. Whatever goes wrong leaves nothing at `target`."""
    new = _passing_name(target)
    try:
        new.mkdir(mode=0o700)
        yield Writing(partial(_laid, new))
        new.rename(target)
        sync(target.parent)
    except OSError as e:
        _name(e, target)
        raise
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _name(error: OSError, target: Path) -> None:
    """What nobody knows under its passing name is spoken of by its own."""
    if error.filename is None or f".{target.name}." in str(error.filename):
        error.filename = str(target)


@contextmanager
def _laid(folder: Path, name: str, packed: bool) -> Generator[IO[bytes]]:  # noqa: ARG001 why: files are as they are
    path = folder / name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """What was renamed in `folder` stays so, even after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Reading:
    """An archive to read from. Every byte that is given out has been, or is then, compared with the description."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        said = self._said()
        self.description: Any = said.get("description")
        self.parts = msgspec.convert(said.get("parts"), dict[str, Part])
        if {i.filename for i in file.infolist()} != {*self.parts, DESCRIPTION} or not all(map(_stays_below, self)):
            raise Broken("holds other files than it says")

    def _said(self) -> dict[str, Any]:
        return msgspec.json.decode(self._file.read(DESCRIPTION), type=dict[str, Any])

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts)

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a part. Raises `Broken`, at the latest after the last, when they are not those written."""
        digest, known = hashlib.sha256(), self.parts[name]
        with _told(), self._file.open(name) as inside:
            while some := inside.read(CHUNK):
                digest.update(some)
                yield some
        if digest.hexdigest() != known.sha256:
            raise Broken(f"is damaged at {name}")

    def check(self, tell: Callable[[int, int], None]) -> None:
        """Read all of it, telling how many bytes are done of how many. Raises `Broken`."""
        done, whole = 0, sum(m.size for m in self.parts.values())
        for name in self:
            for some in self.chunks(name):
                done += len(some)
                tell(done, whole)


@contextmanager
def opened(path: Path) -> Generator[Reading]:
    """The archive at `path`. Raises `Broken` when it is none, or was cut off."""
    with open(path, "rb") as file:
        with _told():
            reading = Reading(zipfile.ZipFile(file))
        yield reading


@contextmanager
def _told() -> Generator[None]:
    """What the readers of zip and JSON raise at bytes that are not theirs, as `Broken`."""
    try:
        yield
    except (KeyError, zipfile.BadZipFile, msgspec.MsgspecError) as e:
        raise Broken("is not a whole backup: it is another kind of file, or was cut off or damaged") from e
    except (EOFError, NotImplementedError, RuntimeError, ValueError, zlib.error) as e:
        raise Broken("is damaged") from e


def _stays_below(name: str) -> bool:
    return not (name.startswith("/") or ".." in name.split("/") or "\\" in name or "\0" in name)
