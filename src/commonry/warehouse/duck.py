"""DuckDB, opened so that it stays small: it shares the machine with a platform that people wait for."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MEMORY = "256MB"
"""Of each DuckDB that a run has open, one at a time; what is larger goes to disk for the moment."""
TO_READ = "96MB"
THREADS = 2
SETTINGS: dict[str, Any] = {
    "memory_limit": MEMORY,
    "threads": THREADS,
    "preserve_insertion_order": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
Duck = Any
"""A connection: its own types say less than the SQL does."""


@contextmanager
def opened(file: Path, *, memory: str = MEMORY, read_only: bool = False) -> Generator[Duck]:
    """A connection to this file, made if there is none."""
    import duckdb

    config = SETTINGS | {"memory_limit": memory, "temp_directory": str(file.with_name("spill"))}
    duck: Duck = duckdb.connect(str(file), read_only=read_only, config=config)
    try:
        duck.execute("SET TimeZone = 'UTC'")
        yield duck
    finally:
        duck.close()
