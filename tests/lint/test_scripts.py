"""What the scripts promise: exit codes, last line and words, shown with stand-ins for the slow tools."""

import os
import subprocess
from pathlib import Path

import pytest

from tests import needs

ROOT = Path(__file__).parents[2]
SUMMARY = "===== 3 passed in 0.01s ====="


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def run(*words: str | Path, cwd: Path, path: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """Both outputs together, in the order in which they would appear on a terminal."""
    env = {"PATH": path or os.environ["PATH"], "HOME": str(cwd), **env}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(list(map(str, words)), cwd=cwd, env=env, **pipes, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("lint", "test", "last", "fine"),
    [
        ("true", f"echo '{SUMMARY}'", SUMMARY, True),
        ("false", f"echo '{SUMMARY}'", SUMMARY, False),
        ("true", "echo '== 1 failed, 3 passed in 1s =='; false", "== 1 failed, 3 passed in 1s ==", False),
        ("true", "echo '== no tests ran in 0.01s =='; exit 5", "== no tests ran in 0.01s ==", False),
        ("true", "echo '== 4 skipped in 0.01s =='", "== 4 skipped in 0.01s ==", False),
    ],
    ids=["all well", "lint fails", "a test fails", "no tests", "all skipped"],
)
def test_ci_ends_with_pytests_summary(tmp_path: Path, lint: str, test: str, last: str, fine: bool) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci/run").write_text((ROOT / ".ci/run").read_text())
    (tmp_path / "Makefile").write_text(f"lint:\n\t@{lint}\ntest:\n\t@echo CI is $(CI); {test}\n")
    done = run("bash", ".ci/run", cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == last
    assert "CI is true" in done.stdout
    assert (done.returncode == 0) is fine


@pytest.mark.parametrize("broken", ["ruff", "pyright", "lint-imports", "python"])
def test_lint_fails_when_any_check_does(tmp_path: Path, broken: str) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/lint").write_text((ROOT / "scripts/lint").read_text())
    for tool in ("ruff", "pyright", "lint-imports", "python"):
        program(tmp_path / ".venv/bin" / tool, "echo a.py:1 wrong; false" if tool == broken else "true")
    done = run("sh", "scripts/lint", cwd=tmp_path)
    assert done.returncode == 1
    assert "a.py:1 wrong" in done.stdout
    assert "FAILED" in done.stdout
    assert "ok " in done.stdout


@pytest.mark.parametrize(
    ("python", "words"),
    [
        ('case "$*" in *version_info*) exit 1;; *) echo Python 3.9.2;; esac', "and found Python 3.9.2: install one"),
        ('case "$*" in *ensurepip*) exit 1;; esac', "venv is missing: install it first (Debian, Ubuntu: apt install"),
        (None, "and found no python3: install one"),
    ],
    ids=["too old", "without venv", "none at all"],
)
def test_setup_says_what_to_install(tmp_path: Path, python: str | None, words: str) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/setup").write_text((ROOT / "scripts/setup").read_text())
    for tool in ("cat", "dirname"):
        program(tmp_path / "bin" / tool, f'exec /usr/bin/env PATH=/usr/bin:/bin {tool} "$@"')
    if python:
        program(tmp_path / "bin/python3", python)
    done = run("/bin/sh", "scripts/setup", cwd=tmp_path, path=str(tmp_path / "bin"))
    assert done.returncode == 1
    assert words in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert not (tmp_path / ".venv").exists()


def test_make_alone_lists_every_target() -> None:
    listed = {line.split()[1] for line in run("make", cwd=ROOT).stdout.splitlines()}
    phony = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY:"))
    assert listed == set(phony.split()[1:]) - {"FORCE"}


def test_locks_name_no_index() -> None:
    for lock in ROOT.glob("requirements*.lock"):
        text = lock.read_text()
        assert "://" not in text
        assert "--index-url" not in text
        assert "--find-links" not in text


def test_a_missing_tool_is_a_skip_at_home_and_a_failure_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    assert needs.need("sh", "anything").name.endswith("sh")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs no-such-tool: the sky"):
        needs.need("no-such-tool", "the sky")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="everything must be tested"):
        needs.need("no-such-tool", "the sky")
