"""What `deploy/` ships for monitoring, read once for the tests: rules, alerts, dashboards' queries, runbook pages.

Nothing here decides anything; it only finds things, so that a test of them is a sentence.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"
RUNBOOKS = ROOT / "docs" / "how-to" / "runbooks"
UNIT_TESTS = Path(__file__).parent / "rules"


def rule_files() -> list[Path]:
    return sorted((PROMETHEUS / "rules").glob("*.yaml"))


def rules() -> Iterator[dict[str, Any]]:
    """Every rule, recording or alert."""
    for path in rule_files():
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def recorded() -> set[str]:
    return {rule["record"] for rule in rules() if "record" in rule}


class Query(NamedTuple):
    """One query of one panel."""

    dashboard: str
    panel: str
    expr: str


def dashboards() -> dict[str, dict[str, Any]]:
    """By their uid."""
    read = (msgspec.json.decode(path.read_bytes()) for path in sorted(DASHBOARDS.glob("*.json")))
    return {dashboard["uid"]: dashboard for dashboard in read}


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Those that show something; rows are only headings."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels") or ()
        else:
            yield panel


def queries() -> Iterator[Query]:
    for uid, dashboard in dashboards().items():
        for panel in panels(dashboard):
            for target in panel.get("targets") or ():
                yield Query(uid, panel["title"], target["expr"])


_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_NAME = re.compile(r"(?<![\w:$])[a-zA-Z_:][\w:]*(?!\s*\()(?![\w:])")
_WORDS = frozenset("and or unless on by without ignoring group_left group_right bool offset inf nan".split())
_MATCHERS = re.compile(r"\{[^}]*\}")
_RANGES = re.compile(r"\[[^\]]*\]")


def metrics_in(expr: str) -> set[str]:
    """The names of metrics in a PromQL expression."""
    bare = _RANGES.sub("", _MATCHERS.sub("", _GROUPING.sub("", _QUOTED.sub('""', expr))))
    found = {match.group() for match in _NAME.finditer(bare)}
    return {name for name in found if name.lower() not in _WORDS and not re.search(rf"\b{re.escape(name)}\s*\(", bare)}


def alertmanager(*, people: str, dead_man: str) -> str:
    """alertmanager.yml for Debian 12's release, which is older than `url_file`: the address stands there itself."""
    shipped = (PROMETHEUS / "alertmanager.yml").read_text()
    for file, url in (("people-url", people), ("dead-man-url", dead_man)):
        line = f"url_file: /etc/alertmanager/secrets/{file}"
        if line not in shipped:
            raise AssertionError(f"alertmanager.yml no longer has `{line}`")
        shipped = shipped.replace(line, f"url: {url}")
    return shipped
