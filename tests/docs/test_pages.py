"""The documentation says what is so: links lead somewhere, generated parts are fresh, names are those of the code."""

import re
from pathlib import Path

import click
import msgspec
import pytest

from commonry.cli.program import commonry
from commonry.contracts.settings import Settings
from commonry.kit.problems import Problem
from commonry.kit.settings import PREFIX
from tools.docs import metrics
from tools.docs.filling import PARTS, ROOT, filled, pages, parts_of

PAGES = {str(page.relative_to(ROOT)): page.read_text("utf-8") for page in pages()}
LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")
CODE_BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
INLINE_CODE = re.compile(r"`([^`\n]+)`")
OF_A_MACHINE = re.compile(r"/(?:work|root|home/\w+|Users/\w+|tmp)/")
A_FILE = re.compile(r"[\w./{},-]+/[\w.{},-]*\.(?:py|sql|md|json|lock)|[\w.-]+/")
CLICK_VARIABLES = {f"{PREFIX}URL", f"{PREFIX}PASSWORD", f"{PREFIX}TOKEN"}
every_page = pytest.mark.parametrize("name", PAGES)


def prose(text: str) -> str:
    return CODE_BLOCK.sub("", text)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@every_page
def test_links_lead_somewhere(name: str) -> None:
    broken = []
    for target in LINK.findall(prose(PAGES[name])):
        if "://" in target or target.startswith(("mailto:", "/")):
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / name).parent / path if path else ROOT / name
        if not found.exists():
            broken.append(target)
        elif anchor and anchor not in anchors(found.read_text("utf-8")):
            broken.append(f"{target} (no such heading)")
    assert not broken


@every_page
def test_what_comes_from_the_code_is_fresh(name: str) -> None:
    assert PAGES[name] == filled(PAGES[name]), "run `make docs`"


def test_every_generated_part_is_on_a_page() -> None:
    assert {part for text in PAGES.values() for part in parts_of(text)} == set(PARTS)


def test_every_problem_has_its_paragraph() -> None:
    assert set(Problem.known) <= anchors(PAGES["docs/reference/problems.md"])


def test_every_setting_has_its_row_and_says_what_it_does() -> None:
    rows = [line for line in PAGES["docs/reference/settings.md"].splitlines() if line.startswith("| `COMMONRY_")]
    said = {row.split("`")[1]: row.split("|")[3].strip() for row in rows}
    assert set(said) == {PREFIX + field.name.upper() for field in msgspec.structs.fields(Settings)}
    assert all(len(words) > 10 for words in said.values()), said


def test_every_metric_has_its_row() -> None:
    page = PAGES["docs/reference/metrics.md"]
    assert metrics.table_rows()
    assert all(row[0] in page for row in metrics.table_rows())


def test_every_metric_is_set_somewhere() -> None:
    """One that nobody sets would be documented and always silent."""
    code = "\n".join(p.read_text("utf-8") for p in (ROOT / "src/commonry").rglob("*.py"))
    names = re.findall(r"^(\w+) = (?:Counter|Gauge|Histogram)\(", code, re.MULTILINE)
    assert names
    assert [name for name in names if len(re.findall(rf"\b{name}\b", code)) < 2] == []


@every_page
def test_no_page_knows_a_machine(name: str) -> None:
    assert not OF_A_MACHINE.findall(PAGES[name])


@every_page
def test_settings_that_are_named_exist(name: str) -> None:
    known = {PREFIX + field.name.upper() for field in msgspec.structs.fields(Settings)} | CLICK_VARIABLES
    tests_only = {f"{PREFIX}POSTGRES_BIN"}
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]*[A-Z]\b", PAGES[name]))
    assert named <= known | tests_only


@every_page
def test_make_targets_that_are_named_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    said = {target for code in code_of(PAGES[name]) for target in re.findall(r"^\s*make ([a-z-]+)", code, re.MULTILINE)}
    assert said <= targets


def code_of(text: str) -> list[str]:
    """Everything that is set as code: blocks, and pieces in a line."""
    return [*CODE_BLOCK.findall(text), *INLINE_CODE.findall(prose(text))]


@every_page
def test_commands_that_are_named_exist_with_their_options(name: str) -> None:
    wrong = []
    for code in code_of(PAGES[name]):
        for line in re.findall(r"(?:^|\n|[ $;\"]|bin/)commonry ([a-z]+)([^\n`|]*)", code):
            command = commonry.commands.get(line[0])
            options = set(re.findall(r"(--[a-z-]+)", line[1]))
            if command is None:
                wrong.append(f"commonry {line[0]}")
            elif command and not options <= options_of(command):
                wrong.append(f"commonry {line[0]} {options - options_of(command)}")
    assert not wrong


def options_of(command: click.Command) -> set[str]:
    own = {word for p in command.params for word in (*p.opts, *p.secondary_opts) if word.startswith("--")}
    below = command.commands.values() if isinstance(command, click.Group) else ()
    return {"--help"}.union(own, *map(options_of, below))


@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith("docs/") or name == "README.md"])
def test_files_that_are_named_exist(name: str) -> None:
    gone = []
    for code in INLINE_CODE.findall(prose(PAGES[name])):
        if not A_FILE.fullmatch(code) or code.startswith((".", "/")) or "…" in code:
            continue
        if not any((base / code).exists() for base in places()):
            gone.append(code)
    assert not gone


def places() -> list[Path]:
    """Where a path in the text may start from: the repository, the package, or any folder in it."""
    package = ROOT / "src/commonry"
    return [ROOT, ROOT / "docs", package, *(folder for folder in package.rglob("*") if folder.is_dir())]
