"""The warehouse: a million bookings from nothing, the star made anew, a thousand changes; beside plain COPY and DuckDB.

Every run of ours is the command as people run it, a process of its own: its time includes starting Python and its
libraries, its memory is the most it ever had. COPY + DuckDB is what one would write in twenty lines: every view to CSV,
every CSV into a table; it neither merges nor knows what has changed, has no pseudonyms and no checks.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import psycopg

from benchmarks._python import python
from commonry.contracts.published import VIEWS
from commonry.kit.postgres import EmbeddedPostgres
from commonry.warehouse.folder import Folder
from tests.warehouse.filling import change, fill

BOOKINGS = int(os.environ.get("BOOKINGS", "1000000"))
CHANGES = 1000
KINDS = {"text": "VARCHAR", "uuid": "VARCHAR", "double": "DOUBLE", "timestamptz": "TIMESTAMPTZ"}


async def measure() -> dict[str, Any]:
    """All of it, on one server and in one run."""
    with tempfile.TemporaryDirectory() as there:
        folder = Path(there)
        server = EmbeddedPostgres(folder)
        server.start()
        try:
            began = time.monotonic()
            urls = fill(server, BOOKINGS)
            print(f"filled in {time.monotonic() - began:.0f} s", flush=True)
            return _measured(server, folder, urls)
        finally:
            server.stop()


def _measured(server: EmbeddedPostgres, folder: Path, urls: Mapping[str, str]) -> dict[str, Any]:
    plain = _plain(folder / "plain", urls)
    result: dict[str, Any] = {"bookings": BOOKINGS, "plain_copy_and_duckdb_s": plain}
    result["from_nothing"] = _run(folder, "run")
    result["nothing_new"] = _run(folder, "run")
    change(server, CHANGES)
    result[f"after_{CHANGES}_changes"] = _run(folder, "run")
    result["compared"] = _run(folder, "run", "--compare")
    result["times_plain"] = round(result["from_nothing"]["steps"]["extract"] / plain, 2)
    print(f"plain COPY + DuckDB {plain:.1f} s; ours takes {result['times_plain']} times that", flush=True)
    return result


def _run(folder: Path, *command: str) -> dict[str, Any]:
    """One run as a process: seconds in all and by step, the most memory it had, the rows it read."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COMMONRY_")} | python().env
    whole = [python().program, "-m", "commonry", "etl", *command, "--data", str(folder)]
    began = time.monotonic()
    child = subprocess.Popen(whole, env=environment, stdout=subprocess.DEVNULL)
    _, code, used = os.wait4(child.pid, 0)
    took = time.monotonic() - began
    status = Folder(folder).status()
    if code or status is None or status.differences:
        sys.exit(f"{' '.join(command)} ended with {code}: {status}")
    rows = sum(status.loaded.values())
    told = {
        "seconds": round(took, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "steps": status.seconds,
        "memory_mib": used.ru_maxrss // 1024,
        "rows": rows,
    }
    print(f"{' '.join(command):<14} {msgspec.json.encode(told).decode()}", flush=True)
    return told


def _plain(folder: Path, urls: Mapping[str, str]) -> float:
    """Seconds that COPY of every view and reading it into DuckDB take."""
    folder.mkdir()
    began = time.monotonic()
    with duckdb.connect(str(folder / "plain.duckdb"), config={"threads": 2, "memory_limit": "256MB"}) as duck:
        for view in VIEWS:
            file = folder / f"{view.name}.csv"
            names = ", ".join(view.columns)
            with psycopg.connect(urls[view.service]) as connection, file.open("wb") as written:
                connection.execute("SET TimeZone = 'UTC'")
                asked = f"COPY (SELECT {names} FROM published.{view.name}) TO STDOUT (FORMAT csv)"
                with connection.cursor().copy(asked) as copy:  # type: ignore[arg-type]
                    for row in copy:
                        written.write(row)
            kinds = {name: KINDS.get(kind, kind) for name, kind in view.columns.items()}
            duck.execute(
                f"CREATE TABLE {view.name} AS FROM read_csv(?, header = false, auto_detect = false, columns = {kinds})",
                [str(file)],
            )
            file.unlink()
    return round(time.monotonic() - began, 2)
