"""Where one server lives: its folder, the account it runs as, its sockets, and the lock that makes the folder ours.

Nothing outside the folder is ever chmodded or chowned. Run by root, PostgreSQL becomes another account; the files that
Commonry itself writes stay root's, out of the server's reach.
"""

import errno
import fcntl
import hashlib
import os
import pwd
import stat
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

SOCKET = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH = 103 if sys.platform == "darwin" else 107
DESCRIPTOR = "/proc/self/fd/9"
"""Where `CHILD` opens the folder the server works in."""
CHILD = Path(__file__).with_name("child.py")


class PostgresTrouble(Exception):
    """One clear sentence: what is wrong and what to do."""


class Account(NamedTuple):
    """Who the server runs as."""

    uid: int
    gid: int
    name: str


@dataclass(frozen=True)
class Place:
    """One server's whereabouts. `mark` stands in the command line of all its processes."""

    folder: Path
    account: Account
    sockets: Path
    mark: str

    @property
    def cluster(self) -> Path:
        return self.folder / "cluster"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def named_by_server(self, working: Path) -> str:
        """What the server calls the folder it works in: by a descriptor where a folder above is closed to it."""
        return str(working) if reachable(working, self.account) else DESCRIPTOR

    def command(self, working: Path, signal: int, command: list[str]) -> list[str]:
        """`command` run as the server's account in `working`; `signal` ends it when the thread that starts it ends."""
        to = [os.getpid(), self.account.uid, self.account.gid, int(signal), working]
        return [sys.executable, "-I", "-S", str(CHILD), *map(str, to), *command]


def settle(folder: Path) -> Place:
    """The place in `folder`, made if new and found to be ours."""
    folder = folder.expanduser().resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    account = _account(folder / "cluster")
    if account.uid != os.geteuid():
        folder.chmod(folder.stat().st_mode & 0o7777 | 0o011)  # to pass through; what is private has a folder of its own
    if not (reachable(folder / "cluster", account) or Path(DESCRIPTOR).parent.exists()):
        raise PostgresTrouble(f"PostgreSQL runs as {account.name}, who cannot enter {folder}: use another folder.")
    mark = "commonry-" + hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    return Place(folder, account, _sockets(folder, mark, account), mark)


def _account(cluster: Path) -> Account:
    """Ourselves; or as root, which PostgreSQL refuses, whoever owns the cluster, else `postgres`, else `nobody`."""
    status = cluster.stat() if cluster.exists() else None
    us = Account(os.geteuid(), os.getegid(), _name(os.geteuid()))
    if us.uid != 0:
        if status and status.st_uid != us.uid:
            raise PostgresTrouble(f"{cluster} belongs to {_name(status.st_uid)}: run Commonry as before.")
        return us
    if status and status.st_uid == 0:
        raise PostgresTrouble(f"{cluster} belongs to root, as whom PostgreSQL does not run: chown it.")
    return Account(status.st_uid, status.st_gid, _name(status.st_uid)) if status else _unprivileged()


def _unprivileged() -> Account:
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid, name)
    raise PostgresTrouble("PostgreSQL does not run as root and there is no account `postgres` or `nobody`: add one.")


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # usual in containers
        return f"uid {uid}"


def reachable(path: Path, account: Account) -> bool:
    """Whether the account may go to `path`, by the mode bits above it. What only access lists allow counts as closed,
    which costs nothing: the ways round a closed folder work in an open one too."""
    return all(may(above, account, os.X_OK) for above in path.parents)


def may(path: Path, account: Account, bits: int) -> bool:
    """Whether the mode of `path` gives the account all of `bits` (R_OK, X_OK)."""
    if account.uid == os.geteuid():
        return os.access(path, bits)
    try:
        status = path.stat()
    except OSError:
        return False
    shift = 6 if status.st_uid == account.uid else 3 if status.st_gid == account.gid else 0
    return status.st_mode >> shift & bits == bits


def _sockets(folder: Path, mark: str, account: Account) -> Path:
    """In our folder; in the temporary one where that is too long for a socket, closed to the account, or a list to
    libpq, which splits hosts at commas."""
    temporary = (tempfile.gettempdir(), "/tmp")  # noqa: S108 why: `make_private` takes no folder of a stranger
    for candidate in (folder / "run", *(Path(parent, mark).resolve() for parent in temporary)):
        fits = len(os.fsencode(candidate / SOCKET)) <= LONGEST_SOCKET_PATH and "," not in str(candidate)
        if fits and reachable(candidate, account):
            return candidate
    raise PostgresTrouble(f"{account.name} cannot have a socket in {temporary[0]}: set TMPDIR to a short, open path.")


def make_private(path: Path, account: Account) -> None:
    """A folder that only the account enters, new or as we left it; anything else of that name is refused."""
    with suppress(FileExistsError):
        path.mkdir(0o700)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o077 or status.st_uid not in (os.geteuid(), account.uid):
        raise PostgresTrouble(f"{path} is not a private folder of {account.name}: remove it.")
    if status.st_uid != account.uid:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def lock(folder: Path) -> int:
    """Make `folder` ours until the descriptor returned is closed, at the latest by our end, whatever ends us."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    except BlockingIOError:
        pid = os.pread(descriptor, 20, 0).decode().strip() or "unknown"
        os.close(descriptor)
        raise PostgresTrouble(f"{folder} is in use by another Commonry (pid {pid}).") from None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def in_words(error: OSError, folder: Path) -> str:
    """What an OSError means to whoever runs Commonry."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full(folder)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        at, who = error.filename or folder, _name(os.geteuid())
        return f"{who} may not use {at}: change its permissions or use another folder."
    return f"PostgreSQL cannot use {error.filename or folder}: {error.strerror}."


def disk_full(folder: Path) -> str:
    return f"The disk that holds {folder} is full: free some space and start again."
