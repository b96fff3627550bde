"""Nodes of a Redis Cluster as pods or containers would be: a name each, addresses that change, nothing kept.

Every node runs `deploy/redis/node.sh` on a loopback address of its own, all on one port. Only the lookup of names is a
stand-in: a `getent` that reads a file, as the real one asks a server that is not ours.
"""

import ctypes
import os
import secrets
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.platform import PR_SET_PDEATHSIG, free_port
from tests.redis_cluster import until

SCRIPT = Path(__file__).parents[2] / "deploy/redis/node.sh"
NAMES = [f"redis-{n}" for n in range(1, 7)]
STAND_INS = {
    "getent": '#!/bin/sh\nawk -v name="$2" \'$2 == name {print $1}\' "$HOSTS_FILE"\n',
    # So that no server outlives a killed test run.
    "redis-server": '#!/bin/sh\nexec setpriv --pdeathsig KILL /usr/bin/env PATH="$REAL_PATH" redis-server "$@"\n',
}


@dataclass
class RedisNode:
    """One container: what it is called stays, where it is and what it has may be lost."""

    name: str
    nodes: "RedisNodes"
    address: str = ""
    folder: Path = Path()
    running: subprocess.Popen[bytes] | None = None
    lives: int = 0

    def start(self, *, elsewhere: bool = True, empty: bool = True, **env: str) -> None:
        """Begin a life, by default at a new address and with nothing kept."""
        if elsewhere or not self.address:
            self.address = self.nodes.new_address()
        if empty or not self.lives:
            self.lives += 1
            self.folder = self.nodes.folder / f"{self.name}-{self.lives}"
            self.folder.mkdir()
        self.nodes.publish(self)
        with self.log.open("ab") as output:
            self.running = subprocess.Popen(
                ["sh", str(SCRIPT)],
                env=self.environment() | env,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_die_with_us,  # noqa: PLW1509 why: it calls one function of libc
            )

    def environment(self) -> dict[str, str]:
        nodes = self.nodes
        return {
            "PATH": f"{nodes.stand_ins}:{os.environ['PATH']}",
            "REAL_PATH": os.environ["PATH"],
            "HOSTS_FILE": str(nodes.hosts),
            "REDIS_NODES": " ".join(f"{name}:{nodes.port}" for name in NAMES),
            "REDIS_NAME": f"{self.name}:{nodes.port}",
            "REDIS_ADDRESS": self.address,
            "REDIS_BUS_PORT": str(nodes.bus_port),
            "REDIS_PASSWORD": nodes.password,
            "REDIS_DATA": str(self.folder),
            "REDIS_TIMEOUT": "1000",
        }

    @property
    def log(self) -> Path:
        return self.nodes.folder / f"{self.name}.log"

    def kill(self) -> None:
        """The machine is gone: nobody says goodbye."""
        if self.running is not None:
            os.killpg(self.running.pid, signal.SIGKILL)
            self.running.wait(10)
            self.running = None

    def stop(self) -> int:
        """As an orchestrator stops a container; the exit code."""
        assert self.running is not None
        self.running.send_signal(signal.SIGTERM)
        code = self.running.wait(20)
        self.running = None
        return code

    def say(self, *command: str) -> str:
        asked = ["redis-cli", "-h", self.address, "-p", str(self.nodes.port), *command]
        env = {"PATH": os.environ["PATH"], "REDISCLI_AUTH": self.nodes.password}
        return subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False, env=env).stdout.strip()

    def asked(self, what: str) -> int:
        """The exit code of `node.sh alive` and its like."""
        done = subprocess.run(
            ["sh", str(SCRIPT), what], env=self.environment(), capture_output=True, timeout=20, check=False
        )
        return done.returncode

    def story(self) -> str:
        """What it sees, and what it has said last."""
        return f"{self.name}:\n{self.say('cluster', 'nodes')}\n{self.log.read_text(errors='replace')[-1500:]}"

    @property
    def id(self) -> str:
        return self.say("cluster", "myid")

    @property
    def role(self) -> str:
        return self.say("role").split("\n")[0]


@dataclass
class RedisNodes:
    """All six, and what each of them sees."""

    folder: Path
    port: int = field(default_factory=free_port)
    bus_port: int = field(default_factory=free_port)
    password: str = field(default_factory=lambda: secrets.token_hex(8))
    nodes: list[RedisNode] = field(default_factory=list)
    block: str = field(default_factory=lambda: f"127.{secrets.randbelow(200) + 16}.{secrets.randbelow(200) + 1}")
    given: int = 0

    def __post_init__(self) -> None:
        self.stand_ins = self.folder / "bin"
        self.stand_ins.mkdir()
        for name, script in STAND_INS.items():
            (self.stand_ins / name).write_text(script)
            (self.stand_ins / name).chmod(0o755)
        self.hosts = self.folder / "hosts"
        self.nodes = [RedisNode(name, self) for name in NAMES]

    def new_address(self) -> str:
        self.given += 1
        return f"{self.block}.{self.given}"

    def publish(self, started: RedisNode) -> None:
        """Make the node's address known under its name, and only that one."""
        lines = [f"{node.address} {node.name}" for node in self.nodes if node.address or node is started]
        new = self.hosts.with_suffix(".new")
        new.write_text("\n".join(lines) + "\n")
        new.rename(self.hosts)

    @property
    def alive(self) -> list[RedisNode]:
        return [node for node in self.nodes if node.running is not None]

    def masters(self, witness: RedisNode | None = None) -> dict[str, int]:
        """How many followers each serving master has, by id, as one node sees it."""
        lines = [line.split() for line in (witness or self.alive[0]).say("cluster", "nodes").splitlines()]
        serving = [w[0] for w in lines if "master" in w[2] and "fail" not in w[2] and len(w) > 8]
        return {id: sum("slave" in w[2] and "fail" not in w[2] and w[3] == id for w in lines) for id in serving}

    def is_whole(self) -> bool:
        """Everybody sees the same: six nodes and no ghost, three masters with a replica each, nobody failing."""
        ids = {node.id for node in self.nodes}
        return all(self._sees_all(node, ids) for node in self.nodes) and all(n.asked("ready") == 0 for n in self.nodes)

    def _sees_all(self, node: RedisNode, ids: set[str]) -> bool:
        lines = [line.split() for line in node.say("cluster", "nodes").splitlines()]
        known = {w[0] for w in lines if not any(flag in w[2] for flag in ("fail", "noaddr", "handshake"))}
        return known == ids and len(lines) == 6 and list(self.masters(node).values()) == [1, 1, 1]

    def settled(self, what: str, seconds: float = 40) -> None:
        try:
            until(self.is_whole, what, seconds=seconds)
        except AssertionError as e:
            told = [
                f"{n.name}:\n{n.say('cluster', 'nodes')}\n{n.log.read_text(errors='replace')[-1500:]}"
                for n in self.alive
            ]
            raise AssertionError("\n".join([str(e), *told])) from e

    def pair(self) -> tuple[RedisNode, RedisNode]:
        """A master and its replica."""
        by_id = {node.id: node for node in self.nodes}
        lines = [line.split() for line in self.alive[0].say("cluster", "nodes").splitlines()]
        replica = next(w for w in lines if "slave" in w[2])
        return by_id[replica[3]], by_id[replica[0]]

    def write(self, count: int = 60) -> set[str]:
        """Keys all over the cluster, of which each is on a replica too."""
        keys = {f"key-{secrets.token_hex(4)}" for _ in range(count)}
        for key in keys:
            assert self.cli("set", key, "kept") == "OK"
        until(self._replicated, "replicas have everything")
        return keys

    def _replicated(self) -> bool:
        return all(n.say("wait", "1", "1000") == "1" for n in self.alive if n.role == "master")

    def cli(self, *command: str) -> str:
        """Asks whoever has the key's slot."""
        return self.alive[0].say("-c", *command)

    def end(self) -> None:
        for node in self.nodes:
            node.kill()


def _die_with_us() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
