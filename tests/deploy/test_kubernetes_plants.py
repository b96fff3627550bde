"""Mistakes planted in the manifests, one of every kind that a check looks for: each must be found.

The network's are derived from policies and settings, so a mistake on either side is one.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy import kubernetes_checks as fit
from tests.deploy import kubernetes_outside as out
from tests.deploy import kubernetes_running as run
from tests.deploy.kubernetes_network import network
from tests.deploy.manifests import World, world

pytestmark = pytest.mark.timeout(60)
GONE = object()
CONTAINER = "spec.template.spec.containers.0"
OF_CRON = f"spec.jobTemplate.{CONTAINER}"
POLICY = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}


def put(kind: str, name: str, path: str, value: Any) -> Callable[[World], None]:
    """Change one field of one resource; `GONE` takes it away. Generated maps may be named without their hash."""

    def change(of: World) -> None:
        docs = [
            d for d in of.kind(kind) if d["metadata"]["name"] == name or d["metadata"]["name"].startswith(f"{name}-")
        ]
        at: Any = min(docs, key=lambda d: len(d["metadata"]["name"]))
        *way, last = path.split(".")
        for step in way:
            at = at[_key(at, step)]
        if value is GONE:
            del at[_key(at, last)]
        elif last == "+":
            at.append(value)
        else:
            at[_key(at, last)] = value

    return change


def _key(at: Any, step: str) -> Any:
    return int(step) if isinstance(at, list) else step


def env(kind: str, name: str, variable: str, **entry: Any) -> Callable[[World], None]:
    """Give a container another value of a variable."""

    def change(of: World) -> None:
        doc = next(d for d in of.kind(kind) if d["metadata"]["name"].startswith(name))
        entries = doc["spec"]["template"]["spec"]["containers"][0]["env"]
        entries[:] = [e for e in entries if e["name"] != variable] + [{"name": variable} | entry]

    return change


def drop(kind: str, name: str) -> Callable[[World], None]:
    return lambda of: of.docs.remove(next(d for d in of.kind(kind) if d["metadata"]["name"].startswith(name)))


def policy(name: str, spec: dict[str, Any]) -> Callable[[World], None]:
    head = {"apiVersion": "networking.k8s.io/v1", "metadata": {"name": name, "namespace": "commonry"}}
    return lambda of: of.docs.append(head | {"kind": "NetworkPolicy", "spec": spec})


SECRET_OF_ANOTHER = {
    "secretKeyRef": {"name": "commonry.users.commonry-db.credentials.postgresql.acid.zalan.do", "key": "password"}
}
PLANTS: list[tuple[str, fit.Check, Callable[[World], None]]] = [
    (
        "a Deployment that loses its pods",
        fit.selectors,
        put("Deployment", "users", "spec.template.metadata.labels", {}),
    ),
    ("a Service without pods", fit.selectors, put("Service", "users", "spec.selector", {"app": "usrs"})),
    (
        "a Service over everybody",
        fit.selectors,
        put("Service", "users", "spec.selector", {"app.kubernetes.io/name": "commonry"}),
    ),
    (
        "a budget for nobody",
        fit.selectors,
        put("PodDisruptionBudget", "users", "spec.selector.matchLabels", {"a": "b"}),
    ),
    ("a policy for nobody", fit.selectors, put("NetworkPolicy", "users", "spec.podSelector.matchLabels", {"a": "b"})),
    (
        "spread by a label that is not there",
        fit.spreads,
        put("Deployment", "users", "spec.template.spec.topologySpreadConstraints.0.matchLabelKeys", ["tier"]),
    ),
    ("another port", fit.ports, put("Service", "users", "spec.ports.0.port", 8009)),
    ("a port that nobody has", fit.ports, put("Service", "gateway", "spec.ports.0.targetPort", "https")),
    ("a probe of no port", fit.probed, put("Deployment", "users", f"{CONTAINER}.livenessProbe.httpGet.port", "admin")),
    ("listening elsewhere", fit.probed, env("Deployment", "users", "COMMONRY_PORT", value="8000")),
    (
        "a secret that nobody makes",
        fit.references,
        env("Deployment", "users", "DATABASE_USER", valueFrom={"secretKeyRef": {"name": "users", "key": "username"}}),
    ),
    (
        "a key that a secret lacks",
        fit.references,
        env(
            "Deployment",
            "users",
            "COMMONRY_SERVICE_TOKEN",
            valueFrom={"secretKeyRef": {"name": "service-token", "key": "tokn"}},
        ),
    ),
    (
        "a key that a map lacks",
        fit.references,
        env("Deployment", "users", "DATABASE_HOST", valueFrom={"configMapKeyRef": {"name": "database", "key": "hst"}}),
    ),
    ("a map that is gone", fit.references, drop("ConfigMap", "settings")),
    ("a script that is gone", fit.references, drop("ConfigMap", "redis-node")),
    ("queries that are gone", fit.operators_references, drop("ConfigMap", "postgres-queries")),
    ("an account that is gone", fit.references, drop("ServiceAccount", "users")),
    (
        "a mount of nothing",
        fit.references,
        put("Deployment", "users", f"{CONTAINER}.volumeMounts.+", {"name": "data", "mountPath": "/d"}),
    ),
    (
        "an archive without its secret",
        fit.operators_references,
        put("postgresql", "commonry-db", "spec.env.5.valueFrom.secretKeyRef.name", "s3"),
    ),
    ("a setting that is none", fit.environment, env("Deployment", "users", "COMMONRY_LOGLEVEL", value="info")),
    (
        "a setting that is wrong",
        fit.environment,
        put("ConfigMap", "settings", "data.COMMONRY_TRUSTED_PROXIES", "private"),
    ),
    ("a setting that is missing", fit.environment, put("ConfigMap", "settings", "data.COMMONRY_USERS_URL", GONE)),
    ("listening to oneself", fit.environment, put("ConfigMap", "settings", "data.COMMONRY_HOST", GONE)),
    (
        "a variable before it is known",
        fit.environment,
        env("Deployment", "users", "DATABASE_PASSWORD", valueFrom=SECRET_OF_ANOTHER),
    ),
    ("a service that is none", fit.environment, put("Deployment", "users", f"{CONTAINER}.args", ["serve", "members"])),
    ("a misspelt peer", fit.addresses, put("ConfigMap", "settings", "data.COMMONRY_USERS_URL", "dns+http://usrs:8001")),
    (
        "a peer's wrong port",
        fit.addresses,
        put("ConfigMap", "settings", "data.COMMONRY_USERS_URL", "dns+http://users:8000"),
    ),
    (
        "a peer that is not balanced",
        fit.addresses,
        put("ConfigMap", "settings", "data.COMMONRY_USERS_URL", "http://users:8001"),
    ),
    ("a database that is not there", fit.addresses, put("ConfigMap", "database", "data.host", "commonry-db-pooler")),
    ("a cache node too many", fit.addresses, put("StatefulSet", "redis", "spec.replicas", 2)),
    ("a door to a service", out.doors, put("HTTPRoute", "commonry", "spec.rules.1.backendRefs.0.name", "users")),
    ("metrics for the street", out.doors, put("HTTPRoute", "commonry", "spec.rules.0", GONE)),
    ("a door without its frame", out.doors, put("HTTPRoute", "commonry", "spec.parentRefs.0.sectionName", "tls")),
    (
        "a certificate that nobody makes",
        out.doors,
        put("Gateway", "commonry", "spec.listeners.1.tls.certificateRefs.0.name", "tls"),
    ),
    (
        "another image than compose's",
        out.pictures,
        put("StatefulSet", "redis", f"{CONTAINER}.image", "docker.io/library/redis:7"),
    ),
    ("another version", out.pictures, put("Deployment", "users", f"{CONTAINER}.image", "commonry:0.0.9")),
    ("metrics that nobody reads", out.monitored, put("Service", "users", "metadata.labels", {})),
    ("a monitor of nothing", out.monitored, put("ServiceMonitor", "redis", "spec.selector.matchLabels", {"a": "b"})),
    ("a monitor of no port", out.monitored, put("ServiceMonitor", "redis", "spec.endpoints.0.port", "http")),
    (
        "liveness that asks the database",
        run.probes,
        put("Deployment", "users", f"{CONTAINER}.livenessProbe.httpGet.path", "/readyz"),
    ),
    (
        "readiness that asks nothing",
        run.probes,
        put("Deployment", "users", f"{CONTAINER}.readinessProbe.httpGet.path", "/healthz"),
    ),
    (
        "a gateway that one service takes down",
        run.probes,
        put("Deployment", "gateway", f"{CONTAINER}.readinessProbe.httpGet.path", "/readyz"),
    ),
    ("a server without probes", run.probes, put("StatefulSet", "redis", f"{CONTAINER}.readinessProbe", GONE)),
    ("an end without notice", run.endings, put("Deployment", "users", f"{CONTAINER}.lifecycle", GONE)),
    (
        "too little time to end",
        run.endings,
        put("Deployment", "users", "spec.template.spec.terminationGracePeriodSeconds", 20),
    ),
    ("a namespace for everything", run.hardened, put("Namespace", "commonry", "metadata.labels", {})),
    ("an account with a token", run.hardened, put("ServiceAccount", "users", "automountServiceAccountToken", True)),
    ("root", run.hardened, put("Deployment", "users", "spec.template.spec.securityContext.runAsUser", 0)),
    (
        "no seccomp profile",
        run.hardened,
        put("Deployment", "users", "spec.template.spec.securityContext.seccompProfile", GONE),
    ),
    (
        "a pod with a token",
        run.hardened,
        put("Deployment", "users", "spec.template.spec.automountServiceAccountToken", GONE),
    ),
    ("the node's network", run.hardened, put("Deployment", "users", "spec.template.spec.hostNetwork", True)),
    (
        "the node's disk",
        run.hardened,
        put("Deployment", "users", "spec.template.spec.volumes.+", {"name": "x", "hostPath": {"path": "/"}}),
    ),
    (
        "capabilities",
        run.hardened,
        put("StatefulSet", "redis", "spec.template.spec.containers.1.securityContext.capabilities", GONE),
    ),
    (
        "a writable image",
        run.hardened,
        put("Deployment", "users", f"{CONTAINER}.securityContext.readOnlyRootFilesystem", False),
    ),
    ("no limits", run.hardened, put("Job", "migrate-users", f"{CONTAINER}.resources.limits", GONE)),
    ("no namespace", run.hardened, put("Deployment", "users", "metadata.namespace", "default")),
    ("once only", run.several, put("HorizontalPodAutoscaler", "users", "spec.minReplicas", 1)),
    ("two who say how many", run.several, put("Deployment", "users", "spec.replicas", 2)),
    (
        "an autoscaler of nobody",
        run.several,
        put("HorizontalPodAutoscaler", "users", "spec.scaleTargetRef.name", "members"),
    ),
    ("no budget", run.apart, drop("PodDisruptionBudget", "users")),
    ("a budget that allows all", run.apart, put("PodDisruptionBudget", "redis", "spec.maxUnavailable", 6)),
    ("all on one machine", run.apart, put("Deployment", "users", "spec.template.spec.topologySpreadConstraints", [])),
    ("a migration that is missing", run.migrations, drop("Job", "migrate-payments")),
    (
        "a migration of the last release",
        run.migrations,
        put("Job", "migrate-users", "metadata.name", "migrate-users-0-0-9"),
    ),
    (
        "a migration of another database",
        run.migrations,
        put("Job", "migrate-users", f"{CONTAINER}.args", ["migrate", "payments"]),
    ),
    (
        "a migration as another role",
        run.migrations,
        env("Job", "migrate-bookings", "DATABASE_PASSWORD", valueFrom=SECRET_OF_ANOTHER),
    ),
    (
        "a migration through the pooler",
        run.migrations,
        put("ConfigMap", "database", "data.migrations-host", "commonry-db-pooler.commonry-database"),
    ),
    ("a database that is missing", run.databases, put("postgresql", "commonry-db", "spec.databases.payments", GONE)),
    ("a role that owns nothing", run.databases, put("postgresql", "commonry-db", "spec.users.reader", [])),
    ("commits on one machine", run.databases, put("postgresql", "commonry-db", "spec.patroni.synchronous_mode", False)),
    (
        "a lease shorter than its renewal",
        run.databases,
        put("postgresql", "commonry-db", "spec.patroni.retry_timeout", 10),
    ),
    (
        "more connections than there are",
        run.databases,
        put("postgresql", "commonry-db", "spec.connectionPooler.maxDBConnections", 60),
    ),
    ("no archive", run.databases, put("postgresql", "commonry-db", "spec.env", [])),
    (
        "somebody else's password",
        run.roles,
        env("Deployment", "payments", "DATABASE_PASSWORD", valueFrom=SECRET_OF_ANOTHER),
    ),
    (
        "statements prepared in a pooler",
        run.roles,
        put("ConfigMap", "settings", "data.COMMONRY_DATABASE_PREPARE", "true"),
    ),
    (
        "two pods for one volume",
        run.volumes,
        put("Deployment", "analytics", "spec.strategy", {"type": "RollingUpdate"}),
    ),
    (
        "a run where the volume is not",
        run.volumes,
        put("CronJob", "etl", "spec.jobTemplate.spec.template.spec.affinity", GONE),
    ),
    ("a warehouse brought up to date twice", run.warehouse, env("Deployment", "analytics", "COMMONRY_ETL_MINUTES")),
    ("a run that may write", run.warehouse, put("CronJob", "etl", f"{OF_CRON}.env.0.name", "COMMONRY_DATABASE_URL")),
    ("a run of something else", run.warehouse, put("CronJob", "etl", f"{OF_CRON}.args", ["etl", "status"])),
    (
        "a run that reads as the owner",
        run.warehouse,
        put("CronJob", "etl", f"{OF_CRON}.env.7.value", "postgresql://{service}:x@somewhere/{service}"),
    ),
    ("no default", network, drop("NetworkPolicy", "default-deny")),
    ("a way in for all", network, policy("open", POLICY)),
    ("a way out for all", network, policy("out", {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]})),
    ("no names", network, drop("NetworkPolicy", "names")),
    ("a call that is let out and not in", network, drop("NetworkPolicy", "payments")),
    ("a call that is let in and not out", network, drop("NetworkPolicy", "bookings-calls")),
    ("another port that is let in", network, put("NetworkPolicy", "users", "spec.ingress.0.ports.0.port", 8002)),
    (
        "the door to a service",
        network,
        put("NetworkPolicy", "gateway", "spec.podSelector.matchLabels", {"app.kubernetes.io/component": "users"}),
    ),
    (
        "strangers at the door",
        network,
        put("NetworkPolicy", "gateway", "spec.ingress.0.from.0", {"namespaceSelector": {}}),
    ),
    ("everybody to the database", network, put("NetworkPolicy", "pooler", "spec.ingress.0.from.0.podSelector", {})),
    ("metrics that nobody may read", network, drop("NetworkPolicy", "redis-metrics")),
    ("photos that nobody can send away", network, drop("NetworkPolicy", "files-calls")),
    ("nodes that cannot meet", network, put("NetworkPolicy", "redis", "spec.ingress.0.ports.1", GONE)),
]


@pytest.mark.parametrize(("check", "plant"), [p[1:] for p in PLANTS], ids=[p[0] for p in PLANTS])
def test_is_found(check: fit.Check, plant: Callable[[World], None]) -> None:
    planted = world("production")
    plant(planted)
    assert list(check(planted)), f"{check.__name__} does not see it"


def test_every_check_has_its_plant() -> None:
    assert {check for _, check, _ in PLANTS} == {*fit.CHECKS, *out.CHECKS, *run.CHECKS, network}
