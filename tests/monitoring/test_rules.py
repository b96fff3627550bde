"""The rules and alerts that Prometheus is given, tried with Prometheus' own tools: promtool and amtool.

Each alert has a case in which it fires and one in which it does not (`rules/*.yaml`, promtool's format), a page that
says what to do, and nothing in it that neither the code nor an exporter has.
"""

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring import shipped
from tests.needs import need
from tools.docs.metrics import registered

WHY = "rules and alerts are checked and tried by Prometheus' own tools"
CASES = sorted(shipped.UNIT_TESTS.glob("*.yaml"))
ALWAYS = {"CommonryWatchdog"}
"""Fires always, so there is no case in which it does not."""
SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",), "gauge": ("",)}


def ran(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, check=False)


def without_annotations(path: Path) -> str:
    """promtool compares whole sentences, so its cases look at labels; the sentences have a test of their own."""
    whole = yaml.safe_load(path.read_text())
    for group in whole["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)
    return yaml.safe_dump(whole)


def cases() -> list[dict[str, Any]]:
    return [test for path in CASES for test in yaml.safe_load(path.read_text())["tests"]]


def tried(case: Path, folder: Path, *, sentences: bool) -> subprocess.CompletedProcess[str]:
    need("promtool", WHY)
    whole = yaml.safe_load(case.read_text())
    named = [(case.parent / name).resolve() for name in whole["rule_files"]]
    for path in named:
        (folder / path.name).write_text(path.read_text() if sentences else without_annotations(path))
    (folder / "case.yml").write_text(yaml.safe_dump(whole | {"rule_files": [path.name for path in named]}))
    return ran("promtool", "test", "rules", folder / "case.yml")


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_rules_and_alerts_do_what_their_cases_say(case: Path, tmp_path: Path):
    done = tried(case, tmp_path, sentences=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_the_sentences_of_an_alert_can_be_filled_in(case: Path, tmp_path: Path):
    # The cases name no sentences, so promtool prints each as it came out.
    done = tried(case, tmp_path, sentences=True)
    said = done.stdout + done.stderr
    assert "summary=" in said
    for trouble in ("error expanding", "no value", "%!"):
        assert trouble not in said


def test_a_case_can_fail(tmp_path: Path):
    case = shipped.UNIT_TESTS / "redis.yaml"
    wrong = case.read_text().replace("instance: a", "instance: z")
    (shipped_copy := tmp_path / "case").mkdir()
    (tmp_path / "redis.yaml").write_text(wrong.replace("../../..", str(shipped.ROOT)))
    assert tried(tmp_path / "redis.yaml", shipped_copy, sentences=False).returncode != 0


def test_every_alert_has_a_case_for_both():
    fires, quiet = set[str](), set[str]()
    for test in cases():
        for asked in test.get("alert_rule_test", ()):
            (fires if asked["exp_alerts"] else quiet).add(asked["alertname"])
    assert fires == shipped.alerts().keys()
    assert quiet == shipped.alerts().keys() - ALWAYS


def test_every_recorded_name_has_a_case():
    asked = (asked["expr"] for test in cases() for asked in test.get("promql_expr_test", ()))
    looked_at = {name for expr in asked for name in shipped.metrics_in(expr)}
    assert shipped.recorded() - looked_at == set()


def test_promtool_and_amtool_accept_what_is_shipped(tmp_path: Path):
    need("promtool", WHY)
    need("amtool", WHY)
    done = ran("promtool", "check", "config", shipped.PROMETHEUS / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    # Debian's Alertmanager is older than `url_file`: what the file would hold stands in its place.
    (tmp_path / "alertmanager.yml").write_text(shipped.alertmanager(people="http://a.test/", dead_man="http://b.test/"))
    done = ran("amtool", "check-config", tmp_path / "alertmanager.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=CommonryWatchdog severity=none service=monitoring", "dead-man"),
        ("alertname=CommonrySagaStuck severity=critical service=bookings", "people"),
        ("alertname=CommonryTargetDown severity=warning service=redis", "people"),
        ("alertname=NobodyKnows", "people"),
    ],
)
def test_everybody_hears_what_is_theirs(labels: str, receiver: str, tmp_path: Path):
    need("amtool", WHY)
    config = tmp_path / "alertmanager.yml"
    config.write_text(shipped.alertmanager(people="http://a.test/", dead_man="http://b.test/"))
    done = ran("amtool", "config", "routes", "test", f"--config.file={config}", *labels.split())
    assert done.stdout.split() == [receiver]


def test_inhibitions_name_alerts_that_there_are():
    for rule in yaml.safe_load((shipped.PROMETHEUS / "alertmanager.yml").read_text())["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            name, _, pattern = re.fullmatch(r"(\w+) (=~?) \"?([^\"]*)\"?", matcher).groups()  # type: ignore[union-attr]
            assert name == "alertname"
            alternatives = re.fullmatch(r"Commonry\((.*)\)", pattern)
            for one in alternatives[1].split("|") if alternatives else [pattern.removeprefix("Commonry")]:
                assert any(re.fullmatch(f"Commonry{one}", alert) for alert in shipped.alerts()), matcher


@pytest.mark.parametrize("name", shipped.alerts())
def test_an_alert_says_what_to_do(name: str):
    alert = shipped.alerts()[name]
    said = alert["annotations"]
    assert alert["labels"]["severity"] in ("critical", "warning", "none")
    assert 10 < len(said["summary"]) < 120
    assert len(said["description"]) > 60
    page = shipped.ROOT / said["runbook_url"]
    assert page.parent == shipped.RUNBOOKS
    assert f"## {name}\n" in page.read_text(), f"{page.name} has no part about {name}"


def test_every_page_belongs_to_an_alert():
    named = {Path(alert["annotations"]["runbook_url"]).name for alert in shipped.alerts().values()}
    assert {page.name for page in shipped.RUNBOOKS.glob("*.md")} - {"README.md"} == named
    for page in shipped.RUNBOOKS.glob("*.md"):
        for heading in re.findall(r"^## (Commonry\w+)$", page.read_text(), re.MULTILINE):
            assert shipped.alerts()[heading]["annotations"]["runbook_url"].endswith(page.name)


@cache
def known() -> set[str]:
    """Names that the code has, that rules record, and that exporters are known to have."""
    families = (family for metric in registered() for family in metric.describe())
    ours = {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}
    listed = yaml.safe_load((Path(__file__).parent / "exporters.yaml").read_text())
    return ours | shipped.recorded() | {name for names in listed.values() for name in names} | PROCESS


PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "process_max_fds"}
"""What the Prometheus client adds in every process of ours."""


def test_rules_ask_for_what_there_is():
    for rule in shipped.rules():
        assert shipped.metrics_in(rule["expr"]) - known() == set(), rule
    used = {name for rule in shipped.rules() for name in shipped.metrics_in(rule["expr"])}
    assert {"up", "commonry_due_stuck", "pg_up", "job:up:sum"} <= used, "the names are no longer found"


def test_dashboards_ask_for_what_there_is():
    asked = list(shipped.queries())
    assert len(asked) > 50
    for query in asked:
        assert shipped.metrics_in(query.expr) - known() == set(), query


def test_nothing_is_recorded_for_nobody():
    used = {name for rule in shipped.rules() for name in shipped.metrics_in(rule["expr"])}
    shown = {name for query in shipped.queries() for name in shipped.metrics_in(query.expr)}
    assert shipped.recorded() - used - shown == set()


def test_lists_of_exporters_hold_nothing_that_nobody_uses():
    used = {name for rule in shipped.rules() for name in shipped.metrics_in(rule["expr"])}
    shown = {name for query in shipped.queries() for name in shipped.metrics_in(query.expr)}
    listed = yaml.safe_load((Path(__file__).parent / "exporters.yaml").read_text())
    assert {name for names in listed.values() for name in names} - used - shown == set()


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        ('sum by (job, le) (rate(a_total{b="c d"}[5m])) / on (job) group_left (x) e:f:g', {"a_total", "e:f:g"}),
        ('max_over_time(up[1h]) > 2 unless on (job) label_replace(h, "i", "j", "k", "l")', {"up", "h"}),
        ("histogram_quantile(0.95, sum by (le) (m)) or vector(0)", {"m"}),
    ],
)
def test_names_are_found_in_queries(expr: str, names: set[str]):
    assert shipped.metrics_in(expr) == names
