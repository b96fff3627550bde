"""The tutorial works when it is pasted: its shell blocks run one after the other in one shell, on a real platform.

A block of text right below a block of shell is what that prints; `…` in it stands for anything.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from commonry.demo.neighbourhood import neighbourhood
from tests.platform import Person, Platform, started
from tools.docs.filling import ROOT

TUTORIAL = ROOT / "docs/tutorial/first-ten-minutes.md"
ITS_ADDRESS = "http://127.0.0.1:8000"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
BETWEEN = "-- next --"


class Step(NamedTuple):
    """A block of shell, and what the page says it prints."""

    shell: str
    prints: str | None


def steps(page: str) -> list[Step]:
    found: list[Step] = []
    for language, text in BLOCK.findall(page):
        if language == "sh":
            found.append(Step(text, None))
        elif language == "text" and found and found[-1].prints is None:
            found[-1] = Step(found[-1].shell, text)
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform without the demo, whose neighbourhood takes longer to load than to walk through the tutorial."""
    with started("near", tmp_path_factory.mktemp("tutorial")) as platform:
        yield platform


async def test_the_tutorial_does_what_it_says(demo: Platform) -> None:
    await people_of_the_demo(demo)
    tried = steps(TUTORIAL.read_text("utf-8").replace(ITS_ADDRESS, demo.url))
    assert len(tried) > 8
    script = f"\necho '{BETWEEN}'\n".join(step.shell for step in tried)
    done = run(script, demo)
    printed = done.stdout.split(f"{BETWEEN}\n")
    for step, said in zip(tried, printed, strict=False):
        assert step.prints is None or matches(step.prints, said), (
            f"{step.shell}\nprinted\n{said}\nand not\n{step.prints}"
        )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr
    assert len(printed) == len(tried)


def run(script: str, demo: Platform) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(demo.folder),
        "COMMONRY_URL": demo.url,
        "LC_ALL": "C.UTF-8",
    }
    command = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def matches(expected: str, said: str) -> bool:
    """`…` stands for the rest of a line, or alone on a line for any number of lines."""
    lines = (
        line if line == "…" else r"[^\n]*".join(map(re.escape, line.split("…")))
        for line in expected.strip().split("\n")
    )
    pattern = "\n".join(lines).replace("\n…\n", r"\n(?:[^\n]*\n)*?")
    return re.fullmatch(pattern, said.strip()) is not None


async def people_of_the_demo(platform: Platform) -> None:
    """Register the three sign-ins with their public passwords, and make the manager one."""
    for member in (m for m in neighbourhood().members if m.demo):
        person = Person(platform.url, member.key)
        person.email, person.password = member.email, member.password or ""
        await person.register(display_name=member.display_name)
        await person.close()
        if member.demo == "manager":
            promote(platform.folder, member.email)


def promote(folder: Path, email: str) -> None:
    command = [str(ROOT / ".venv/bin/commonry"), "promote", email, "--data", str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def test_a_wrong_page_would_be_noticed() -> None:
    assert matches("state: …\nmoney: 12.50", "state: confirmed\nmoney: 12.50\n")
    assert not matches("confirmed", "requested")
    assert not matches("a …", "b c")
    assert matches("a\n…\nz", "a\nb\nc\nz")
    assert matches("a\n…\nz", "a\nz")
    assert not matches("a\n…\nz", "a\nb\nc")
    assert steps("```sh\necho 1\n```\n\n```text\n1\n```\n") == [Step("echo 1\n", "1\n")]
