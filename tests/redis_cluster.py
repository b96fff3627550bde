"""A real Redis Cluster on loopback: three masters, a replica each, up in about three seconds.

`redis_cluster` is shared by all tests that do it no harm; `own_redis_cluster` is for those that kill, flush or reshard.
Ready means that every node says so, every replica is linked, and everybody knows a replica of every master.
"""

import ctypes
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.needs import need
from tests.platform import PR_SET_PDEATHSIG, free_port

WHY = "the shared cache, its bus and its counts must work over a real Redis Cluster, whatever is killed in it"
OPTIONS = (
    "--cluster-enabled yes --cluster-node-timeout 1000 --cluster-replica-validity-factor 0 "
    "--cluster-require-full-coverage no --repl-diskless-sync-delay 0 --appendonly no --save"
)


@dataclass
class Node:
    """One server: can be killed for good, and started again on the same port, with nothing in it."""

    port: int
    bus_port: int
    folder: Path
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        ports = ["--port", str(self.port), "--cluster-port", str(self.bus_port), "--bind", "127.0.0.1"]
        with (self.folder / "log").open("ab") as output:
            self.running = subprocess.Popen(
                ["redis-server", *ports, *OPTIONS.split(), ""],
                cwd=self.folder,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_die_with_us,  # noqa: PLW1509 why: it calls one function of libc
            )

    def kill(self) -> None:
        """At once and unasked."""
        if self.running is not None:
            self.running.send_signal(signal.SIGKILL)
            self.running.wait(10)
            self.running = None

    def say(self, *command: str) -> str:
        """What redis-cli prints."""
        asked = ["redis-cli", "-h", "127.0.0.1", "-p", str(self.port), *command]
        return subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False).stdout.strip()

    def is_up(self) -> bool:
        return self.running is not None and self.say("ping") == "PONG"

    @property
    def id(self) -> str:
        return self.say("cluster", "myid")


@dataclass
class RedisCluster:
    """The nodes, and what tests do to them."""

    folder: Path
    nodes: list[Node] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The setting COMMONRY_CACHE_URL."""
        return ",".join(f"redis://127.0.0.1:{node.port}" for node in self.nodes[:3])

    def add(self) -> Node:
        """One more server, empty and by itself."""
        node = Node(free_port(), free_port(), self.folder / f"node{len(self.nodes)}")
        node.start()
        self.nodes.append(node)
        until(node.is_up, "a node starts")
        return node

    def begin(self) -> None:
        """Start six and make them a cluster. On a busy machine one may fall out while they meet: then anew."""
        for tries_left in (2, 1, 0):
            try:
                self._form()
            except AssertionError:
                if not tries_left:
                    raise
                self.end()
                self.nodes.clear()
            else:
                return

    def _form(self) -> None:
        while len(self.nodes) < 6:
            node = Node(free_port(), free_port(), self.folder / f"node{len(self.nodes)}-{free_port()}")
            node.start()
            self.nodes.append(node)
        until(lambda: all(node.is_up() for node in self.nodes), "all nodes start")
        self.cli("create", *(f"127.0.0.1:{n.port}" for n in self.nodes), "--cluster-replicas", "1", "--cluster-yes")
        self.settled()

    def end(self) -> None:
        for node in self.nodes:
            node.kill()

    def cli(self, *command: str) -> str:
        """`redis-cli --cluster`, which must succeed."""
        asked = ["redis-cli", "--cluster", *command]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def settled(self) -> None:
        """Wait until all is well, with a replica for every one of three masters that everybody knows of."""
        until(lambda: all(self._is_well(node) for node in self.alive), "the cluster is well")

    @property
    def alive(self) -> list[Node]:
        return [node for node in self.nodes if node.running is not None]

    def _is_well(self, node: Node) -> bool:
        known = [line.split() for line in node.say("cluster", "nodes").splitlines()]
        masters = {w[0] for w in known if "master" in w[2] and "fail" not in w[2] and len(w) > 8}
        followed = {w[3] for w in known if "slave" in w[2] and "fail" not in w[2]}
        linked = "role:master" in (said := node.say("info", "replication")) or "master_link_status:up" in said
        is_ok = "cluster_state:ok" in node.say("cluster", "info")
        return is_ok and linked and len(masters) >= 3 and len(masters & followed) >= 3

    def node_of(self, key: str) -> Node:
        """The master that has the key's slot now, as anybody alive sees it."""
        for witness in self.alive:
            slot = int(witness.say("cluster", "keyslot", key) or -1)
            for port, slots in self.slots(witness).items():
                if slot in slots:
                    return next(node for node in self.nodes if node.port == port)
        pytest.fail(f"nobody has the slot of {key}")

    def slots(self, witness: Node | None = None) -> dict[int, set[int]]:
        """Which slots each master has, by its port."""
        found: dict[int, set[int]] = {}
        for line in (witness or self.alive[0]).say("cluster", "nodes").splitlines():
            words = line.split()
            if "master" in words[2] and "fail" not in words[2].split(","):
                spans = [re.fullmatch(r"(\d+)(?:-(\d+))?", word) for word in words[8:]]
                port = int(words[1].split("@")[0].split(":")[1])
                found[port] = {s for m in spans if m for s in range(int(m[1]), int(m[2] or m[1]) + 1)}
        return found

    def flush(self) -> None:
        """Empty every master."""
        for port in self.slots():
            next(node for node in self.nodes if node.port == port).say("flushall")

    def grow(self) -> Node:
        """A fourth master, with its share of the slots."""
        new = self.add()
        self.cli("add-node", f"127.0.0.1:{new.port}", f"127.0.0.1:{self.nodes[0].port}")
        until(lambda: "cluster_state:ok" in new.say("cluster", "info"), "the new node knows the cluster")
        until(
            lambda: all(new.id in node.say("cluster", "nodes") for node in self.alive), "everybody knows the new node"
        )
        self.cli("rebalance", f"127.0.0.1:{self.nodes[0].port}", "--cluster-use-empty-masters")
        return new


def until(condition: Callable[[], bool], what: str, *, seconds: float = 20.0) -> None:
    """Wait for the condition; fails when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def _die_with_us() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def started(folder: Path) -> Iterator[RedisCluster]:
    """A cluster for as long as the block lasts."""
    need("redis-server", WHY)
    need("redis-cli", WHY)
    cluster = RedisCluster(folder)
    try:
        cluster.begin()
        yield cluster
    finally:
        cluster.end()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A cluster that tests share, and leave as it is."""
    with started(tmp_path_factory.mktemp("redis")) as cluster:
        yield cluster


@pytest.fixture
def own_redis_cluster(tmp_path: Path) -> Iterator[RedisCluster]:
    """A cluster to break."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with started(folder) as cluster:
        yield cluster
