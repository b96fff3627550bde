"""`python -m tools.prometheus_rules`: the alert and recording rules as Kubernetes takes them.

The rules are written once, in deploy/prometheus/rules, as Prometheus reads them. The Prometheus operator wants the same
groups inside a resource of its own; kustomize cannot put them there, so this does, and a test compares.
"""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
RULES = ROOT / "deploy/prometheus/rules"
RESOURCES = ROOT / "deploy/kubernetes/components/monitoring/rules.yaml"
HEAD = "# Made from deploy/prometheus/rules by `python -m tools.prometheus_rules`; change it there.\n"


def resources() -> list[dict[str, Any]]:
    """A PrometheusRule per file of rules."""
    return [
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {"name": f"commonry-{file.stem}", "namespace": "commonry"},
            "spec": yaml.safe_load(file.read_text("utf-8")),
        }
        for file in sorted(RULES.glob("*.yaml"))
    ]


def text() -> str:
    """What belongs into `RESOURCES`."""
    return HEAD + yaml.safe_dump_all(resources(), sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    RESOURCES.write_text(text(), "utf-8")
