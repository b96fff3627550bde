"""Redis nodes that run `deploy/redis/node.sh`: they become a cluster, and stay one whatever happens to some of them.

Real servers on loopback addresses. A node that comes back has a new address and nothing of what it had, unless a test
says otherwise: that is how Kubernetes replaces pods.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.redis_nodes import RedisNodes
from tests.needs import need
from tests.redis_cluster import until

WHY = "nodes of the shared cache must form a cluster by themselves, and mend it"


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[RedisNodes]:
    """Six of one's own, not started."""
    yield from _made(tmp_path)


@pytest.fixture(scope="module")
def formed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisNodes]:
    """A cluster that all tests break, and leave whole: it mends itself."""
    for made in _made(tmp_path_factory.mktemp("redis")):
        for node in reversed(made.nodes):
            node.start()
        made.settled("a cluster forms")
        yield made


def _made(folder: Path) -> Iterator[RedisNodes]:
    need("redis-server", WHY)
    need("redis-cli", WHY)
    made = RedisNodes(folder)
    try:
        yield made
    finally:
        made.end()
        shutil.rmtree(folder, ignore_errors=True)


def test_six_nodes_become_a_cluster_and_a_second_start_changes_nothing(formed: RedisNodes) -> None:
    before = {node.name: (node.id, node.role) for node in formed.nodes}
    assert sorted(role for _, role in before.values()) == ["master"] * 3 + ["slave"] * 3
    formed.end()
    assert formed.nodes[0].asked("alive") != 0
    for node in formed.nodes:
        node.start(empty=False)
    formed.settled("all are found at their new addresses")
    assert {node.name: node.id for node in formed.nodes} == {name: id for name, (id, _) in before.items()}


def test_a_lost_master_comes_back_as_a_replica_and_nothing_is_forgotten(formed: RedisNodes) -> None:
    keys = formed.write()
    master, replica = formed.pair()
    master.kill()
    master.start()
    formed.settled("the lost master is back")
    assert (master.role, replica.role) == ("slave", "master")
    assert {formed.cli("get", key) for key in keys} == {"kept"}


@pytest.mark.parametrize("is_elsewhere", [True, False], ids=["elsewhere", "where it was"])
def test_a_lost_replica_comes_back(formed: RedisNodes, is_elsewhere: bool) -> None:
    _, replica = formed.pair()
    replica.kill()
    replica.start(elsewhere=is_elsewhere)
    formed.settled("the lost replica is back")
    assert replica.role == "slave"


@pytest.mark.long
def test_a_master_that_is_replaced_before_anybody_notices_is_taken_over(formed: RedisNodes) -> None:
    """Nobody ever sees it fail: another answers at its address at once."""
    keys = formed.write()
    master, replica = formed.pair()
    master.kill()
    master.start(elsewhere=False)
    formed.settled("the replaced master is back")
    assert (master.role, replica.role) == ("slave", "master")
    assert {formed.cli("get", key) for key in keys} == {"kept"}


@pytest.mark.long
def test_a_master_that_is_asked_to_stop_hands_its_slots_over(formed: RedisNodes) -> None:
    keys = formed.write()
    master, replica = formed.pair()
    assert master.stop() == 0
    assert replica.role == "master"
    assert {formed.cli("get", key) for key in keys} == {"kept"}
    master.start()
    formed.settled("the stopped one is back")


@pytest.mark.long
def test_two_masters_lost_at_once_leave_no_majority_and_are_taken_over_all_the_same(formed: RedisNodes) -> None:
    keys = formed.write()
    lost = [node for node in formed.nodes if node.role == "master"][:2]
    for node in lost:
        node.kill()
    for node in lost:
        node.start()
    formed.settled("both are back")
    assert {formed.cli("get", key) for key in keys} == {"kept"}


@pytest.mark.long
def test_a_master_lost_with_its_replica_is_replaced_empty(formed: RedisNodes) -> None:
    formed.write()
    pair = formed.pair()
    for node in pair:
        node.kill()
    for node in pair:
        node.start()
    formed.settled("all slots are served again")
    assert formed.cli("set", "key", "kept") == "OK"


@pytest.mark.long
def test_all_lose_everything(formed: RedisNodes) -> None:
    formed.end()
    for node in formed.nodes:
        node.start()
    formed.settled("a new cluster forms")


@pytest.mark.long
def test_less_than_a_majority_waits_and_a_majority_does_not_wait_for_ever(nodes: RedisNodes) -> None:
    early, late = nodes.nodes[:3], nodes.nodes[3:]
    for node in early:
        node.start(REDIS_PATIENCE="1")
    until(lambda: all("waits for a majority" in node.log.read_text() for node in early), "three of six wait")
    assert {node.say("cluster", "info").split()[1] for node in early} == {"cluster_slots_assigned:0"}
    assert {node.asked("alive") for node in early} == {0}
    assert 0 not in {node.asked("ready") for node in early}
    late[0].start(REDIS_PATIENCE="1")
    until(lambda: all(node.asked("ready") == 0 for node in nodes.alive), "four of six serve")
    for node in late[1:]:
        node.start()
    nodes.settled("the late ones join")
