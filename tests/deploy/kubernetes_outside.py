"""What stands around the pods of the manifests: the doors for people, the images, and who measures.

Each check yields a sentence per mistake, as in `kubernetes_checks.py`.
"""

import re
from collections.abc import Iterator

import yaml

from commonry.cli.serving import OWNERS
from tests.deploy.kubernetes_checks import Check
from tests.deploy.manifests import ROOT, World, images, selects, space


def doors(world: World) -> Iterator[str]:
    """People are let in to the gateway, and nowhere else; never to its metrics."""
    backends = [*_by_routes(world), *_by_ingress(world)]
    if {path: (name, port) for path, name, port in backends} != {"/": ("gateway", 8000), "/metrics": ("nowhere", 8000)}:
        yield f"people are let in to {backends}"
    for name in ("gateway", "nowhere"):
        if not world.one("Service", name):
            yield f"no Service {name}"
    for route in world.kind("HTTPRoute"):
        for parent in route["spec"]["parentRefs"]:
            gateway = world.one("Gateway", parent["name"], space(route))
            if not gateway or parent["sectionName"] not in {x["name"] for x in gateway["spec"]["listeners"]}:
                yield f"HTTPRoute {route['metadata']['name']}: no listener {parent}"
    for secret in _certificates(world):
        if not {(*secret, "tls.crt"), (*secret, "tls.key")} <= world.secrets():
            yield f"nobody makes the certificate {secret}"


def _by_routes(world: World) -> Iterator[tuple[str, str, int]]:
    """(path, Service, port)"""
    for route in world.kind("HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for backend in rule.get("backendRefs", []):
                yield from ((m["path"]["value"], backend["name"], backend["port"]) for m in rule["matches"])


def _by_ingress(world: World) -> Iterator[tuple[str, str, int]]:
    for ingress in world.kind("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                named = world.one("Service", service["name"], space(ingress)) or {"spec": {"ports": []}}
                numbers = [p["port"] for p in named["spec"]["ports"] if p["name"] == service["port"]["name"]]
                yield path["path"], service["name"], numbers[0] if numbers else 0


def _certificates(world: World) -> Iterator[tuple[str, str]]:
    for gateway in world.kind("Gateway"):
        for listener in gateway["spec"]["listeners"]:
            yield from ((space(gateway), r["name"]) for r in listener.get("tls", {}).get("certificateRefs", []))
    for ingress in world.kind("Ingress"):
        yield from ((space(ingress), tls["secretName"]) for tls in ingress["spec"]["tls"])


def pictures(world: World) -> Iterator[str]:
    """Images are of one version each, and the same as compose's."""
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert version
    used = set(images(world.docs))
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text("utf-8"))
    theirs = {s["image"] for s in compose["services"].values() if "image" in s}
    for image in sorted(used - theirs):
        yield f"{image} is not what compose runs: {sorted(theirs)}"
    if f"commonry:{version[1]}" not in used:
        yield f"no pod runs commonry:{version[1]}"


def monitored(world: World) -> Iterator[str]:
    """Every ServiceMonitor finds Services, and the port it names; every Service with metrics is found once."""
    found: list[str] = []
    for monitor in world.kind("ServiceMonitor"):
        spaces = monitor["spec"]["namespaceSelector"]["matchNames"]
        services = [
            s
            for s in world.kind("Service")
            if space(s) in spaces and selects(monitor["spec"]["selector"], s["metadata"].get("labels", {}))
        ]
        found += [s["metadata"]["name"] for s in services]
        if not services:
            yield f"ServiceMonitor {monitor['metadata']['name']} finds no Service"
        for endpoint in monitor["spec"]["endpoints"]:
            for service in services:
                if endpoint["port"] not in {p["name"] for p in service["spec"]["ports"]}:
                    yield f"ServiceMonitor {monitor['metadata']['name']}: {service['metadata']['name']} lacks the port"
    jobs = {"gateway", *OWNERS, "analytics", "redis", "postgres"}
    if found and sorted(found) != sorted(jobs):
        yield f"jobs are {sorted(found)}, and rules know {sorted(jobs)}"


CHECKS: tuple[Check, ...] = (doors, pictures, monitored)
