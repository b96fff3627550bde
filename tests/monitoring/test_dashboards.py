"""The dashboards as files: as `tools/dashboards` says, understood by Grafana's own SDK, and fit to be read.

There is no Grafana to draw them with. That every query finds something is shown by `test_live.py`.
"""

import json
import re
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.monitoring import shipped
from tests.monitoring.test_rules import WHY, ran
from tests.needs import need
from tools.dashboards.writing import rendered, written

BUILT_IN = {"__rate_interval"}
UNITS = {value for name, value in vars(units).items() if isinstance(value, str) and not name.startswith("__")}
DASHBOARDS = shipped.dashboards()


def every_panel() -> Iterator[tuple[str, dict[str, Any]]]:
    for uid, dashboard in DASHBOARDS.items():
        for panel in shipped.panels(dashboard):
            yield uid, panel


def test_the_files_are_as_the_code_says():
    kept = {path.name: path.read_text("utf-8") for path in shipped.DASHBOARDS.glob("*.json")}
    assert kept == rendered(), "run `make dashboards`"


def test_what_is_no_longer_described_is_taken_away(tmp_path: Path):
    (tmp_path / "old.json").write_text("{}")
    assert {path.name for path in written(tmp_path)} == {"old.json", *rendered()}
    assert {path.name for path in tmp_path.iterdir()} == set(rendered())
    assert written(tmp_path) == []


def test_there_is_one_for_everything_that_was_promised():
    assert set(DASHBOARDS) == {f"commonry-{n}" for n in "overview service bookings gateway postgres redis".split()}


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_grafanas_sdk_knows_every_field(uid: str):
    register_default_plugins()
    dashboard = DASHBOARDS[uid]
    understood = Dashboard.from_json(json.loads(json.dumps(dashboard)))
    assert json.loads(json.dumps(understood, cls=JSONEncoder)) == dashboard


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_all_panels_have_their_place(uid: str):
    """Every line of panels is 24 wide, without a hole, and all in it are of one height."""
    panels = DASHBOARDS[uid]["panels"]
    places = [panel["gridPos"] | {"is_row": panel["type"] == "row"} for panel in panels]
    lines = [list(line) for _, line in groupby(places, key=lambda place: place["y"])]
    for line in lines:
        assert [place["x"] for place in line] == [sum(p["w"] for p in line[:n]) for n in range(len(line))]
        assert sum(place["w"] for place in line) == 24
        assert len({place["h"] for place in line}) == 1
    for above, below in pairwise(lines):
        assert below[0]["y"] == above[0]["y"] + above[0]["h"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    assert len(list(shipped.panels(DASHBOARDS[uid]))) <= 18, "a page that nobody can take in"


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_a_dashboard_leads_to_the_others(uid: str):
    dashboard = DASHBOARDS[uid]
    assert dashboard["tags"] == ["commonry"]
    assert [(link["type"], link["tags"], link["keepTime"]) for link in dashboard["links"]] == [
        ("dashboards", ["commonry"], True)
    ]
    assert dashboard["description"]


def test_every_panel_says_what_to_think_of_it():
    for uid, panel in every_panel():
        where = f"{uid}: {panel.get('title')}"
        assert panel["title"], where
        assert len(panel["description"]) > 25, where
        assert panel["description"].endswith((".", "?")), where
        unit = panel["fieldConfig"]["defaults"]["unit"]
        assert unit in UNITS or unit.startswith("suffix:"), f"{where}: {unit}"
        assert panel["targets"], where
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters), where


def test_titles_are_told_apart():
    for uid, dashboard in DASHBOARDS.items():
        titles = [panel["title"] for panel in shipped.panels(dashboard)]
        assert len(set(titles)) == len(titles), uid


def test_variables_in_queries_are_there_to_be_chosen():
    for uid, dashboard in DASHBOARDS.items():
        chosen = {variable["name"] for variable in dashboard["templating"]["list"]} | BUILT_IN
        for panel in shipped.panels(dashboard):
            for target in panel["targets"]:
                assert set(re.findall(r"\$\{?(\w+)", json.dumps(target))) <= chosen, (uid, panel["title"])


def test_every_query_is_promql(tmp_path: Path):
    need("promtool", WHY)
    rules = [
        {"record": f"q:{n}", "expr": query.expr.replace("$__rate_interval", "1m")}
        for n, query in enumerate(shipped.queries())
    ]
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = ran("promtool", "check", "rules", tmp_path / "queries.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_query_that_is_none_is_noticed(tmp_path: Path):
    need("promtool", WHY)
    rules = [{"record": "q", "expr": "sum by (a (b)"}]
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    assert ran("promtool", "check", "rules", tmp_path / "queries.yaml").returncode != 0


def test_grafana_is_told_where_things_are():
    provisioning = shipped.DASHBOARDS.parent / "provisioning"
    sources = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert [source["type"] for source in sources if source.get("isDefault")] == ["prometheus"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "commonry.yaml").read_text())["providers"]
    assert provider["type"] == "file"
    assert provider["allowUiUpdates"] is False
