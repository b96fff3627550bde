"""Every lint rule, contract and checker is given something to bite, and must; and the tree as it is must pass.

A check that no longer bites looks exactly like a clean tree. So each rule of ours has a planted violation and, beside
it, the nearest thing that is allowed.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools.lint import migrations, rules
from tools.lint.source import PACKAGE, RULES

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
CONCISE = "--output-format=concise"

# rule: (path below src/commonry, line, what is refused there, what is allowed in the same place)
PLANTED: dict[str, list[tuple[str, int, str, str]]] = {
    "file-length": [("users/long.py", 1, "x = 1\n" * 321, "x = 1\n" * 320)],
    "function-length": [
        ("users/a.py", 1, "def f():\n" + "    g()\n" * 41, "def f():\n" + "    g()\n" * 40),
        ("users/b.py", 2, "class A:\n    async def f(self):\n" + "        g()\n" * 41, '"""' + "x\n" * 60 + '"""'),
    ],
    "handler-length": [
        ("users/api.py", 2, '@get("/x")\ndef f():\n' + "    g()\n" * 9, '@get("/x")\ndef f():\n' + "    g()\n\n" * 8),
        ("inventory/api/items.py", 2, "@post()\nasync def f():\n" + "    g()\n" * 9, "def f():\n" + "    g()\n" * 9),
    ],
    "banned-name": [
        ("users/utils.py", 1, "", ""),
        ("users/names.py", 1, "class SessionManager: ...", "class Managed: ..."),
        ("users/names2.py", 1, "class BaseThing: ...", "class Basement: ..."),
        ("users/names3.py", 1, "class ThingImpl: ...", "class Implement: ..."),
    ],
    "sql-built": [
        ("users/store.py", 1, 'many(tx, Row, f"SELECT id FROM {table}")', 'many(tx, Row, "SELECT id FROM t")'),
        ("users/store2.py", 1, 'q = "DELETE FROM t WHERE id = " + wanted', 'q = "Delete " + wanted'),
        ("users/store3.py", 1, 'tx.execute("NOTIFY %s" % name)', 'tx.execute("SELECT %s", [name])'),
        ("users/store4.py", 1, 'q = "\\n  UPDATE {} SET x = 1".format(t)', 'q = SQL("UPDATE {} SET x").format(t)'),
        ("users/store5.py", 1, "run(tx, f'{verb} everything')", "other(tx, f'{verb} everything')"),
        ("users/store7.py", 2, 'def f():\n    return f"SELECT {COLUMNS} FROM t"', 'Q = f"SELECT {COLUMNS} FROM t"'),
        ("users/store8.py", 1, 'Q = f"SELECT {columns()} FROM t"', 'Q = "SELECT" + _COLUMNS + " FROM t"'),
        ("users/store6.py", 1, 'tx.execute(", ".join(parts))', 'x.show(", ".join(parts))'),
    ],
    "sql-star": [
        ("users/star.py", 1, 'q = "SELECT * FROM t"', 'q = "SELECT count(*) FROM t"'),
        ("users/star2.py", 1, 'q = "INSERT INTO t (a) VALUES (2 * 3) RETURNING *"', 'q = "SELECT 2 * 3, a FROM t"'),
        ("users/star3.py", 2, 'q = (\n"SELECT a.id, b.* FROM a, b")', '"""Never SELECT * anywhere."""'),
        ("users/star4.sql", 2, "CREATE VIEW v AS\nSELECT * FROM t;", "-- no SELECT * here\nSELECT a FROM t;"),
    ],
    "naive-time": [
        ("users/time1.py", 1, "datetime.now()", "datetime.now(UTC)"),
        ("users/time2.py", 1, "datetime.datetime.utcnow()", "clock.now()"),
        ("users/time3.py", 1, "date.today()", "clock.today(zone)"),
        ("users/time4.py", 1, "datetime.fromtimestamp(5)", "datetime.fromtimestamp(5, tz=UTC)"),
    ],
    "float-money": [
        ("contracts/money.py", 1, "half = 0.5", "half = 5"),
        ("payments/store.py", 1, "share = a / b", "share = a // b"),
        ("payments/jobs.py", 1, "def f(amount: float): ...", "def f(timeout: float = 0.5): ..."),
        ("payments/api.py", 1, "int(float(x))", "call(timeout=0.5)"),
        ("payments/late.py", 1, "fee = amount * 0.7", "slow = self.patience_seconds * 0.7"),
        ("bookings/rules.py", 2, "def refund(x):\n    return x * 0.5", "def distance(x):\n    return x * 0.5"),
    ],
    "no-timeout": [
        ("kit/http.py", 1, "ClientSession()", "ClientSession(timeout=t)"),
        ("kit/http2.py", 1, "aiohttp.ClientSession(headers=h)", "aiohttp.ClientSession(**settings)"),
        ("kit/http3.py", 1, "psycopg.connect(url)", "psycopg.connect(url, connect_timeout=5)"),
        (
            "kit/http4.py",
            2,
            "async def f():\n    await asyncio.open_connection(h, p)",
            "async def f():\n    async with asyncio.timeout(1):\n        await asyncio.open_connection(h, p)",
        ),
    ],
    "print": [("users/shout.py", 1, "print(1)", "log.info(1)")],
    "broad-except": [
        (
            "users/catch.py",
            3,
            "try:\n    f()\nexcept Exception:  # why: no\n    g()",
            "try:\n    f()\nexcept OSError:\n    g()",
        ),
        (
            "kit/catch.py",
            3,
            "try:\n    f()\nexcept Exception:\n    g()",
            "try:\n    f()\nexcept Exception:  # why: so\n    g()",
        ),
        ("kit/catch2.py", 3, "try:\n    f()\nexcept:\n    g()", "try:\n    f()\nexcept (A, B):\n    g()"),
        ("users/catch3.py", 1, "suppress(Exception)", "suppress(OSError)"),
    ],
    "impure-rules": [
        ("bookings/rules.py", 1, "import os", "from datetime import datetime"),
        ("users/rules.py", 1, "from commonry.kit import db", "from commonry.contracts.money import Money"),
        ("payments/rules.py", 1, "import msgspec", "from decimal import Decimal"),
        ("inventory/rules/period.py", 1, "clock.now()", "from commonry.inventory.rules.zones import x"),
    ],
    "domain-in-kit": [
        ("kit/bookings.py", 1, "", ""),
        ("kit/words.py", 1, "reserve_item = 1", "for key in x.items(): y.__getitem__(key)"),
        ("kit/words2.py", 1, "class OwnerOnly: ...", 'q = "ALTER TABLE t OWNER TO r"'),
        ("kit/words3.py", 1, 'x = "the payment failed"', 'x = "the call failed"'),
        ("kit/words4.py", 2, '"""One.\n\nof a member."""'.replace("\n\n", "\n"), "remember = dismembered = 1"),
        ("kit/words5.py", 1, "x = 1  # a deposit", "x = 1  # depository"),
        ("kit/words6.py", 1, 'f"{x} borrowers"', 'f"{x.items()}"'),
    ],
    "syntax": [("users/broken.py", 1, "def (", "")],
}
CASES = [(rule, *case) for rule, cases in PLANTED.items() for case in cases]


def test_every_rule_has_something_to_bite() -> None:
    assert PLANTED.keys() == RULES.keys() | {"syntax"}


@pytest.mark.parametrize(("rule", "path", "line", "refused", "allowed"), CASES, ids=[f"{c[0]}:{c[1]}" for c in CASES])
def test_own_rule(rule: str, path: str, line: int, refused: str, allowed: str) -> None:
    check = rules.check_sql if path.endswith(".sql") else rules.check_python
    assert (rule, line) in {(f.rule, f.line) for f in check(refused, Path(path))}
    if allowed:
        assert rule not in {f.rule for f in check(allowed, Path(path))}


def test_own_rules_command_names_each(tmp_path: Path) -> None:
    for number, (_, path, _, refused, _) in enumerate(CASES):
        planted = tmp_path / str(number) / PACKAGE / path
        planted.parent.mkdir(parents=True)
        planted.write_text(refused)
    for folder in sorted(tmp_path.iterdir()):
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    done = command(sys.executable, "-m", "tools.lint.rules", str(tmp_path), cwd=ROOT)
    assert done.returncode == 1
    assert {line.split()[1].rstrip(":") for line in done.stdout.splitlines()} == PLANTED.keys()


def test_exceptions_stay_rare() -> None:
    assert len(rules.ALLOWED) <= 3
    assert all(reason for reason in rules.ALLOWED.values())


# Import contracts: what is planted, and the line of the report that must name it.
CONTRACTS = {
    "layers": [
        ("users/planted.py", "import commonry.inventory", "commonry.users.planted -> commonry.inventory (l.1)"),
        ("kit/planted.py", "import commonry.contracts", "commonry.kit.planted -> commonry.contracts (l.1)"),
        ("contracts/planted.py", "import commonry.payments", "commonry.contracts.planted -> commonry.payments (l.1)"),
        ("payments/planted.py", "import commonry.run", "commonry.payments.planted -> commonry.run (l.1)"),
        ("run.py", "import commonry.cli", "commonry.run -> commonry.cli (l.1)"),
        ("newcomer.py", "", "- commonry.newcomer"),
    ],
    "rooms": [
        ("web/store.py", "import commonry.web.api", "commonry.web.store -> commonry.web.api (l.1)"),
        ("web/rules.py", "import commonry.web.store", "commonry.web.rules -> commonry.web.store (l.1)"),
        ("web/jobs.py", "import commonry.web.api", "commonry.web.jobs -> commonry.web.api (l.1)"),
    ],
    "driver": [
        ("users/planted.py", "import psycopg", "- commonry.users.planted -> psycopg (l.1)"),
        ("kit/planted.py", "from psycopg_pool import X", "- commonry.kit.planted -> psycopg_pool (l.1)"),
    ],
    "cycles": [
        ("kit/planted.py", "import commonry.kit.planted2", ""),
        ("kit/planted2.py", "import commonry.kit.planted", "commonry.kit"),
    ],
}


def configured(key: str) -> dict[str, str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return {c["id"]: c[key] for c in contracts}


def test_every_contract_has_something_to_bite() -> None:
    assert CONTRACTS.keys() == configured("name").keys()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the package, in which every service and room that the plants import exists."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "static", "data"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in ("users", "inventory", "payments", "web"):
        write(tmp_path / PACKAGE / name / "__init__.py", "")
    for name in ("web/api.py", "web/store.py", "cli.py", "run.py"):
        write(tmp_path / PACKAGE / name, "")
    return tmp_path


@pytest.mark.parametrize("contract", CONTRACTS)
def test_import_contract(tree: Path, contract: str) -> None:
    for path, code, _ in CONTRACTS[contract]:
        write(tree / PACKAGE / path, code)
    done = command(BIN / "lint-imports", "--no-cache", "--contract", contract, cwd=tree)
    assert done.returncode == 1
    assert f"{configured('name')[contract]} BROKEN" in done.stdout
    for path, _, named in CONTRACTS[contract]:
        assert named in done.stdout, f"{path} went unnoticed: {done.stdout}"


def test_ruff(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    write(
        tmp_path / PACKAGE / "planted.py", "import datetime, os\ndef f(x = []):\n    assert datetime.datetime.now()\n"
    )
    done = command(BIN / "ruff", "check", "--no-cache", CONCISE, ".", cwd=tmp_path)
    assert done.returncode == 1
    for code in ("D100", "F401", "B006", "S101", "DTZ005"):
        assert code in done.stdout
    unformatted = command(BIN / "ruff", "format", "--no-cache", "--check", ".", cwd=tmp_path)
    assert unformatted.returncode == 1
    assert "planted.py" in unformatted.stdout


def test_pyright_is_strict(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    write(tmp_path / PACKAGE / "planted.py", '"""Planted."""\n\n\ndef untyped(x):\n    return x\n')
    (tmp_path / "tools").mkdir()
    done = command(BIN / "pyright", "--pythonpath", sys.executable, cwd=tmp_path)
    assert done.returncode == 1
    assert "planted.py:4:13 - error" in done.stdout
    assert "reportMissingParameterType" in done.stdout


def test_squawk_reads_migrations(tmp_path: Path) -> None:
    code = '''"""Planted."""
from alembic import op

def upgrade():
    op.execute("""
        CREATE TABLE t (id uuid PRIMARY KEY, at timestamptz NOT NULL);
        CREATE INDEX t_by_time ON t (at)""")
    op.get_bind().exec_driver_sql("INSERT INTO t VALUES (%s, %(at)s)", values)
    op.execute("ALTER TABLE elsewhere DROP COLUMN x")
    op.execute("SELEC 1")

def downgrade():
    op.execute("DROP TABLE t")
'''
    write(tmp_path / PACKAGE / "users/migrations/0001_planted.py", code)
    done = command(sys.executable, "-m", "tools.lint.migrations", str(tmp_path), cwd=ROOT)
    path = f"{PACKAGE}/users/migrations/0001_planted.py"
    assert done.returncode == 1
    assert f"{path}:10 squawk syntax-error" in done.stdout
    write(tmp_path / PACKAGE / "users/migrations/0001_planted.py", code.replace("SELEC", "SELECT"))
    found = migrations.complaints(migrations.collect(tmp_path))
    assert [line.split(": ")[0] for line in found] == [f"{path}:9 squawk ban-drop-column"]


def test_the_tree_passes_our_own_rules() -> None:
    assert [str(finding) for finding in rules.check(ROOT)] == []


def test_the_migrations_pass() -> None:
    files = migrations.collect(ROOT)
    assert files
    assert migrations.complaints(files) == []


@pytest.mark.parametrize(
    "check",
    [("ruff", "check", CONCISE), ("ruff", "format", "--check", CONCISE), ("lint-imports", "--no-cache", "--no-logo")],
    ids=["ruff", "format", "imports"],
)
def test_the_tree_passes(check: tuple[str, ...]) -> None:
    done = command(BIN / check[0], *check[1:], cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:]


def command(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run to the end; `src` of the folder it runs in is what Python imports there."""
    env = {**os.environ, "PYTHONPATH": str(cwd / "src"), "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(
        list(map(str, words)), cwd=cwd, env=env, capture_output=True, text=True, timeout=60, check=False
    )


def write(path: Path, code: str) -> None:
    """Make the file, and its folder a package."""
    path.parent.mkdir(parents=True, exist_ok=True)
    init = path.parent / "__init__.py"
    if not init.exists() and path.suffix == ".py" and "migrations" not in path.parts:
        init.write_text("")
    path.write_text(code)
