"""The Redis pods of the manifests: by the names, and with the script, that they are given there, they become a cluster.

How it mends itself is shown at length in `test_redis_forming.py`; here, that the StatefulSet's names will do.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy import redis_nodes
from tests.deploy.manifests import Pod, World, world
from tests.deploy.redis_nodes import SCRIPT, RedisNodes
from tests.needs import need

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def production() -> World:
    return world("production")


@pytest.fixture(scope="module")
def pod(production: World) -> Pod:
    return next(pod for pod in production.pods() if pod.name == "redis")


@pytest.fixture(scope="module")
def told(production: World, pod: Pod) -> dict[str, str]:
    """The environment of the first pod."""
    return production.environment(pod, pod.spec["containers"][0])


@pytest.fixture
def nodes(tmp_path: Path, told: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisNodes]:
    for tool in ("redis-server", "redis-cli"):
        need(tool, "the Redis pods of the manifests must form a cluster")
    monkeypatch.setattr(redis_nodes, "NAMES", told["REDIS_NODES"].split())
    made = RedisNodes(tmp_path)
    yield made
    made.end()


def test_pods_meet_by_their_names_and_one_that_is_replaced_comes_back(nodes: RedisNodes, told: dict[str, str]) -> None:
    assert told["REDIS_NAME"] == nodes.nodes[0].name
    for node in nodes.nodes:
        node.start()
    nodes.settled("a cluster forms")
    named = {line.split()[1].rpartition(",")[2] for line in nodes.nodes[0].say("cluster", "nodes").splitlines()}
    assert named == {node.name for node in nodes.nodes}

    master, _ = nodes.pair()
    assert master.stop() == 0
    master.start()
    nodes.settled("the replaced pod is back, at another address and empty")


def test_script_and_memory_are_as_they_should_be(production: World, pod: Pod, told: dict[str, str]) -> None:
    (script,) = [d for d in production.kind("ConfigMap") if d["metadata"]["name"].startswith("redis-node-")]
    assert script["data"]["node.sh"] == SCRIPT.read_text("utf-8")
    limit = re.fullmatch(r"(\d+)Mi", pod.spec["containers"][0]["resources"]["limits"]["memory"])
    kept = re.fullmatch(r"(\d+)mb", told["REDIS_MEMORY"])
    assert limit
    assert kept
    assert int(kept[1]) * 1.5 < int(limit[1]), "copies for replicas and buffers need room beside what is kept"
