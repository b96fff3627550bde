"""The manifests of deploy/kubernetes as tests read them: rendered by kustomize, looked at as the cluster would.

A `World` is what one overlay makes. It knows the pods of its workloads, those that Zalando's operator makes of a
`postgresql`, and what a container's environment will be. Checks are in `kubernetes_checks.py` and its neighbours.
"""

import pickle
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.needs import need

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
OVERLAYS = ("small", "production", "ingress")
HOW_TO = ROOT / "docs/how-to/run-on-kubernetes.md"
SECRET = "secret-value"

Doc = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Pod:
    """One kind of pod: of a workload, of the operator, or somebody outside. `ports` are those it listens on."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    ports: frozenset[int]
    spec: Doc = field(default_factory=dict)
    kind: str = ""

    @property
    def containers(self) -> list[Doc]:
        return [*self.spec.get("initContainers", []), *self.spec.get("containers", [])]

    def __str__(self) -> str:
        return self.name


class World:
    """What an overlay makes."""

    def __init__(self, docs: list[Doc]) -> None:
        self.docs = docs
        self.told: dict[tuple[str, str], str] = {}
        """(secret, key) → what is in it. What is not said here is `SECRET`."""

    def kind(self, *kinds: str) -> list[Doc]:
        return [doc for doc in self.docs if doc["kind"] in kinds]

    def one(self, kind: str, name: str, namespace: str | None = None) -> Doc | None:
        """The one of that kind and name, if there is one."""
        found = [d for d in self.kind(kind) if d["metadata"]["name"] == name]
        return next((d for d in found if namespace in (None, space(d))), None)

    def pods(self) -> list[Pod]:
        """Every pod that our own manifests describe."""
        return [_pod(doc) for doc in self.kind("Deployment", "StatefulSet", "Job", "CronJob")]

    def operators_pods(self) -> list[Pod]:
        """Those that the operator makes of a `postgresql`: servers, poolers, and the logical backup."""
        made: list[Pod] = []
        for doc in self.kind("postgresql"):
            name, where, spec = doc["metadata"]["name"], space(doc), doc["spec"]
            sidecars = {p["containerPort"] for s in spec.get("sidecars", []) for p in s.get("ports", [])}
            labels = {"application": "spilo", "cluster-name": name}
            made.append(Pod(name, where, labels, frozenset({5432, 8008} | sidecars), kind="postgresql"))
            for wanted, suffix in (
                ("enableConnectionPooler", "pooler"),
                ("enableReplicaConnectionPooler", "pooler-repl"),
            ):
                if spec.get(wanted):
                    pooler = {"application": "db-connection-pooler", "connection-pooler": f"{name}-{suffix}"}
                    labels = {"cluster-name": name} | pooler
                    made.append(Pod(f"{name}-{suffix}", where, labels, frozenset({5432}), kind="postgresql"))
            if spec.get("enableLogicalBackup"):
                labels = {"application": "spilo-logical-backup", "cluster-name": name}
                made.append(Pod(f"{name}-logical-backup", where, labels, frozenset(), kind="postgresql"))
        return made

    def services(self) -> dict[tuple[str, str], list[Pod]]:
        """(namespace, name) → the pods behind it, also of the Services that the operator makes."""
        everybody = [*self.pods(), *self.operators_pods()]
        behind = {
            (space(s), s["metadata"]["name"]): [
                p for p in everybody if p.namespace == space(s) and has_labels(p, s["spec"].get("selector"))
            ]
            for s in self.kind("Service")
        }
        for pod in self.operators_pods():
            behind[pod.namespace, pod.name] = [pod]
        return behind

    def secrets(self) -> set[tuple[str, str, str]]:
        """(namespace, name, key) of every secret that will be there: made as the how-to says, or by the operator."""
        return set(secrets_of_the_how_to()) | {
            (role.partition(".")[0], secret_of(role, doc["metadata"]["name"]), key)
            for doc in self.kind("postgresql")
            for role in doc["spec"]["users"]
            for key in ("username", "password")
        }

    def environment(self, pod: Pod, container: Doc) -> dict[str, str]:
        """As the kubelet makes it. What cannot be resolved is left out."""
        said: dict[str, str] = {}
        for source in container.get("envFrom", []):
            named = self.one("ConfigMap", source["configMapRef"]["name"], pod.namespace)
            said |= named["data"] if named else {}
        own: dict[str, str] = {}
        for entry in container.get("env", []):
            value = self._value(pod, entry)
            if value is not None:
                own[entry["name"]] = re.sub(r"\$\((\w+)\)", lambda m: own.get(m[1], m[0]), value)
        return said | own

    def _value(self, pod: Pod, entry: Doc) -> str | None:
        match entry.get("valueFrom"):
            case None:
                return entry.get("value", "")
            case {"configMapKeyRef": ref}:
                named = self.one("ConfigMap", ref["name"], pod.namespace)
                return named["data"].get(ref["key"]) if named else None
            case {"secretKeyRef": ref}:
                return self.told.get((ref["name"], ref["key"]), SECRET)
            case {"fieldRef": {"fieldPath": path}}:
                label = re.fullmatch(r"metadata\.labels\['(.+)'\]", path)
                known = {"metadata.name": f"{pod.name}-0", "status.podIP": "10.1.2.3"}
                return pod.labels.get(label[1]) if label else known.get(path)
            case other:
                raise ValueError(f"no such source: {other}")


def space(doc: Doc) -> str:
    return doc["metadata"].get("namespace", "")


def secret_of(role: str, cluster: str) -> str:
    """How the operator calls the secret of a role (`secret_name_template`, its default)."""
    return f"{role.replace('_', '-')}.{cluster}.credentials.postgresql.acid.zalan.do"


def has_labels(pod: Pod, wanted: Mapping[str, str] | None) -> bool:
    """As a Service selects: a selector that says nothing selects nobody."""
    return bool(wanted) and wanted.items() <= dict(pod.labels).items()


def selects(selector: Doc, labels: Mapping[str, str]) -> bool:
    """As a LabelSelector does: an empty one selects everybody."""
    wanted = selector.get("matchLabels", {}).items() <= dict(labels).items()
    return wanted and all(_holds(e, labels) for e in selector.get("matchExpressions", []))


def _holds(expression: Doc, labels: Mapping[str, str]) -> bool:
    has = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return has in expression["values"]
        case "NotIn":
            return has not in expression["values"]
        case "Exists":
            return has is not None
        case "DoesNotExist":
            return has is None
        case other:
            raise ValueError(f"no such operator: {other}")


def template_of(doc: Doc) -> Doc:
    """The pod template of a workload."""
    spec = doc["spec"]["jobTemplate"]["spec"] if doc["kind"] == "CronJob" else doc["spec"]
    return spec["template"]


def _pod(doc: Doc) -> Pod:
    template = template_of(doc)
    ports = {p["containerPort"] for c in template["spec"]["containers"] for p in c.get("ports", [])}
    name, labels = doc["metadata"]["name"], template["metadata"].get("labels", {})
    return Pod(name, space(doc), labels, frozenset(ports), template["spec"], doc["kind"])


@cache
def rendered(overlay: str) -> str:
    """What `kubectl apply -k` would send, as YAML."""
    return kustomized(KUBERNETES / "overlays" / overlay)


def kustomized(folder: Path) -> str:
    """What kustomize makes of a folder."""
    kubectl = need("kubectl", "the manifests must be what kustomize makes of deploy/kubernetes")
    command = [kubectl, "kustomize", folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def _parsed(overlay: str) -> bytes:
    return pickle.dumps([doc for doc in yaml.load_all(rendered(overlay), yaml.CSafeLoader) if doc])


def world(overlay: str) -> World:
    """Fresh each time, so that a test may break it."""
    return World(pickle.loads(_parsed(overlay)))


MAKING = re.compile(
    r"^kubectl --namespace=(\S+) create secret (generic|tls) (\S+)((?:[^\n]*\\\n)*[^\n]*)", re.MULTILINE
)


@cache
def secrets_of_the_how_to() -> frozenset[tuple[str, str, str]]:
    """(namespace, name, key) of every secret that the commands of the how-to make."""
    return frozenset(
        (namespace, name, key)
        for namespace, kind, name, rest in MAKING.findall(_loops_unrolled(HOW_TO.read_text("utf-8")))
        for key in (("tls.crt", "tls.key") if kind == "tls" else re.findall(r"--from-literal=([\w.-]+)=", rest))
    )


def _loops_unrolled(text: str) -> str:
    """`for service in a b; do … done`: the lines inside, once for each."""

    def unroll(loop: re.Match[str]) -> str:
        lines = re.sub(r"^ +", "", loop[3], flags=re.MULTILINE)
        return "".join(lines.replace(f"${loop[1]}", word) for word in loop[2].split())

    return re.sub(r"^for (\w+) in ([\w ]+); do\n(.*?)^done$", unroll, text, flags=re.MULTILINE | re.DOTALL)


def images(docs: list[Doc]) -> Iterator[str]:
    """Every image that is named anywhere, also in the operator's resources."""
    for doc in docs:
        yield from _images(doc)


def _images(thing: Any) -> Iterator[str]:
    if isinstance(thing, dict):
        if isinstance(image := thing.get("image"), str):
            yield image
        for inner in thing.values():
            yield from _images(inner)
    elif isinstance(thing, list):
        for inner in thing:
            yield from _images(inner)
