"""Makes the cluster (the data folder proper) and writes the server's settings.

Durability is not for sale: fsync, full pages and synchronous commit stay on. Memory is kept small: the server needs a
few dozen MB beside the platform.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from commonry.kit.postgres.place import Place, PostgresTrouble, disk_full, make_private

SETTINGS = {
    "listen_addresses": "",  # the socket only
    "port": 5432,  # names the socket; said here because PGPORT would be heeded
    "unix_socket_permissions": "0700",
    "max_connections": 60,
    "shared_buffers": "32MB",
    "huge_pages": "off",
    "work_mem": "4MB",
    "maintenance_work_mem": "32MB",
    "autovacuum_work_mem": "16MB",
    "autovacuum_max_workers": 2,
    "max_worker_processes": 4,
    "max_parallel_workers_per_gather": 0,  # the machine is small and the queries are short
    "max_logical_replication_workers": 0,  # one process less
    "effective_cache_size": "256MB",
    "random_page_cost": 1.1,
    "jit": "off",
    "wal_level": "replica",  # for pg_basebackup
    "max_wal_senders": 3,
    "min_wal_size": "32MB",
    "max_wal_size": "512MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "idle_in_transaction_session_timeout": "60s",
    "TimeZone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",  # `last_words` reads them
    "logging_collector": "on",  # 80 kB, and it rotates
    "log_directory": "../log",
    "log_filename": "postgresql-%a.log",  # a week of them
    "log_rotation_age": "1d",
    "log_rotation_size": 0,
    "log_truncate_on_rotation": "on",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_error_verbosity": "terse",  # the DETAIL of a unique violation would hold people's e-mail addresses
    "log_checkpoints": "off",
}
INITDB = (
    *("--username=postgres", "--encoding=UTF8", "--data-checksums", "--no-instructions"),
    # Trust is right: whoever gets to the socket has passed its folder, which only root and the server's account can
    # enter, and that account could read the data anyway. There is no other way in.
    *("--auth-local=trust", "--auth-host=reject"),
)
BUILTIN = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
"""From 17 on. Sorts the same on every system, for ever; libc's order may change with the system."""
LIBC = ("--locale=C.UTF-8",)
HEADER = "# Written by Commonry at every start. To change one: ALTER SYSTEM SET …, which wins over this file."
ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")  # nothing else: no PGDATA, no secret of the platform's


def environment() -> dict[str, str]:
    """What the server's programs see. LC_ALL also keeps macOS from starting threads in the postmaster."""
    return {name: os.environ[name] for name in ENVIRONMENT if name in os.environ} | {"LC_ALL": "C", "TZ": "UTC"}


def make_cluster(place: Place, programs: Path, version: int) -> None:
    """Make the cluster unless there is one: aside, then renamed, so that a kill in between leaves no half of one."""
    for half in place.folder.glob("cluster.new-*"):
        shutil.rmtree(half, ignore_errors=True)
    if (place.cluster / "PG_VERSION").exists():
        return
    if place.cluster.exists():
        raise PostgresTrouble(f"{place.cluster} is not a PostgreSQL cluster: move it away.")
    new = Path(tempfile.mkdtemp(prefix="cluster.new-", dir=place.folder))
    try:
        make_private(new, place.account)
        _initdb(place, new, programs, version)
        new.rename(place.cluster)
        _sync(place.folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _initdb(place: Place, new: Path, programs: Path, version: int) -> None:
    """Run initdb, which itself works without fsync and syncs everything once at its end."""
    options = [*INITDB, *(BUILTIN if version >= 17 else LIBC)]
    if version >= 17 and sys.platform == "linux":
        options.append("--sync-method=syncfs")
    command = [str(programs / "initdb"), "-D", place.named_by_server(new), *options]
    done = subprocess.run(
        place.command(new, signal.SIGKILL, command),
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        start_new_session=True,
    )
    if done.returncode != 0:
        raise PostgresTrouble(failure(place, (done.stdout + done.stderr).decode(errors="replace")))


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_settings(place: Place, programs: Path, version: int) -> None:
    """Replace the cluster's postgresql.conf, never following a link that the server's account may have put there."""
    quoted = str(place.sockets).replace('"', '""')
    extra: dict[str, str | int | float] = {"unix_socket_directories": f'"{quoted}"'}
    if version >= 18:
        extra["io_method"] = "sync"  # no worker processes
    if sys.platform == "linux":
        extra["recovery_init_sync_method"] = "syncfs"  # one call instead of one per file before a crash is recovered
    if any(programs.parent.glob("lib/pg_stat_statements.*")):  # costs 1 MB; not part of every installation
        extra["shared_preload_libraries"] = "pg_stat_statements"
    lines = [HEADER, *(f"{name} = {_literal(value)}" for name, value in (SETTINGS | extra).items()), ""]
    new = place.cluster / "postgresql.conf.new"
    new.unlink(missing_ok=True)
    with open(new, "x") as file:
        file.write("\n".join(lines))
        os.fchmod(file.fileno(), 0o644)
    new.replace(place.cluster / "postgresql.conf")


def _literal(value: str | float) -> str:
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"


def failure(place: Place, said: str) -> str:
    """Why PostgreSQL did not start, from what it printed."""
    if re.search(r"^(?!.*(shared memory|semaphore)).*No space left on device", said, re.MULTILINE):
        return disk_full(place.folder)
    reasons = re.findall(r"(?:FATAL|PANIC|[Ee]rror): +(.+)", said) or said.strip().splitlines() or ["it said nothing"]
    return f"PostgreSQL did not start in {place.folder}: {reasons[-1].rstrip('.')} (more in {place.log})."


def start_log(place: Place) -> Path:
    """Outside the log folder, where the server's account could lead root to write through a link."""
    return place.folder / "start.log"


def last_words(place: Place) -> str:
    """What the server printed since it was last started: to its log, and to standard error until that was open."""
    start = start_log(place)
    if not start.exists():
        return ""
    logs = [file for file in place.log.glob("*.log") if file.stat().st_mtime >= start.stat().st_mtime]
    said = [file.read_text(errors="replace")[-8000:].rpartition("starting PostgreSQL")[2] for file in (*logs, start)]
    return "\n".join(said)
