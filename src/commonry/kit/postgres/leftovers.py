"""Ends server processes whose supervisor is gone, and removes the files they left.

To be called with the folder locked: then whatever server of this folder is alive has no parent any more. Where the
kernel cannot tell a child of its parent's death (macOS), this is what stops it.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from commonry.kit.postgres.place import SOCKET, Place, PostgresTrouble, make_private

PATIENCE = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))
"""How the postmaster is asked to stop (fast, immediate, not asked) and for how many seconds it may."""
SERVER = re.compile(r"^postgres: |(^|/)postgres -")
PROC = Path("/proc")


def clear(place: Place) -> None:
    """Stop what still runs on this cluster, then remove its pid file and sockets: now nobody alive can own them."""
    end_leftovers(place)
    (place.cluster / "postmaster.pid").unlink(missing_ok=True)
    make_private(place.sockets, place.account)
    for left in (SOCKET, f"{SOCKET}.lock"):
        (place.sockets / left).unlink(missing_ok=True)


def end_leftovers(place: Place) -> None:
    """Stop every server process of this folder, gently first. Raises `PostgresTrouble` if one cannot be stopped."""
    for number, patience in PATIENCE:
        family = servers(place)
        heads = [pid for pid, command in family.items() if not command.startswith("postgres: ")]
        for pid in heads if heads and number != signal.SIGKILL else family:
            with suppress(ProcessLookupError):
                # Without a postmaster SIGINT would mean "cancel your query" to some and "write a checkpoint" to others.
                os.kill(pid, number if heads else max(number, signal.SIGQUIT))
        if _all_gone(place, patience):
            return
    raise PostgresTrouble(f"An earlier PostgreSQL in {place.folder} does not end: stop its pids {[*servers(place)]}.")


def _all_gone(place: Place, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while servers(place):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def servers(place: Place) -> dict[int, str]:
    """Pids and command lines of this folder's server processes. A zombie has no command line and is not among them."""
    accounts = {place.account.uid, os.geteuid()}  # nobody else can lead root to kill what only calls itself a server
    marks = (place.mark, f" -D {place.cluster} ")  # the second for one that was started by hand
    return {
        pid: command
        for pid, uid, command in (_from_proc() if (PROC / "self").exists() else _from_ps())
        if uid in accounts and SERVER.search(command) and any(mark in f"{command} " for mark in marks)
    }


def _from_proc() -> Iterator[tuple[int, int, str]]:
    for entry in os.scandir(PROC):
        if entry.name.isdigit():
            with suppress(OSError):  # it ended meanwhile
                command = Path(entry, "cmdline").read_bytes().replace(b"\0", b" ")
                yield int(entry.name), entry.stat().st_uid, command.decode(errors="replace")


def _from_ps() -> Iterator[tuple[int, int, str]]:
    listed = subprocess.run(["ps", "-axww", "-o", "pid=,uid=,command="], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        pid, uid, command = line.split(None, 2)
        yield int(pid), int(uid) % 2**32, command  # macOS calls nobody -2 here and 4294967294 elsewhere
