"""The rules of this house that no off-the-shelf linter knows, read from the syntax tree of every file in `src/`.

Each rule is one function, in `shape.py`, `sql.py`, `values.py` or `bounds.py`: it is given a source file and yields a
line and what to do about it. No rule can be switched off for a line; an exception is an entry in `ALLOWED`, with its
reason. Run: `python -m tools.lint.rules [FOLDER]`.
"""

import ast
import re
import sys
from pathlib import Path, PurePosixPath

from tools.lint import bounds, shape, sql, values  # noqa: F401 why: importing them registers their rules
from tools.lint.source import PACKAGE, RULES, Finding, Source
from tools.lint.sql import STAR, STAR_ADVICE

# (rule, path below src/commonry): why. Kept empty, or nearly.
ALLOWED: dict[tuple[str, str], str] = {}


def check(root: Path) -> list[Finding]:
    """Every broken rule below `root`/src/commonry."""
    package = root / PACKAGE
    checks = {".py": check_python, ".sql": check_sql}
    files = (path for path in sorted(package.rglob("*")) if path.suffix in checks)
    return [f for path in files for f in checks[path.suffix](path.read_text("utf-8"), path.relative_to(package))]


def check_python(code: str, path: PurePosixPath | Path) -> list[Finding]:
    """Every broken rule in one file, whose path is given below src/commonry."""
    shown = f"{PACKAGE}/{path.as_posix()}"
    try:
        source = Source(path.parts, code, ast.parse(code))
    except SyntaxError as e:
        return [Finding(shown, e.lineno or 1, "syntax", str(e.msg))]
    applied = {name: r for name, r in RULES.items() if (name, path.as_posix()) not in ALLOWED}
    findings = {Finding(shown, line, name, advice) for name, r in applied.items() for line, advice in r(source)}
    return sorted(findings, key=lambda f: (f.line, f.rule))


def check_sql(code: str, path: PurePosixPath | Path) -> list[Finding]:
    """Columns are named in SQL files too."""
    bare = re.sub(r"--.*", "", code)
    lines = (bare.count("\n", 0, match.start()) + 1 for match in STAR.finditer(bare))
    return [Finding(f"{PACKAGE}/{path.as_posix()}", line, "sql-star", STAR_ADVICE) for line in lines]


def main(arguments: list[str]) -> int:
    findings = check(Path(arguments[0] if arguments else "."))
    for finding in findings:
        print(finding)
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
