"""Releases of Commonry as trees of source: one from this repository's history, this one, and one that is still to come.

All run on the same installed dependencies; which one a process is, its PYTHONPATH says.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.needs import MARK

ROOT = Path(__file__).parents[2]
BEFORE = "7cb0eca134e9020fdf5159a0977b22a4b540470f"
"""The last commit before the first migration that came after the first ones."""


def old(folder: Path) -> Path:
    """The release before this one. Skips where the clone has no history, loudly; with CI=true it fails."""
    archive = folder / "old.tar"
    with archive.open("wb") as written:
        made = subprocess.run(
            ["git", "-C", str(ROOT), "archive", BEFORE, "src"], stdout=written, stderr=subprocess.PIPE, check=False
        )
    if made.returncode != 0:
        story = f"git history: the upgrade from {BEFORE[:7]}, which a whole clone has (git fetch --unshallow)"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{MARK}{story}; here everything must be tested", pytrace=False)
        pytest.skip(f"{MARK}{story}")
    with tarfile.open(archive) as packed:
        packed.extractall(folder / "old", filter="data")
    return _checked(folder / "old/src")


def this(folder: Path) -> Path:
    """This release, as the working tree has it now."""
    return _checked(_copied(ROOT / "src", folder / "this/src"))


def following(folder: Path) -> Path:
    """A release after this one: a column in every service's database, and a field in every message that it sends."""
    tree = _copied(ROOT / "src", folder / "following/src")
    for service, table in {
        "users": "members",
        "inventory": "items",
        "bookings": "bookings",
        "payments": "payments",
    }.items():
        migrations = tree / f"commonry/{service}/migrations"
        newest = max(match[1] for f in migrations.glob("*.py") if (match := re.match(r"(\d{4})_", f.name)))
        number = f"{int(newest) + 1:04}"
        (migrations / f"{number}_following.py").write_text(MIGRATION.format(number=number, newest=newest, table=table))
    words = tree / "commonry/contracts/words.py"
    known = words.read_text()
    assert known.count(MESSAGE) == 1, "every message has a base that the following release can add a field to"
    words.write_text(re.sub(rf'({re.escape(MESSAGE)}\n    """[^"]*"""\n)', rf"\1{FIELD}", known))
    assert FIELD in words.read_text()
    return _checked(tree)


TABLES = {"users": "members", "inventory": "items", "bookings": "bookings", "payments": "payments"}
MESSAGE = "class Message(msgspec.Struct, kw_only=True):"
FIELD = '\n    since_following: str = "following"\n'
MIGRATION = '''"""What the following release adds."""

from alembic import op

revision = "{number}"
down_revision = "{newest}"


def upgrade() -> None:
    op.execute("ALTER TABLE {table} ADD COLUMN since_following text NOT NULL DEFAULT 'following'")
'''


def _copied(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")))


def _checked(tree: Path) -> Path:
    """The tree, if a process that is told of it runs it."""
    command = [sys.executable, "-c", "import commonry; print(commonry.__file__)"]
    told = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(tree)}, capture_output=True, text=True, check=True
    )
    assert Path(told.stdout.strip()).is_relative_to(tree)
    return tree
