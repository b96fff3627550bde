"""checkov over the rendered manifests.

What it finds is what `deploy/kubernetes/.checkov.yaml` argues, and nothing else.
"""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.manifests import KUBERNETES, OVERLAYS, rendered
from tests.needs import need

ARGUED = KUBERNETES / ".checkov.yaml"
RECKLESS = """
apiVersion: v1
kind: Pod
metadata: {name: reckless, namespace: commonry}
spec:
  containers:
    - {name: all, image: "commonry:latest", securityContext: {privileged: true}}
"""

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Check → what fails it, of all overlays and of one reckless pod. In one run: checkov takes long to start."""
    checkov = need("checkov", "the manifests must keep the rules of checkov, but for those that are argued")
    folder = tmp_path_factory.mktemp("manifests")
    for overlay in OVERLAYS:
        (folder / f"{overlay}.yaml").write_text(rendered(overlay), "utf-8")
    (folder / "reckless.yaml").write_text(RECKLESS, "utf-8")
    command = [checkov, "--directory", folder, "--framework", "kubernetes", "--skip-download", "--output", "json"]
    # It loads much Python, which is not to be compiled anew each time: that takes longer than the checks.
    told = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=told, timeout=200, check=False)
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 1000
    failed: dict[str, set[str]] = {}
    for check in report["results"]["failed_checks"]:
        failed.setdefault(check["check_id"], set()).add(f"{Path(check['file_path']).stem}: {check['resource']}")
    return failed


def argued() -> list[str]:
    return yaml.safe_load(ARGUED.read_text("utf-8"))["skip-check"]


def test_nothing_is_found_but_what_is_argued(found: dict[str, set[str]]) -> None:
    ours = {check: {w for w in where if not w.startswith("reckless")} for check, where in found.items()}
    assert {check: where for check, where in ours.items() if where and check not in argued()} == {}


@pytest.mark.parametrize("check", argued())
def test_every_exception_is_still_needed(found: dict[str, set[str]], check: str) -> None:
    assert {where for where in found.get(check, set()) if not where.startswith("reckless")}


def test_every_exception_has_its_reason() -> None:
    lines = ARGUED.read_text("utf-8").splitlines()
    for check in argued():
        at = lines.index(f"  - {check}")
        reason = re.findall(r"^ +# (.+)$", "\n".join(lines[:at][-3:]), re.MULTILINE)
        assert len(" ".join(reason).split()) > 10, f"{check} is not argued"


def test_a_reckless_pod_would_be_found(found: dict[str, set[str]]) -> None:
    caught = {check for check, where in found.items() if any(w.startswith("reckless") for w in where)}
    assert {"CKV_K8S_16", "CKV_K8S_14", "CKV_K8S_20", "CKV_K8S_37"} <= caught
