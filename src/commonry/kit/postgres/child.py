"""Becomes a PostgreSQL program that ends with its parent: `child.py PARENT UID GID SIGNAL FOLDER PROGRAM ARGUMENT…`.

Run by a bare interpreter between fork and exec: in a forked copy of a process with threads our code could deadlock;
here it is alone. The pid stays the same. Not to be imported.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
FOLDER = 9
"""The descriptor of FOLDER."""


def become(parent: int, uid: int, gid: int, signal: int, folder: str, *command: str) -> None:
    os.umask(0o077)
    os.dup2(os.open(folder, os.O_RDONLY), FOLDER)  # while still root: the account may not get through the folders above
    os.chdir("/")
    if uid != os.getuid():
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":  # after setuid, which clears it; exec keeps it
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal)
    if os.getppid() != parent:  # it died before we asked to be told
        sys.exit("parent is gone")
    os.execv(command[0], command)  # noqa: S606 why: no shell is the point


if __name__ == "__main__":
    _, parent, uid, gid, signal, *rest = sys.argv
    become(int(parent), int(uid), int(gid), int(signal), *rest)
