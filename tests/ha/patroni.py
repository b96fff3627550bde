"""PostgreSQL under Patroni, as the Zalando operator runs it: etcd, three nodes, and HAProxy in front.

Each node is a process namespace of its own, which dies at once and whole when it is killed, as a machine does; and with
us, whatever ends us. A node may also live in a network namespace, to have a line of its own that can be cut.
"""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
import pytest
import yaml

from tests.ha.haproxy import LOOPBACK, Balancer
from tests.ha.servers import SETTINGS, Room, own
from tests.needs import need
from tests.platform import free_port

TTL, LOOP, RETRY = 20, 2, 3
"""Seconds: of the primary's key in etcd (the least that Patroni allows), between looks, and for etcd to answer."""
LONGEST_START = 120.0
CHECK = "option httpchk OPTIONS /primary\n    http-check expect status 200"
SERVER = "inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions"
LEADS = ("leader", "primary", "master")
"""What the primary is called, here and there."""
NAMES = ("one", "two", "three")


class Line(NamedTuple):
    """Where a node is: its address, and what is put before its command."""

    host: str = LOOPBACK
    inside: tuple[str, ...] = ()


class Node:
    """One machine with Patroni and PostgreSQL on it."""

    def __init__(self, room: Room, name: str, line: Line, etcd: str, *, synchronous: bool) -> None:
        self.room, self.name, self.line = room, name, line
        self.port, self.api = free_port(), free_port()
        self.data, self.log, self.file = room.folder / name, room.folder / f"{name}.log", room.folder / f"{name}.yaml"
        self.file.write_text(yaml.safe_dump(self._configuration(etcd, synchronous=synchronous)))
        own(self.file, room.account)
        self.running: subprocess.Popen[bytes] | None = None

    def _configuration(self, etcd: str, *, synchronous: bool) -> dict[str, Any]:
        host, roles = self.line.host, ("superuser", "replication", "rewind")
        return {
            "scope": "commonry",
            "name": self.name,
            "restapi": {"listen": f"{host}:{self.api}", "connect_address": f"{host}:{self.api}"},
            "etcd3": {"hosts": etcd},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL,
                    "loop_wait": LOOP,
                    "retry_timeout": RETRY,
                    "synchronous_mode": synchronous,
                    "synchronous_mode_strict": synchronous,
                    "postgresql": {"use_pg_rewind": True, "use_slots": True, "parameters": _parameters()},
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums"],
            },
            "postgresql": {
                "listen": f"{host}:{self.port}",
                "connect_address": f"{host}:{self.port}",
                "data_dir": str(self.data),
                "bin_dir": str(self.room.programs),
                "pgpass": str(self.room.folder / f"{self.name}.pgpass"),
                "parameters": {"unix_socket_directories": str(self.room.folder)},
                "pg_hba": ["local all all trust", "host all all all trust", "host replication all all trust"],
                "authentication": {role: {"username": "postgres"} for role in roles},
            },
        }

    def start(self) -> None:
        patroni = self.room.as_account([sys.executable, "-m", "patroni", str(self.file)])
        alone = ["unshare", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]
        # The shell is the first process there, and stays who we are: who changes that is no longer told of our end.
        first = ["sh", "-c", '"$@"; exit', "sh"]
        self.running = self.room.begin_as_root([*self.line.inside, *alone, *first, *patroni], self.log)

    def kill(self) -> None:
        """The machine is gone: Patroni and PostgreSQL, at once."""
        if self.running is not None:
            self.running.kill()
            self.running.wait(30)
            until(self._is_silent, f"{self.name} is gone", 30)

    def _is_silent(self) -> bool:
        return not any(_takes_connections(self.line.host, port) for port in (self.port, self.api))

    def says(self, path: str = "patroni", body: Any = None) -> Any:
        """What Patroni answers; None if it does not."""
        sent = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.line.host}:{self.api}/{path}", data=sent)
        try:
            with urllib.request.urlopen(request, timeout=30 if sent else 3) as answer:
                return json.loads(answer.read() or b"null") if not sent else answer.read().decode()
        except urllib.error.HTTPError as e:
            said = e.read().decode()
            return said if sent else json.loads(said or "null")
        except OSError:
            return None


class Patroni:
    """The cluster: `url` leads to whichever node is the primary."""

    def __init__(self, room: Room, lines: dict[str, Line], host: str, clients: str, *, synchronous: bool) -> None:
        need("unshare", "nodes of a cluster that die whole, as machines do")
        self.etcd = Etcd(room, host)
        self.nodes = [
            Node(room, name, line, self.etcd.address, synchronous=synchronous) for name, line in lines.items()
        ]
        servers = [f"{node.line.host}:{node.port} check port {node.api}" for node in self.nodes]
        self.balancer = Balancer(room, "primary", servers, check=CHECK, server=f"{SERVER} source {clients}")
        self.standbys = len(self.nodes) - 1
        self.synchronous = synchronous

    def start(self) -> None:
        self.etcd.start()
        for node in self.nodes:
            node.start()
        self.balancer.start()
        self.until_well()

    def end(self) -> None:
        self.balancer.stop()
        for node in self.nodes:
            node.kill()
        self.etcd.stop()

    def url(self, database: str, role: str | None = None) -> str:
        return f"postgresql://{role or database}@127.0.0.1:{self.balancer.port}/{database}"

    def primary(self) -> Node:
        """Who is it now, by its own word."""
        found: list[Node] = []

        def look() -> bool:
            found[:] = [n for n in self.nodes if (n.says() or {}).get("role") in LEADS]
            return len(found) == 1

        until(look, "there is one primary", LONGEST_START, self._logs)
        return found[0]

    def until_moved(self, was: Node) -> None:
        """Another one than this says that it is the primary, and the address leads there."""
        others = [n for n in self.nodes if n is not was]

        def moved() -> bool:
            return any((n.says() or {}).get("role") in LEADS for n in others) and self._is_reached()

        until(moved, f"another than {was.name} is the primary", LONGEST_START, self._logs)

    def until_well(self, seconds: float = LONGEST_START) -> None:
        """All nodes follow the primary, in step where they must, and the address leads there."""
        until(self._is_well, "the cluster is well", seconds, self._logs)

    def _is_well(self) -> bool:
        members = (self.nodes[0].says("cluster") or self.nodes[1].says("cluster") or {}).get("members", [])
        states = [m.get("state") for m in members if m.get("role") not in LEADS]
        in_step = any(m.get("role") == "sync_standby" for m in members) or not self.synchronous
        return states == ["streaming"] * self.standbys and in_step and self._is_reached()

    def _is_reached(self) -> bool:
        try:
            with psycopg.connect(self.url("postgres", "postgres"), connect_timeout=2, autocommit=True) as conn:
                return conn.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
        except psycopg.Error:
            return False

    def create_databases(self, *names: str) -> None:
        """A role and a database of its own for each."""
        with psycopg.connect(self.url("postgres", "postgres"), connect_timeout=5, autocommit=True) as conn:
            for name in names:
                conn.execute(f'CREATE ROLE "{name}" LOGIN'.encode())
                conn.execute(f'CREATE DATABASE "{name}" OWNER "{name}"'.encode())

    def switch_over(self) -> str:
        """Make the standby that is in step the primary, as one does before work on a machine; what Patroni says."""
        members = self.primary().says("cluster")["members"]
        leader = next(m["name"] for m in members if m["role"] in LEADS)
        candidate = next(m["name"] for m in members if m["role"] == "sync_standby")
        return self.primary().says("switchover", {"leader": leader, "candidate": candidate})

    def _logs(self) -> str:
        return "\n".join(
            f"{n.name}:\n{n.log.read_text(errors='replace')[-1500:]}" for n in self.nodes if n.log.exists()
        )


class Etcd:
    """Keeps who the primary is."""

    def __init__(self, room: Room, host: str) -> None:
        self.room, self.program, self.log = room, need("etcd", "Patroni needs it"), room.folder / "etcd.log"
        self.address, peers = f"{host}:{free_port()}", f"http://{host}:{free_port()}"
        here = f"http://{self.address}"
        self.command = [str(self.program), "--name", "etcd", "--data-dir", str(room.folder / "etcd")]
        self.command += ["--listen-client-urls", here, "--advertise-client-urls", here, "--logger", "zap"]
        self.command += ["--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers]
        self.command += ["--initial-cluster", f"etcd={peers}", "--log-level", "error"]
        self.running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.running = self.room.begin(self.command, self.log)
        until(self._is_healthy, "etcd is healthy", LONGEST_START, lambda: self.log.read_text()[-2000:])

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.address}/health", timeout=1) as answer:
                return json.loads(answer.read())["health"] == "true"
        except (OSError, ValueError, KeyError):
            return False

    def stop(self) -> None:
        if self.running is not None:
            self.running.terminate()
            self.running.wait(30)


def until(true: Callable[[], bool], what: str, seconds: float, more: Callable[[], str] = str) -> float:
    """How long it took to become true."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > seconds:
            pytest.fail(f"not within {seconds} s: {what}\n{more()}")
        time.sleep(0.1)
    return time.monotonic() - began


def _takes_connections(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def _parameters() -> dict[str, Any]:
    kept = ("max_connections", "shared_buffers", "jit", "max_wal_senders", "wal_keep_size", "min_wal_size")
    return {name: SETTINGS[name] for name in kept} | {"wal_log_hints": "on", "max_worker_processes": 8}


@contextmanager
def patroni(
    room: Room,
    *,
    synchronous: bool = True,
    lines: dict[str, Line] | None = None,
    host: str = LOOPBACK,
    clients: str = LOOPBACK,
) -> Iterator[Patroni]:
    """A cluster of three, until the end of the block. etcd is at `host`; clients come from the address `clients`."""
    made = Patroni(room, lines or {name: Line() for name in NAMES}, host, clients, synchronous=synchronous)
    try:
        made.start()
        yield made
    finally:
        made.end()
