"""The SQL of every migration, as squawk sees it.

Migrations are Python files holding SQL strings. Each becomes an SQL file with every statement on the line it has in the
Python, so that a complaint points there; `downgrade()` is left out. SQL files go as they are, but for the warehouse's,
which speak DuckDB. Run: `python -m tools.lint.migrations [FOLDER]`.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.lint.source import PACKAGE, Source
from tools.lint.sql import SQL, is_executed

SQUAWK = Path(sys.executable).with_name("squawk")
PARAMETER = re.compile(r"%(\(\w+\))?s")
CONFIG = Path(__file__).with_name("squawk.toml")


def statements(source: Source) -> Iterator[tuple[int, str]]:
    """Line and text of each SQL string that a migration runs when it goes forward."""
    for node in source.strings():
        within = {a.name for a in source.ancestors(node) if isinstance(a, ast.FunctionDef)}
        if "downgrade" not in within and (SQL.match(str(node.value)) or is_executed(source, node)):
            # A parameter could be anything, NULL too; "\\:" is SQLAlchemy's escape of a colon.
            yield node.lineno, PARAMETER.sub("NULL", str(node.value)).replace("\\:", " :")


def as_sql(code: str) -> str:
    """The statements of a migration, each starting on its own line of the Python file."""
    lines: list[str] = []
    for number, statement in sorted(statements(Source(("",), code, ast.parse(code)))):
        lines += [""] * (number - 1 - len(lines))
        lines += f"{statement.rstrip().removesuffix(';')};".splitlines()
    return "\n".join(lines)


def collect(root: Path) -> dict[str, str]:
    """What to lint, by path below `root`."""
    package = root / PACKAGE
    migrations = {p: as_sql(p.read_text("utf-8")) for p in package.glob("*/migrations/**/[0-9]*.py")}
    plain = {p: p.read_text("utf-8") for p in package.rglob("*.sql") if p.relative_to(package).parts[0] != "warehouse"}
    return {p.relative_to(root).as_posix(): code for p, code in sorted((migrations | plain).items())}


def complaints(files: dict[str, str]) -> list[str]:
    """`file:line rule: advice` for everything squawk finds."""
    with TemporaryDirectory() as folder:
        for name, code in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code, "utf-8")
        command = [str(SQUAWK), "--config", str(CONFIG), "--reporter", "json", *files]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode and not done.stdout.startswith("["):
        raise RuntimeError(f"squawk failed: {done.stderr.strip() or done.stdout.strip()}")
    found = json.loads(done.stdout or "[]")
    # squawk counts lines from 0
    return [f"{f['file']}:{f['line'] + 1} squawk {f['rule_name']}: {f['message']} {f['help'] or ''}" for f in found]


def main(arguments: list[str]) -> int:
    files = collect(Path(arguments[0] if arguments else "."))
    found = complaints(files) if files else []
    print(*found, sep="\n", end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
