"""The stack of compose.yaml, running under podman from images made here: all but Grafana, which has no package to make
one from.

It runs from a copy of deploy/, with secrets of its own, so that a person's are neither read nor touched. Beside Grafana
one more thing is left out: this machine's Alertmanager may be too old to read addresses from files.
"""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.deploy import compose
from tests.deploy.podman import Podman
from tests.platform import Platform, free_port

ROOT = compose.ROOT
LEFT_OUT = ("grafana",)
PORTS = {"gateway": 8000, "users": 8001, "inventory": 8002, "bookings": 8003, "payments": 8004, "analytics": 8005}
TWICE = ("gateway", "inventory", "bookings")


@dataclass
class Stack:
    """The running containers, by the names that compose gives them."""

    podman: Podman
    project: Path
    url: str = ""
    secrets: dict[str, str] = field(default_factory=dict)

    def prepare(self) -> None:
        """A copy of deploy/ that this machine can run, and secrets for it."""
        shutil.copytree(ROOT / "deploy", self.project / "deploy", ignore=shutil.ignore_patterns(".env"))
        shutil.copy(ROOT / "pyproject.toml", self.project)
        file = self.project / "deploy/compose.yaml"
        file.write_text(without(file.read_text(), LEFT_OUT))
        alerts = self.project / "deploy/prometheus/alertmanager.yml"
        alerts.write_text(re.sub(r"url_file: .*", "url: http://127.0.0.1:9/", alerts.read_text()))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        chosen = self.project / "deploy/.env"
        front, outside = (f"10.203.{port % 100 + more}.0/24" for more in (50, 150))
        networks = f"FRONT_NETWORK={front}\nTRUSTED_PROXIES={front}\nOUTSIDE_NETWORK={outside}\n"
        chosen.write_text(f"PUBLISH=127.0.0.1:{port}\n{networks}")
        self.secrets = compose.secrets(chosen)

    def up(self, **more: str) -> str:
        """What `make compose-up` does."""
        return self._script("up", **more)

    def down(self, **more: str) -> str:
        return self._script("down", **more)

    def _script(self, what: str, **more: str) -> str:
        script = str(self.project / "deploy/compose/run.sh")
        return self.podman.call(script, what, told={"ENGINE": "podman"} | more)

    def container(self, service: str, number: int = 1) -> str:
        return f"commonry_{service}_{number}"

    def exec(self, service: str, *words: str, number: int = 1, check: bool = True) -> str:
        return self.podman.exec(self.container(service, number), *words, check=check)

    def inspect(self, service: str, number: int = 1) -> dict[str, Any]:
        return json.loads(self.podman.run("inspect", self.container(service, number)))[0]

    def running(self) -> dict[str, str]:
        """The state of every container, by name."""
        listed = json.loads(self.podman.run("ps", "--all", "--format", "json"))
        return {container["Names"][0]: container["State"] for container in listed}

    def kill(self, service: str, number: int = 1) -> None:
        """As the kernel would: the engine is not asked, and so starts it again."""
        process = str(self.inspect(service, number)["State"]["Pid"])
        subprocess.run(["kill", "-KILL", process], check=True)

    def address(self, service: str) -> str:
        """Where this machine reaches a container, past the door."""
        networks = self.inspect(service)["NetworkSettings"]["Networks"]
        return next(told["IPAddress"] for told in networks.values())

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 180) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}\n{self.story()}"
            time.sleep(0.5)

    def story(self) -> str:
        """What every container has said last."""
        said = {
            name: self.podman.run("logs", "--tail", "5", name, check=False)[-1500:] for name in sorted(self.running())
        }
        return "\n".join(f"{name}: {words}" for name, words in said.items() if words)

    def is_calm(self) -> bool:
        """Nobody of ours holds a neighbour for away, as all do who came before it."""
        return all(
            not re.search(r"^commonry_breaker_open\{.*\} 1\.0$", self._figures(service, number), re.MULTILINE)
            for service in PORTS
            for number in range(1, 3 if service in TWICE else 2)
        )

    def _figures(self, service: str, number: int) -> str:
        url = f"http://127.0.0.1:{PORTS[service]}/metrics"
        code = f"import urllib.request as r; print(r.urlopen('{url}').read().decode())"
        return self.exec(service, "python3", "-c", code, number=number)

    def redis(self, service: str, *command: str) -> str:
        """What redis-cli prints; nothing where the node is down."""
        asked = f"REDISCLI_AUTH=$REDIS_PASSWORD redis-cli -h {service} {' '.join(command)}"
        return self.exec(service, "sh", "-c", asked, check=False)

    def cache_is_whole(self) -> bool:
        """Every node knows three masters with a replica each, and nobody who fails."""
        for n in range(1, 7):
            lines = [line.split() for line in self.redis(f"redis-{n}", "cluster", "nodes").splitlines()]
            serving = [w[0] for w in lines if len(w) > 8 and "master" in w[2] and "fail" not in w[2]]
            followed = [w[3] for w in lines if len(w) > 3 and "slave" in w[2] and "fail" not in w[2]]
            if len(lines) != 6 or len(serving) != 3 or sorted(serving) != sorted(followed):
                return False
        return True


@dataclass
class Compose(Platform):
    """The stack as the tests of a platform see it."""

    stack: Stack | None = None

    def database(self, service: str) -> str:
        assert self.stack
        password = self.stack.secrets[f"PASSWORD_{service.upper()}"]
        return f"postgresql://{service}:{password}@{self.stack.address('postgres-1')}/{service}"


def without(text: str, services: tuple[str, ...]) -> str:
    """The file without some services, everything else as it is written."""
    for name in services:
        text, count = re.subn(rf"^  {name}:\n(?:    .*\n|\n)+", "", text, flags=re.MULTILINE)
        assert count == 1
    return text
