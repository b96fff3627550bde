"""Finds the marked places in the pages, and fills them."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.docs import calls, commands, ledger, metrics, problems, scale, settings, states

ROOT = Path(__file__).parents[2]
PARTS: dict[str, Callable[[], str]] = {
    "calls": calls.table,
    "commands": commands.help_of_each,
    "ledger": ledger.chart,
    "metrics": metrics.table_of_all,
    "problems": problems.paragraphs,
    "growth": scale.arithmetic,
    "growth assumed": scale.assumed,
    "growth measured": scale.measured,
    "settings": settings.tables,
    "booking diagram": states.diagram,
    "booking steps": states.steps,
    "booking commands": states.commands,
}
PLACE = re.compile(r"(<!-- from the code: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages(root: Path = ROOT) -> list[Path]:
    """Every page of the documentation, the ones in the root of the repository too."""
    return [*sorted(root.glob("*.md")), *sorted((root / "docs").rglob("*.md"))]


def parts_of(text: str) -> Iterator[str]:
    """The names of the parts that a page has a place for."""
    return (place[2] for place in PLACE.finditer(text))


def filled(text: str) -> str:
    """The page with every part as the code says now. Raises KeyError for a part that nobody makes."""
    return PLACE.sub(lambda place: f"{place[1]}\n{PARTS[place[2]]().strip()}\n\n{place[3]}", text)


def written(page: Path) -> bool:
    """Whether the page had to be changed."""
    before = page.read_text("utf-8")
    after = filled(before)
    if after != before:
        page.write_text(after, "utf-8")
    return after != before
