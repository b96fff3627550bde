"""Who may talk to whom, by the NetworkPolicies, and who has to, by the addresses in the pods' settings.

`allowed` reads the policies as the cluster's network would; `wanted` derives it from settings, monitors and doors.
What differs is a mistake: a call that would hang, or a way in that nobody needs.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tests.deploy.kubernetes_checks import called, resolve
from tests.deploy.manifests import Doc, Pod, World, selects, space

KINDS = ("app.kubernetes.io/name", "app.kubernetes.io/component")


def outsider(name: str, namespace: str, labels: dict[str, str], ports: Iterable[int] = ()) -> Pod:
    return Pod(name, namespace, labels, frozenset(ports), kind="outside")


DOOR = outsider("door", "ingress-controller", {})
PROMETHEUS = outsider("prometheus", "monitoring", {})
OPERATOR = outsider("operator", "postgres-operator", {})
NAMES = outsider("names", "kube-system", {"k8s-app": "kube-dns"}, [53])
NEIGHBOUR = outsider("neighbour", "kube-system", {"k8s-app": "else"}, [53, 8080])
STRANGER = outsider("stranger", "elsewhere", {"app.kubernetes.io/name": "commonry", KINDS[1]: "gateway"}, [8000, 5432])
WORLD = outsider("the world", "", {}, [80, 443, 6443])
OUTSIDE = (DOOR, PROMETHEUS, OPERATOR, NAMES, NEIGHBOUR, STRANGER, WORLD)

LABELLED = {
    "ingress-controller": {"commonry/lets-people-in": "true"},
    "monitoring": {"commonry/reads-metrics": "true"},
    "postgres-operator": {"commonry/keeps-postgres": "true"},
}
"""What the how-to asks the operator of the cluster to say of his namespaces."""


class Call(NamedTuple):
    """One pod opens a connection to another's port."""

    source: str
    target: str
    port: int


def everybody(world: World) -> list[Pod]:
    return [*world.pods(), *world.operators_pods(), *OUTSIDE]


def allowed(world: World, side: str) -> set[Call]:
    """What the policies let through. `Egress`: of those who call; `Ingress`: of those who are called."""
    pods = everybody(world)
    return {
        Call(source.name, target.name, port)
        for source in pods
        for target in pods
        for port in target.ports
        if (own := source if side == "Egress" else target).kind != "outside"
        and _passes(world, side, own, target if side == "Egress" else source, port)
    }


def _passes(world: World, side: str, own: Pod, other: Pod, port: int) -> bool:
    """Whether `own` may call `other` (Egress) or be called by it (Ingress). Without a policy everything may."""
    policies = [
        p
        for p in world.kind("NetworkPolicy")
        if space(p) == own.namespace
        and side in p["spec"]["policyTypes"]
        and selects(p["spec"]["podSelector"], own.labels)
    ]
    rules = [rule for p in policies for rule in p["spec"].get(side.lower(), [])]
    return not policies or any(_covers(r, side, own, other, port) for r in rules)


def _covers(rule: Doc, side: str, own: Pod, other: Pod, port: int) -> bool:
    ports, peers = rule.get("ports"), rule.get("to" if side == "Egress" else "from")
    if ports is not None and port not in {p["port"] for p in ports}:
        return False
    return peers is None or any(_is_peer(peer, own, other) for peer in peers)


def _is_peer(peer: Doc, own: Pod, other: Pod) -> bool:
    if other is WORLD or "ipBlock" in peer:
        return False  # nobody here speaks of addresses; whoever is outside the cluster is covered by no selector
    if "namespaceSelector" in peer:
        labels = {"kubernetes.io/metadata.name": other.namespace} | LABELLED.get(other.namespace, {})
        there = selects(peer["namespaceSelector"], labels)
    else:
        there = other.namespace == own.namespace
    return there and selects(peer.get("podSelector", {}), other.labels)


def wanted(world: World, side: str) -> set[Call]:
    """What settings, monitors, doors and the operator's way of working ask for, seen from one side."""
    calls = set(_by_settings(world)) | set(_by_operator(world)) | set(_by_monitors(world))
    calls |= {Call(p.name, NAMES.name, 53) for p in everybody(world) if p.kind != "outside"}
    calls.add(Call(DOOR.name, "gateway", 8000))
    inside = {p.name for p in everybody(world) if p.kind != "outside"}
    return {c for c in calls if (c.source if side == "Egress" else c.target) in inside}


def _by_settings(world: World) -> Iterator[Call]:
    services = world.services()
    for pod in world.pods():
        for container in pod.containers:
            for _, host, port in called(world.environment(pod, container)):
                for target in services.get(resolve(world, pod, host) or ("", ""), []):
                    if pod.name != target.name or pod.kind == "StatefulSet":
                        yield Call(pod.name, target.name, port)
            if world.environment(pod, container).get("COMMONRY_FILES_URL", "").startswith("s3://"):
                yield Call(pod.name, WORLD.name, 443)
        if pod.name == "redis":
            yield Call("redis", "redis", 16379)  # the cluster's own bus


def _by_operator(world: World) -> Iterator[Call]:
    """Patroni and replication, poolers and backup to servers, the operator to both; the API and the object store."""
    for doc in world.kind("postgresql"):
        server = doc["metadata"]["name"]
        yield from (Call(server, server, port) for port in (5432, 8008))
        yield from (Call(OPERATOR.name, server, port) for port in (5432, 8008))
        for pod in world.operators_pods():
            if pod.name != server:
                yield Call(pod.name, server, 5432)
            if "connection-pooler" in pod.labels:
                yield Call(OPERATOR.name, pod.name, 5432)
            else:
                yield from (Call(pod.name, WORLD.name, port) for port in (443, 6443))


def _by_monitors(world: World) -> Iterator[Call]:
    services = world.services()
    for monitor in world.kind("ServiceMonitor"):
        for service in world.kind("Service"):
            spaces = monitor["spec"]["namespaceSelector"]["matchNames"]
            labels = service["metadata"].get("labels", {})
            if space(service) in spaces and selects(monitor["spec"]["selector"], labels):
                for endpoint in monitor["spec"]["endpoints"]:
                    ports = {p["name"]: p["port"] for p in service["spec"]["ports"]}
                    for pod in services[space(service), service["metadata"]["name"]]:
                        yield Call(PROMETHEUS.name, pod.name, ports[endpoint["port"]])


def network(world: World) -> Iterator[str]:
    """Both sides of every call that is wanted are allowed, and nothing else; to pods still to come, nothing at all."""
    for namespace in world.kind("Namespace"):
        nothing = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        name = namespace["metadata"]["name"]
        if nothing not in [p["spec"] for p in world.kind("NetworkPolicy") if space(p) == name]:
            yield f"in {name} what no policy names may do everything"
    for side in ("Egress", "Ingress"):
        asked, let = wanted(world, side), allowed(world, side)
        yield from (f"{side}: {c.source} must reach {c.target}:{c.port}, and may not" for c in sorted(asked - let))
        yield from (f"{side}: {c.source} may reach {c.target}:{c.port}, and need not" for c in sorted(let - asked))
