"""The pods of the manifests, run as processes on loopback: the same arguments, variables, scripts and probes.

It is no cluster: what differs is where the others are, and that nobody restarts what fails. PostgreSQL is real and
asks for passwords. So what probes mean, what waits for migrations, and what the nightly dump is worth are seen to work.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.manifests import Doc, Pod, World, world
from tests.ha.servers import Room, Server, room
from tests.needs import need
from tests.platform import OWNERS, SERVED, Process, free_port

pytestmark = pytest.mark.timeout(180)
PATIENCE = 30.0


class Pods:
    """Those of the overlay `small`, as processes. `server` is its PostgreSQL."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder, self.server, self.world = folder, server, world("small")
        self.pods = {pod.name: pod for pod in self.world.pods()}
        self.ports = {name: free_port() for name in SERVED}
        self._tell(self.world)
        self.processes = {name: self._process(self.pods[name]) for name in SERVED}

    def _tell(self, of: World) -> None:
        """What is made by hand, and where everybody is."""
        of.told = {(f"{s}-database", "password"): secrets.token_hex(24) for s in OWNERS}
        of.told |= {(f"{s}-database", "username"): s for s in OWNERS}
        of.told |= {("service-token", "token"): secrets.token_hex(16), ("postgres", "username"): "postgres"}
        for doc in of.kind("ConfigMap"):
            name, said = doc["metadata"]["name"], doc["data"]
            if name.startswith("settings-"):
                peers = {f"COMMONRY_{s.upper()}_URL": f"dns+http://127.0.0.1:{self.ports[s]}" for s in OWNERS}
                said |= peers | {"COMMONRY_HOST": "127.0.0.1"}
            elif name.startswith("database-"):
                said |= dict.fromkeys(("host", "migrations-host"), f"127.0.0.1:{self.server.port}")

    def _process(self, pod: Pod) -> Process:
        (container,) = pod.containers
        told = self.environment(pod, container) | {"COMMONRY_PORT": str(self.ports[pod.name])}
        command = [sys.executable, "-m", "commonry", *container["args"]]
        url = f"http://127.0.0.1:{self.ports[pod.name]}"
        return Process(pod.name, command, told, self.folder / f"{pod.name}.out", url)

    def environment(self, pod: Pod, container: Doc) -> dict[str, str]:
        """A container's, beside what this machine needs to find programs."""
        path = f"{self.server.room.programs}:{os.environ['PATH']}"
        where = {"PGHOST": "127.0.0.1", "PGPORT": str(self.server.port)}
        return self.world.environment(pod, container) | where | {"PATH": path, "LC_ALL": "C"}

    def probe(self, name: str, kind: str) -> bool:
        """As the kubelet asks it: whether it answers well, and in time."""
        (container,) = self.pods[name].containers
        said = container[f"{kind}Probe"]
        try:
            url = self.processes[name].url + said["httpGet"]["path"]
            with urllib.request.urlopen(url, timeout=said["timeoutSeconds"]) as answer:
                return 200 <= answer.status < 400
        except (urllib.error.URLError, OSError):
            return False

    def run(self, pod: Pod, container: Doc, **more: str) -> str:
        """A container that ends, to its end. Files of its ConfigMaps are where it says."""
        command = [self._with_files(pod, container, word) for word in container.get("command", [])]
        command += [sys.executable, "-m", "commonry", *container["args"]] if "args" in container else []
        told = self.environment(pod, container) | more
        done = subprocess.run(command, env=told, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{pod}: {done.stdout}{done.stderr}"
        return done.stdout

    def _with_files(self, pod: Pod, container: Doc, word: str) -> str:
        maps = {v["name"]: v["configMap"]["name"] for v in pod.spec["volumes"] if "configMap" in v}
        for mount in container.get("volumeMounts", []):
            if mount["name"] in maps and word.startswith(f"{mount['mountPath']}/"):
                doc = self.world.one("ConfigMap", maps[mount["name"]], pod.namespace)
                assert doc is not None
                file = self.folder / Path(word).name
                file.write_text(doc["data"][file.name], "utf-8")
                return str(file)
        return word

    def migrate(self) -> None:
        """All Jobs, first their initContainers."""
        for pod in self.pods.values():
            if pod.kind == "Job":
                for container in pod.containers:
                    self.run(pod, container)

    @property
    def rows(self) -> Callable[[str], list[tuple[object, ...]]]:
        return lambda database: self.server.ask("SELECT id, state, step FROM bookings ORDER BY id", database)


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE:.0f} s: {what}"
        time.sleep(0.1)


@contextmanager
def strict(place: Room) -> Iterator[Server]:
    """A server that lets nobody but its superuser in without a password."""
    made = Server(place, "postgres").make()
    (made.data / "pg_hba.conf").write_text(
        "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
    )
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    """All started, nothing migrated yet."""
    need("psql", "databases of a single PostgreSQL must be made by the script of the manifests")
    folder = tmp_path_factory.mktemp("pods")
    with room() as place, strict(place) as server:
        made = Pods(folder, server)
        try:
            for process in made.processes.values():
                process.start()
            for process in made.processes.values():
                process.wait()
            yield made
        finally:
            for process in made.processes.values():
                process.kill()


def test_pods_wait_for_migrations_and_then_lend(pods: Pods) -> None:
    assert all(pods.probe(name, "startup") and pods.probe(name, "liveness") for name in SERVED)
    assert [name for name in SERVED if pods.probe(name, "readiness")] == ["gateway"], "there is no database yet"

    pods.migrate()

    until(lambda: all(pods.probe(name, "readiness") for name in SERVED), "migrated, and ready")
    lend(pods)
    assert len(pods.rows("bookings")) > 0


def lend(pods: Pods) -> None:
    """A whole loan by `commonry demo`, as people would have it, once the gateway trusts whoever was away before."""
    until(lambda: breakers(pods) == {"closed"}, "the gateway leaves nobody alone")
    command = [sys.executable, "-m", "commonry", "demo", "--url", pods.processes["gateway"].url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def breakers(pods: Pods) -> set[str]:
    """The states of the gateway's breakers of the services that are here."""
    with urllib.request.urlopen(f"{pods.processes['gateway'].url}/api/v1/status", timeout=5) as answer:
        told = json.load(answer)["services"]
    return {told[name]["breaker"] for name in OWNERS}


@pytest.fixture(scope="module")
def migrated(pods: Pods) -> Pods:
    pods.migrate()  # a second time, in this module: a Job may be run again
    until(lambda: all(pods.probe(name, "readiness") for name in SERVED), "migrated, and ready")
    return pods


def test_without_the_database_they_live_and_are_not_ready(migrated: Pods) -> None:
    migrated.server.stop()
    until(lambda: not any(migrated.probe(name, "readiness") for name in OWNERS), "none is ready")
    assert all(migrated.probe(name, "liveness") for name in SERVED)
    assert migrated.probe("gateway", "readiness"), "a gateway is of use whoever is away"
    migrated.server.start()
    until(lambda: all(migrated.probe(name, "readiness") for name in OWNERS), "all are ready again")


def test_a_gateway_is_of_use_without_payments(migrated: Pods) -> None:
    migrated.processes["payments"].kill()
    try:
        assert migrated.probe("gateway", "liveness")
        assert migrated.probe("gateway", "readiness")
        assert migrated.probe("bookings", "readiness")
    finally:
        migrated.processes["payments"].start()
        migrated.processes["payments"].wait()


@pytest.mark.parametrize("name", SERVED)
def test_ends_well_and_in_time_when_told_to(migrated: Pods, name: str) -> None:
    pod, process = migrated.pods[name], migrated.processes[name]
    (container,) = pod.containers
    left = pod.spec["terminationGracePeriodSeconds"] - container["lifecycle"]["preStop"]["sleep"]["seconds"]
    began = time.monotonic()
    assert process.kill(signal.SIGTERM) == 0
    assert time.monotonic() - began < left
    process.start()
    process.wait()


def test_a_dump_can_be_read_again_and_old_ones_go(migrated: Pods, tmp_path: Path) -> None:
    lend(migrated)
    pod = migrated.pods["backup"]
    (container,) = pod.containers
    long_ago = time.time() - 20 * 86400
    for name in ("bookings-old.dump", "bookings-other.txt"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (long_ago, long_ago))

    said = migrated.run(pod, container, BACKUPS=str(tmp_path))

    dumps = {file.name.partition("-")[0]: file for file in tmp_path.glob("*.dump")}
    assert sorted(dumps) == sorted(OWNERS)
    assert {file.name for file in tmp_path.iterdir()} == {f.name for f in dumps.values()} | {"bookings-other.txt"}
    assert said.count("wrote") == len(OWNERS)
    migrated.server.ask("CREATE DATABASE again")
    restored = restore(migrated, dumps["bookings"])
    assert restored == migrated.rows("bookings")
    assert restored


def restore(pods: Pods, dump: Path) -> list[tuple[object, ...]]:
    command: list[Any] = [
        pods.server.room.programs / "pg_restore",
        "--dbname",
        pods.server.url("again"),
        "--no-owner",
        dump,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return pods.rows("again")


def test_a_dump_that_fails_is_said_and_keeps_the_old_ones(migrated: Pods, tmp_path: Path) -> None:
    pod = migrated.pods["backup"]
    (container,) = pod.containers
    old = tmp_path / "bookings-old.dump"
    old.touch()
    os.utime(old, (0, 0))
    with pytest.raises(AssertionError, match="does not exist"):
        migrated.run(pod, container, BACKUPS=str(tmp_path), DATABASES="users nonsense")
    assert old.exists()
    assert not list(tmp_path.glob("nonsense*.dump"))
