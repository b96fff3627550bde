"""The manifests of deploy/kubernetes: rendered, known to Kubernetes and to those whose they are, consistent.

No cluster is to be had in tests, so this is as far as it goes without one: docs/how-to/run-on-kubernetes.md says so.
"""

import json
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.deploy import kubernetes_checks, kubernetes_outside, kubernetes_running
from tests.deploy.kubernetes_network import network
from tests.deploy.manifests import HOW_TO, OVERLAYS, ROOT, Doc, World, images, kustomized, rendered, space, world
from tools import prometheus_rules

SCHEMAS = Path(__file__).parent / "schemas"
KNOWN = list(dict.fromkeys(kubernetes_validate.utils.all_versions()))  # the oldest first, each once
VERSIONS = [version.rpartition(".")[0] for version in KNOWN[-3:]]
CHECKS = (*kubernetes_checks.CHECKS, *kubernetes_outside.CHECKS, *kubernetes_running.CHECKS, network)

pytestmark = pytest.mark.timeout(60)
overlays = pytest.mark.parametrize("overlay", OVERLAYS)


def name_of(doc: Doc) -> str:
    return f"{doc['kind']} {doc['metadata']['name']}"


@overlays
def test_nothing_is_made_twice(overlay: str) -> None:
    names = [(doc["apiVersion"], doc["kind"], space(doc), doc["metadata"]["name"]) for doc in world(overlay).docs]
    assert len(names) == len(set(names))
    assert len(names) > 40


@pytest.fixture
def schemas_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package reads its megabytes anew for each resource, which takes longer than all the rest."""
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", cache(kubernetes_validate.utils.schema_contents))


@pytest.mark.usefixtures("schemas_read_once")
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(version: str) -> None:
    wrong: list[str] = []
    every = {rendering(doc): doc for overlay in OVERLAYS for doc in world(overlay).docs}
    for doc in every.values():
        if schema_of(doc):
            continue
        try:
            kubernetes_validate.validate(doc, version, strict=True)
        except kubernetes_validate.ValidationError as e:
            wrong.append(f"{name_of(doc)}: {e.message}")
    assert not wrong


def rendering(doc: Doc) -> str:
    return json.dumps(doc, sort_keys=True)


def schema_of(doc: Doc) -> dict[str, Any] | None:
    """Our own schema of a resource that is not Kubernetes' own."""
    group = doc["apiVersion"].partition("/")[0]
    file = SCHEMAS / f"{group}.{doc['kind'].lower()}.json"
    return json.loads(file.read_text("utf-8")) if file.exists() else None


@overlays
def test_resources_of_others_are_as_they_want_them(overlay: str) -> None:
    wrong = [
        f"{name_of(doc)}: {e.json_path} {e.message}"
        for doc in world(overlay).docs
        if (schema := schema_of(doc))
        for e in jsonschema.Draft202012Validator(schema).iter_errors(doc)
    ]
    assert not wrong


@pytest.mark.parametrize("file", sorted(SCHEMAS.glob("*.json")), ids=lambda f: f.stem)
def test_schemas_are_schemas_and_name_their_source(file: Path) -> None:
    schema = json.loads(file.read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert "source" in schema["$comment"].lower()
    used = [doc for overlay in OVERLAYS for doc in world(overlay).docs if schema_of(doc) == schema]
    assert used, "no overlay has such a resource"
    for doc in used:
        misspelt = json.loads(json.dumps(doc))
        misspelt["spec"]["nmbr"] = 1
        assert list(jsonschema.Draft202012Validator(schema).iter_errors(misspelt)), "it takes any field"


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
@overlays
def test_all_fits_together(overlay: str, check: kubernetes_checks.Check) -> None:
    assert list(check(world(overlay))) == []


def test_the_small_one_needs_nothing_but_kubernetes() -> None:
    assert [name_of(doc) for doc in world("small").docs if schema_of(doc)] == []
    assert {doc["spec"]["replicas"] for doc in world("small").kind("Deployment", "StatefulSet")} == {1}


def test_the_ingress_differs_by_its_door_only() -> None:
    ways, plain = world("production"), world("ingress")
    doors = ("Gateway", "HTTPRoute", "Ingress")

    def rest(of: World) -> list[Doc]:
        return [doc for doc in of.docs if doc["kind"] not in doors]

    assert rest(ways) == rest(plain)
    assert [d["kind"] for d in plain.kind(*doors)] == ["Ingress"]


def test_the_overlay_of_the_how_to_is_a_good_one(tmp_path: Path) -> None:
    (text,) = re.findall(
        r"^```yaml\n(# my-commonry/kustomization.yaml\n.*?)^```$", HOW_TO.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    mine = tmp_path / "my-commonry"
    mine.mkdir()
    shutil.copytree(ROOT / "deploy", tmp_path / "commonry/deploy")
    (mine / "kustomization.yaml").write_text(text, "utf-8")

    made = World([doc for doc in yaml.safe_load_all(kustomized(mine)) if doc])

    fitting = [check for check in CHECKS if check is not kubernetes_outside.pictures]  # the image is one's own
    assert [wrong for check in fitting for wrong in check(made)] == []
    ours, theirs = set(images(made.docs)), set(images(world("production").docs))
    assert ours - theirs == {"registry.example.org/commonry:0.1.0"}
    assert [d for d in made.docs if "commonry.example.org" in json.dumps(d)] == []


def test_no_secret_is_in_the_manifests() -> None:
    for overlay in OVERLAYS:
        assert world(overlay).kind("Secret") == []
        assert "PRIVATE KEY" not in rendered(overlay)


def test_rules_are_those_of_prometheus() -> None:
    assert prometheus_rules.RESOURCES.read_text("utf-8") == prometheus_rules.text(), (
        "run `.venv/bin/python -m tools.prometheus_rules`"
    )
    made = {doc["metadata"]["name"]: doc["spec"] for doc in world("production").kind("PrometheusRule")}
    written = {
        f"commonry-{f.stem}": yaml.safe_load(f.read_text("utf-8")) for f in prometheus_rules.RULES.glob("*.yaml")
    }
    assert made == written
    assert made


def test_every_dashboard_goes_along() -> None:
    boards = {f.name: f.read_text("utf-8") for f in (ROOT / "deploy/grafana/dashboards").glob("*.json")}
    assert boards
    carried: dict[str, str] = {}
    for doc in world("production").kind("ConfigMap"):
        if doc["metadata"].get("labels", {}).get("grafana_dashboard") == "1":
            carried |= doc["data"]
            assert sum(map(len, doc["data"].values())) < 900_000, "larger than a ConfigMap may be"
    assert {n: json.loads(t) for n, t in carried.items()} == {n: json.loads(t) for n, t in boards.items()}
