"""What must fit together in the manifests: names, keys, ports, settings, images.

Each check yields a sentence per mistake. `test_kubernetes_plants.py` plants one of every kind, so that a check which no
longer bites is noticed.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec

from commonry.cli.serving import OWNERS, SERVABLE, _check_complete
from commonry.cli.trouble import Trouble
from commonry.contracts.settings import Settings
from commonry.kit.settings import WrongSettings, load
from tests.deploy.manifests import Doc, Pod, World, selects, space, template_of

PREFIX = "COMMONRY_"
SETTINGS = {f"{PREFIX}{f.name.upper()}" for f in msgspec.structs.fields(Settings)}
Check = Callable[[World], Iterator[str]]


def selectors(world: World) -> Iterator[str]:
    """A workload finds its own pods; whatever else selects pods finds some, and a Service those of one workload."""
    pods = [*world.pods(), *world.operators_pods()]
    for doc in world.kind("Deployment", "StatefulSet"):
        if not selects(doc["spec"]["selector"], template_of(doc)["metadata"]["labels"]):
            yield f"{doc['kind']} {doc['metadata']['name']} does not select its own pods"
    for (namespace, name), behind in world.services().items():
        service = world.one("Service", name, namespace)
        if service and "selector" in service["spec"] and len(behind) != 1:
            yield f"Service {name} selects {len(behind)} kinds of pods: {[p.name for p in behind]}"
    for doc in world.kind("PodDisruptionBudget", "NetworkPolicy"):
        selector = doc["spec"]["selector" if doc["kind"] == "PodDisruptionBudget" else "podSelector"]
        if not any(p.namespace == space(doc) and selects(selector, p.labels) for p in pods):
            yield f"{doc['kind']} {doc['metadata']['name']} selects no pod"


def spreads(world: World) -> Iterator[str]:
    """What pods spread over are pods like themselves."""
    for pod in world.pods():
        for spread in pod.spec.get("topologySpreadConstraints", []):
            if not selects(spread["labelSelector"], pod.labels):
                yield f"{pod}: what it spreads over {spread['topologyKey']} is not itself"
            if missing := set(spread.get("matchLabelKeys", [])) - pod.labels.keys() - {HASH}:
                yield f"{pod}: spreads by {missing}, which it does not have"


HASH = "pod-template-hash"
"""A label that the Deployment's controller sets."""


def ports(world: World) -> Iterator[str]:
    """A Service's port leads to a port of the container. Headless ones do not translate."""
    for (namespace, name), behind in world.services().items():
        service = world.one("Service", name, namespace)
        for port in service["spec"]["ports"] if service else []:
            for pod in behind:
                number = _port_of(world, pod, port.get("targetPort", port["port"]))
                if number is None:
                    yield f"Service {name}: {pod} has no port {port.get('targetPort')}"
                elif service and service["spec"].get("clusterIP") == "None" and number != port["port"]:
                    yield f"Service {name} is headless and says {port['port']}, but {pod} listens on {number}"


def probed(world: World) -> Iterator[str]:
    """Probes ask a port of the container, and a service listens on it."""
    for pod in world.pods():
        for container in pod.containers:
            named = {p["name"]: p["containerPort"] for p in container.get("ports", [])}
            for probe in _probes(container).values():
                if "httpGet" in probe and probe["httpGet"]["port"] not in named:
                    yield f"{pod}: a probe asks port {probe['httpGet']['port']}, which {container['name']} has not"
            told = world.environment(pod, container).get("COMMONRY_PORT")
            if container.get("args", [""])[0] == "serve" and str(named.get("http")) != told:
                yield f"{pod}: listens on {told}, and its port is {named.get('http')}"


def _port_of(world: World, pod: Pod, wanted: Any) -> int | None:
    sidecars = [s for d in world.kind("postgresql") for s in d["spec"].get("sidecars", [])]
    containers = pod.spec.get("containers", []) if pod.spec else sidecars
    if isinstance(wanted, int):
        return wanted if wanted in pod.ports else None
    return {p["name"]: p["containerPort"] for c in containers for p in c.get("ports", [])}.get(wanted)


def _probes(container: Doc) -> dict[str, Doc]:
    return {k: container[k] for k in ("startupProbe", "livenessProbe", "readinessProbe") if k in container}


def references(world: World) -> Iterator[str]:
    """Every secret, map, key, account and claim that a pod names will be there."""
    for pod in world.pods():
        for container in pod.containers:
            yield from (f"{pod}: {wrong}" for wrong in _unresolved(world, pod, container))
        yield from _mounted(world, pod)
        account = world.one("ServiceAccount", pod.spec.get("serviceAccountName", "default"), pod.namespace)
        if account is None:
            yield f"{pod}: no ServiceAccount {pod.spec.get('serviceAccountName')}"


def _unresolved(world: World, pod: Pod, container: Doc) -> Iterator[str]:
    maps = _maps(world)
    for where, name in _sources(container, "secretKeyRef"):
        if (pod.namespace, *name) not in world.secrets():
            yield f"{where} is from secret {'/'.join(name)}, which nobody makes"
    for where, (name, key) in _sources(container, "configMapKeyRef"):
        if key not in maps.get((pod.namespace, name), {}).get("data", {}):
            yield f"{where} is from {name}/{key}, which is not there"
    for source in container.get("envFrom", []):
        if (pod.namespace, source["configMapRef"]["name"]) not in maps:
            yield f"no ConfigMap {source['configMapRef']['name']}"


def _maps(world: World) -> dict[tuple[str, str], Doc]:
    return {(space(d), d["metadata"]["name"]): d for d in world.kind("ConfigMap")}


def operators_references(world: World) -> Iterator[str]:
    """The same of what the operator is told to give its pods."""
    secrets, maps = world.secrets(), _maps(world)
    for doc in world.kind("postgresql"):
        for entry in doc["spec"].get("env", []):
            ref = entry.get("valueFrom", {}).get("secretKeyRef")
            if ref and (space(doc), ref["name"], ref["key"]) not in secrets:
                yield f"postgresql: {entry['name']} is from secret {ref['name']}/{ref['key']}, which nobody makes"
        for volume in doc["spec"].get("additionalVolumes", []):
            if (space(doc), volume["volumeSource"]["configMap"]["name"]) not in maps:
                yield f"postgresql: no ConfigMap for volume {volume['name']}"


def _sources(container: Doc, kind: str) -> Iterator[tuple[str, tuple[str, str]]]:
    for entry in container.get("env", []):
        if ref := entry.get("valueFrom", {}).get(kind):
            yield entry["name"], (ref["name"], ref["key"])


def _mounted(world: World, pod: Pod) -> Iterator[str]:
    volumes = {v["name"]: v for v in pod.spec.get("volumes", [])}
    owner = world.one("StatefulSet", pod.name, pod.namespace)
    claims = {c["metadata"]["name"] for c in owner["spec"].get("volumeClaimTemplates", [])} if owner else set[str]()
    mounted = {m["name"] for c in pod.containers for m in c.get("volumeMounts", [])}
    for name in mounted - volumes.keys() - claims:
        yield f"{pod}: mounts {name}, which is no volume"
    for name in volumes.keys() - mounted:
        yield f"{pod}: volume {name} is mounted nowhere"
    for name, volume in volumes.items():
        if "configMap" in volume and not world.one("ConfigMap", volume["configMap"]["name"], pod.namespace):
            yield f"{pod}: no ConfigMap for volume {name}"
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        if claim and not world.one("PersistentVolumeClaim", claim, pod.namespace):
            yield f"{pod}: no claim {claim}"


def environment(world: World) -> Iterator[str]:
    """Every `$(NAME)` is known before it is used. What our own program is told are settings, and good ones."""
    for pod in world.pods():
        for container in pod.containers:
            said = world.environment(pod, container)
            for name, value in said.items():
                if unknown := re.findall(r"\$\(\w+\)", value):
                    yield f"{pod}: {name} uses {unknown}, which is not known there"
            if container.get("args", [""])[0] in ("serve", "migrate"):
                yield from _told(pod, container["args"], said)


def _told(pod: Pod, args: list[str], said: dict[str, str]) -> Iterator[str]:
    for name in said:
        if name.startswith(PREFIX) and name not in SETTINGS:
            yield f"{pod}: {name} is not a setting"
    known = SERVABLE if args[0] == "serve" else OWNERS
    if len(args) != 2 or args[1] not in known:
        yield f"{pod}: `commonry {' '.join(args)}` names none of {known}"
        return
    try:
        settings = load(Settings, said)
        if args[0] == "serve":
            _check_complete(args[1], settings)
            if settings.host in ("127.0.0.1", "localhost"):
                yield f"{pod}: listens to itself only"
    except (WrongSettings, Trouble) as e:
        yield f"{pod}: {e}"


def addresses(world: World) -> Iterator[str]:
    """Every address that a process is told is a Service of ours, with that port; peers by `dns+`."""
    for pod in world.pods():
        for container in pod.containers:
            for name, host, port in called(world.environment(pod, container)):
                found = _service(world, pod, host)
                if found is None:
                    yield f"{pod}: {name} leads to {host}, which is no Service"
                elif port not in found:
                    yield f"{pod}: {name} asks port {port} of {host}, which has {sorted(found)}"
            for name, value in world.environment(pod, container).items():
                peer = re.fullmatch(rf"{PREFIX}(USERS|INVENTORY|BOOKINGS|PAYMENTS|ANALYTICS)_URL", name)
                if peer and value != f"dns+http://{peer[1].lower()}:{value.rpartition(':')[2]}":
                    yield f"{pod}: {name}={value} does not balance over the pods of {peer[1].lower()}"


def called(said: dict[str, str]) -> Iterator[tuple[str, str, int]]:
    """(setting, host, port) of all addresses in an environment."""
    for name, value in said.items():
        if name == "REDIS_NODES":
            yield from ((name, node, 6379) for node in value.split())
        elif name == "PGHOST":
            yield name, value, 5432
        elif name.startswith(PREFIX) and name.endswith("_URL"):
            for url in re.split("[, ]", value.strip()):
                parts = urlsplit(url.removeprefix("dns+"))
                if parts.scheme in ("file", "s3"):
                    continue  # no Service of ours
                yield name, parts.hostname or "", parts.port or (5432 if parts.scheme == "postgresql" else 80)


def _service(world: World, pod: Pod, host: str) -> set[int] | None:
    """Ports of the Service behind a name: `users`, `commonry-db.commonry-database`, or a pod, `redis-0.redis`."""
    found = resolve(world, pod, host)
    if found is None:
        return None
    doc = world.one("Service", found[1], found[0])
    return {p["port"] for p in doc["spec"]["ports"]} if doc else {5432}


def resolve(world: World, pod: Pod, host: str) -> tuple[str, str] | None:
    """(namespace, name) of the Service behind a name, as the cluster's DNS would find it from that pod."""
    known, parts = world.services(), host.split(".")
    if len(parts) == 1:
        guesses = [(pod.namespace, parts[0])]
    else:
        guesses = [(parts[1], parts[0])]
        members = world.one("StatefulSet", parts[0].rpartition("-")[0], pod.namespace)
        ordinal = parts[0].rpartition("-")[2]
        if members and members["spec"]["serviceName"] == parts[1] and int(ordinal) < members["spec"]["replicas"]:
            guesses.append((pod.namespace, parts[1]))
    return next((g for g in guesses if g in known), None)


CHECKS: tuple[Check, ...] = (
    selectors,
    spreads,
    ports,
    probed,
    references,
    operators_references,
    environment,
    addresses,
)
