"""How pods of the manifests run: what probes mean, how they end, what they may do, how many, what they migrate.

Each check yields a sentence per mistake, as in `kubernetes_checks.py`.
"""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from commonry.cli.listening import GRACE
from commonry.cli.serving import OWNERS
from commonry.contracts.settings import Settings
from commonry.kit.settings import load
from tests.deploy.kubernetes_checks import Check, resolve
from tests.deploy.manifests import ROOT, Doc, Pod, World, secret_of, selects, space

CLOSING = 7
"""Seconds for last answers on kept connections, and for closing those to the database."""
NOTICED = 11
"""Seconds until nobody sends to a pod that ends: 5 in the cluster's DNS, 5 between our looks, 1 for the endpoints."""
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
"""Kinds of volumes that the `restricted` profile allows."""
ONCE = {"analytics"}
"""Who has a volume that is on one machine at a time, and can be away for some minutes."""
CONNECTIONS_KEPT = 40
"""Of a server's connections: for the operator, replication, the exporter, migrations, backups, and people."""


def ours(world: World) -> Iterator[tuple[Pod, Doc]]:
    """The services of our own, each with its container."""
    for pod in world.pods():
        if pod.kind == "Deployment":
            yield pod, pod.containers[0]


def probes(world: World) -> Iterator[str]:
    """Alive asks nothing but the process. Ready asks for what it needs; but a gateway is of use whoever is away."""
    for pod, container in ours(world):
        asked = {kind: container.get(f"{kind}Probe", {}).get("httpGet", {}).get("path") for kind in KINDS}
        ready = "/healthz" if pod.name == "gateway" else "/readyz"
        if asked != {"startup": "/healthz", "liveness": "/healthz", "readiness": ready}:
            yield f"{pod}: probes ask {asked}"
    for pod in world.pods():
        if pod.kind in ("Deployment", "StatefulSet"):
            for container in pod.spec["containers"]:
                if missing := [k for k in ("liveness", "readiness") if f"{k}Probe" not in container]:
                    yield f"{pod}: {container['name']} has no probe for {missing}"


KINDS = ("startup", "liveness", "readiness")


def endings(world: World) -> Iterator[str]:
    """Told to end only when nobody sends any more, and then left the time it needs."""
    for pod, container in ours(world):
        waits = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if waits < NOTICED:
            yield f"{pod}: is told to end after {waits} s, while others may send for {NOTICED}"
        if pod.spec.get("terminationGracePeriodSeconds", 30) < waits + GRACE + CLOSING:
            yield f"{pod}: is killed before it has ended"


def hardened(world: World) -> Iterator[str]:
    """The `restricted` profile, and more: nothing to write on, no token, nothing without limits."""
    for doc in world.kind("Namespace"):
        level = doc["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce")
        own = any(pod.namespace == doc["metadata"]["name"] for pod in world.pods())
        if level != ("restricted" if own else "baseline"):
            yield f"namespace {doc['metadata']['name']} enforces {level}"
    for account in world.kind("ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"ServiceAccount {account['metadata']['name']} gives its token to pods"
    for pod in world.pods():
        yield from (f"{pod}: {wrong}" for wrong in _loose(pod))
        if world.one("Namespace", pod.namespace) is None:
            yield f"{pod}: is in namespace {pod.namespace!r}, which is not ours"


def _loose(pod: Pod) -> Iterator[str]:
    spec, whole = pod.spec, pod.spec.get("securityContext", {})
    if whole.get("runAsNonRoot") is not True or whole.get("runAsUser", 0) <= 10000:
        yield "may be root, or a user of the node"
    if whole.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "has no seccomp profile"
    if spec.get("automountServiceAccountToken") is not False or spec.get("enableServiceLinks") is not False:
        yield "is given a token, or everybody's addresses"
    if shared := [k for k in ("hostNetwork", "hostPID", "hostIPC") if spec.get(k)]:
        yield f"shares {shared} with the node"
    if odd := {k for v in spec.get("volumes", []) for k in v if k != "name"} - VOLUMES:
        yield f"has volumes of kind {odd}"
    yield from (f"{c['name']} {wrong}" for c in pod.containers for wrong in _loose_container(c))


def _loose_container(container: Doc) -> Iterator[str]:
    said, sizes = container.get("securityContext", {}), container.get("resources", {})
    if said.get("capabilities") != {"drop": ["ALL"]} or said.get("allowPrivilegeEscalation") is not False:
        yield "keeps capabilities, or may gain some"
    if said.get("readOnlyRootFilesystem") is not True or said.get("privileged"):
        yield "may write to its image, or to anything"
    for kind in ("requests", "limits"):
        if not {"cpu", "memory"} <= sizes.get(kind, {}).keys():
            yield f"has no {kind}"


def several(world: World) -> Iterator[str]:
    """Where there is scaling at all: each service at least twice, as its autoscaler says."""
    scalers = world.kind("HorizontalPodAutoscaler")
    deployments = {d["metadata"]["name"]: d for d in world.kind("Deployment")} if scalers else {}
    for scaler in scalers:
        target = scaler["spec"]["scaleTargetRef"]
        if target["kind"] != "Deployment" or target["name"] not in deployments:
            yield f"HorizontalPodAutoscaler {scaler['metadata']['name']} scales {target}, which is not there"
    least = {s["spec"]["scaleTargetRef"]["name"]: s["spec"]["minReplicas"] for s in scalers}
    for name, deployment in deployments.items():
        if "replicas" in deployment["spec"] and name in least:
            yield f"{name}: its number is said twice, here and by its autoscaler"
        if name not in ONCE and least.get(name, deployment["spec"].get("replicas", 1)) < 2:
            yield f"{name}: runs once"


def apart(world: World) -> Iterator[str]:
    """Where there is scaling at all: a disruption budget for each, and pods spread over zones and nodes."""
    budgets = world.kind("PodDisruptionBudget")
    scaled = [p for p in world.pods() if p.kind in ("Deployment", "StatefulSet") and p.name not in ONCE]
    for pod in scaled if budgets else ():
        matching = [b for b in budgets if space(b) == pod.namespace and selects(b["spec"]["selector"], pod.labels)]
        if [b["spec"].get("maxUnavailable") for b in matching] != [1]:
            yield f"{pod}: has {len(matching)} disruption budgets, or one that allows other than 1"
        keys = {s["topologyKey"] for s in pod.spec.get("topologySpreadConstraints", [])}
        affinity = pod.spec.get("affinity", {}).get("podAntiAffinity")
        if "topology.kubernetes.io/zone" not in keys or not (affinity or "kubernetes.io/hostname" in keys):
            yield f"{pod}: is not spread over zones and nodes"


def migrations(world: World) -> Iterator[str]:
    """A Job per service and release, with the same database and role as the service, never through a pooler."""
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert version
    for service in OWNERS:
        name = f"migrate-{service}-{version[1].replace('.', '-')}"
        job, deployment = world.one("Job", name), world.one("Deployment", service)
        if job is None or deployment is None:
            yield f"no Job {name}, or nobody who waits for it"
            continue
        pods = {p.name: p for p in world.pods() if p.kind in ("Job", "Deployment")}
        urls = {}
        for pod in (pods[name], pods[service]):
            container = pod.spec["containers"][0]
            urls[pod.kind] = urlsplit(world.environment(pod, container).get("COMMONRY_DATABASE_URL", ""))
            if urls[pod.kind].path != f"/{service}":
                yield f"{pod}: its database is {urls[pod.kind].path}"
        if _roles(pods[name]) != _roles(pods[service]):
            yield f"{service}: is migrated as another role than it works as"
        if pods[name].spec["containers"][0]["args"] != ["migrate", service]:
            yield f"{name}: does something else"
        if _is_pooler(world, pods[name], urls["Job"].hostname):
            yield f"{name}: migrates through the pooler, which has no sessions"


def _roles(pod: Pod) -> set[str]:
    found = {e["name"]: e.get("valueFrom", {}).get("secretKeyRef", {}) for e in pod.spec["containers"][0]["env"]}
    return {found[n].get("name", "") + "/" + found[n].get("key", "") for n in ("DATABASE_USER", "DATABASE_PASSWORD")}


def _is_pooler(world: World, pod: Pod, host: str | None) -> bool:
    behind = world.services().get(resolve(world, pod, host or "") or ("", ""), [])
    return any("connection-pooler" in p.labels for p in behind)


def databases(world: World) -> Iterator[str]:
    """The operator's PostgreSQL: a database and a role per service, copies in step, room for all connections."""
    for doc in world.kind("postgresql"):
        spec, patroni = doc["spec"], doc["spec"]["patroni"]
        owners = sorted(spec["databases"].values())
        if set(spec["databases"]) != set(OWNERS) or sorted([*owners, *(f"{o}_reader" for o in owners)]) != sorted(
            spec["users"]
        ):
            yield f"databases are {spec['databases']}, and roles {[*spec['users']]}"
        if spec["numberOfInstances"] < 3 or not patroni.get("synchronous_mode"):
            yield "a commit may be on one machine only"
        if patroni["ttl"] < patroni["loop_wait"] + 2 * patroni["retry_timeout"] or patroni["ttl"] > 20:
            yield f"a failure is noticed too late, or too early: {patroni}"
        if not doc["metadata"]["name"].startswith(f"{spec['teamId']}-"):
            yield f"{doc['metadata']['name']} does not begin with its team's name"
        most = 2 * len(spec["databases"]) * spec["connectionPooler"]["maxDBConnections"]
        if most + CONNECTIONS_KEPT > int(spec["postgresql"]["parameters"]["max_connections"]):
            yield f"poolers may open {most} connections, and too few are left"
        archived = {e["name"] for e in spec["env"]}
        if not {"USE_WALG_BACKUP", "WAL_S3_BUCKET"} <= archived or not spec.get("enableLogicalBackup"):
            yield "it is not archived and dumped"


def roles(world: World) -> Iterator[str]:
    """A service works as the owner of its database, and prepares statements only where sessions last."""
    for doc in world.kind("postgresql"):
        for pod, container in ours(world):
            owner = doc["spec"]["databases"].get(pod.name)
            if owner is None:
                continue
            if _roles(pod) != {f"{secret_of(owner, doc['metadata']['name'])}/{k}" for k in ("username", "password")}:
                yield f"{pod}: its secret is not that of the owner of its database"
            said = world.environment(pod, container)
            host = urlsplit(said.get("COMMONRY_DATABASE_URL", "")).hostname
            prepares = said.get("COMMONRY_DATABASE_PREPARE", "true") == "true"
            if _is_pooler(world, pod, host) == prepares:
                yield f"{pod}: prepares statements: {prepares}, at {host}"


def volumes(world: World) -> Iterator[str]:
    """A volume that one machine has at a time: its Deployment has one pod, never two, and who shares it goes there."""
    for pod in world.pods():
        claims = _claims(pod)
        if not claims:
            continue
        if pod.kind == "Deployment" and world.kind("HorizontalPodAutoscaler"):  # else there is one machine
            strategy = (world.one("Deployment", pod.name) or {"spec": {}})["spec"].get("strategy")
            if pod.name not in ONCE or strategy != {"type": "Recreate"}:
                yield f"{pod}: a second pod would wait for the first one's volume: {strategy}"
        beside = [p for p in world.pods() if p.kind == "Deployment" and p is not pod and claims & _claims(p)]
        wanted = pod.spec.get("affinity", {}).get("podAffinity", {})
        terms = wanted.get("requiredDuringSchedulingIgnoredDuringExecution", [])
        for other in beside if pod.kind == "CronJob" else ():
            near = [t for t in terms if t["topologyKey"] == "kubernetes.io/hostname"]
            if not any(selects(t["labelSelector"], other.labels) for t in near):
                yield f"{pod}: may be put where the volume of {other} is not"


def _claims(pod: Pod) -> set[str]:
    return {
        v["persistentVolumeClaim"]["claimName"] for v in pod.spec.get("volumes", []) if "persistentVolumeClaim" in v
    }


def warehouse(world: World) -> Iterator[str]:
    """It is brought up to date by a CronJob, as roles that only read, one for each service; and by nobody else."""
    pods = {p.name: p for p in world.pods()}
    etl, analytics = pods["etl"], pods["analytics"]
    said = world.environment(etl, etl.containers[0])
    settings = load(Settings, said)
    if etl.containers[0]["args"] != ["etl", "run", "--scheduled"]:
        yield f"etl: does {etl.containers[0]['args']}"
    if said.keys() & {"COMMONRY_DATABASE_URL", "COMMONRY_SERVICE_TOKEN"}:
        yield "etl: may do more than read"
    readers = {r.removesuffix("_reader") for d in world.kind("postgresql") for r in d["spec"]["users"] if "_r" in r}
    for service in OWNERS:
        url = urlsplit(settings.warehouse_source(service))
        owner = f"commonry.{service}" if readers else service
        if url.path != f"/{service}" or url.username != f"{owner}_reader":
            yield f"etl: reads {service} as {url.username} from {url.path}"
    there = world.environment(analytics, analytics.containers[0])
    if there.get("COMMONRY_ETL_MINUTES") != "0" or there.get("COMMONRY_DATA") != said.get("COMMONRY_DATA"):
        yield "analytics: brings it up to date too, or has another one"


CHECKS: tuple[Check, ...] = (
    probes,
    endings,
    hardened,
    several,
    apart,
    volumes,
    migrations,
    databases,
    roles,
    warehouse,
)
