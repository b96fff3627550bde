"""Prometheus, Alertmanager, exporters and a receiver of alerts, started for real beside a platform under test.

What they are given is derived from what is shipped: the same jobs, rules and routes. Only addresses and times differ:
everything is scraped every two seconds and evaluated every second, and whatever a rule or a route waits is divided by
`FASTER`.
"""

import json
import re
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring import shipped
from tests.needs import need
from tests.platform import _die_with_us, free_port

WHY = "rules, alerts and dashboards must work with real Prometheus, Alertmanager and exporters"
TOOLS = (
    "prometheus prometheus-alertmanager prometheus-postgres-exporter prometheus-redis-exporter prometheus-node-exporter"
)
FASTER = 60
"""A minute that a rule or a route waits is a second here."""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_START = 30.0


def seconds(duration: str) -> float:
    """Of `1h30m`."""
    return sum(int(n) * UNITS[unit] for n, unit in re.findall(r"(\d+)([smhd])", duration))


def faster(duration: str) -> str:
    return f"{max(1, round(seconds(duration) / FASTER))}s"


@contextmanager
def begun(name: str, command: Sequence[str | Path], folder: Path, ready: str, **env: str) -> Iterator[None]:
    """A program that runs as long as the block, from when its address answers."""
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        running = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin"} | env,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_die_with_us,  # noqa: PLW1509 why: it calls one function of libc
        )
    try:
        deadline = time.monotonic() + LONGEST_START
        while not _answers(ready):
            if running.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{name} does not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield
    finally:
        running.kill()
        running.wait(10)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


class Receiver:
    """Where alerts are sent to. `heard` is every message, in order: path and JSON."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.heard.append((self.path, json.loads(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def alerts(self, path: str = "/people", status: str = "firing") -> list[dict[str, str]]:
        """Labels of the alerts that were told there so far."""
        messages = [message for at, message in self.heard if at == path]
        return [a["labels"] for message in messages for a in message["alerts"] if a["status"] == status]

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Watch:
    """A running Prometheus with all that belongs to it."""

    url: str
    receiver: Receiver
    began: float = field(default_factory=time.time)

    def _ask(self, path: str, **query: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=20) as answer:
            return json.load(answer)["data"]

    def now(self, expr: str) -> list[dict[str, Any]]:
        return self._ask("query", query=expr)["result"]

    def value(self, expr: str) -> float | None:
        """Of the only series, if there is one."""
        found = self.now(expr)
        return float(found[0]["value"][1]) if found else None

    def since_the_beginning(self, expr: str) -> list[str]:
        """Every value of every series, as a graph of the whole time would show them."""
        found = self._ask("query_range", query=expr, start=str(self.began), end=str(time.time()), step="2")["result"]
        return [value for series in found for _, value in series["values"]]

    def names(self, matcher: str) -> set[str]:
        """The metrics that there are with such a label."""
        return set(self._ask("label/__name__/values", **{"match[]": f"{{{matcher}}}"}))

    def firing(self) -> set[str]:
        return {a["labels"]["alertname"] for a in self._ask("alerts")["alerts"] if a["state"] == "firing"}

    def rule_troubles(self) -> list[str]:
        groups = self._ask("rules")["groups"]
        return [f"{rule['name']}: {rule['lastError']}" for g in groups for rule in g["rules"] if rule.get("lastError")]

    def targets(self) -> dict[str, set[str]]:
        """How the targets of each job are: `up`, or what is wrong."""
        found: dict[str, set[str]] = {}
        for target in self._ask("targets")["activeTargets"]:
            found.setdefault(target["labels"]["job"], set()).add(target["lastError"] or target["health"])
        return found


def until(
    condition: Callable[[], Any], what: str, *, patience: float = 60.0, instead: Callable[[], Any] = lambda: ""
) -> None:
    """Wait for the condition. Fails when it does not come, with what is there instead."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"not within {patience} s: {what}. {instead()}"
        time.sleep(0.1)


def prometheus_config(
    folder: Path, targets: Mapping[str, Sequence[str]], alertmanager: str, redis_exporter: str
) -> Path:
    """prometheus.yml as shipped, with the addresses of here; its rules beside it, in less of a hurry to wait."""
    whole = yaml.safe_load((shipped.PROMETHEUS / "prometheus.yml").read_text())
    whole["global"] |= {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"}
    whole["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager]}]}]
    for job in whole["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        job["static_configs"] = [{"targets": list(targets[job["job_name"]])}]
        for relabelling in job.get("relabel_configs", ()):
            if relabelling["target_label"] == "__address__":
                relabelling["replacement"] = redis_exporter
    (folder / "rules").mkdir()
    for path in shipped.rule_files():
        rules = yaml.safe_load(path.read_text())
        for group in rules["groups"]:
            group.pop("interval", None)
            for rule in group["rules"]:
                if "for" in rule:
                    rule["for"] = faster(rule["for"])
        (folder / "rules" / path.name).write_text(yaml.safe_dump(rules))
    (config := folder / "prometheus.yml").write_text(yaml.safe_dump(whole))
    return config


def alertmanager_config(folder: Path, receiver: str) -> Path:
    """alertmanager.yml as shipped, with our receiver, and the times that it waits divided."""
    text = shipped.alertmanager(people=f"{receiver}/people", dead_man=f"{receiver}/dead-man")
    timed = re.sub(r"(group_wait|group_interval|repeat_interval): (\w+)", lambda m: f"{m[1]}: {faster(m[2])}", text)
    (config := folder / "alertmanager.yml").write_text(timed)
    return config


@contextmanager
def watching(
    folder: Path, services: Mapping[str, Sequence[str]], databases: Sequence[str], redis: Sequence[str]
) -> Iterator[Watch]:
    """Watch these: addresses of each service's processes, URLs of PostgreSQL servers, addresses of Redis nodes."""
    for tool in TOOLS.split():
        need(tool, WHY)
    ports = {name: free_port() for name in ("prometheus", "alertmanager", "redis", "node")}
    at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    postgres = {f"127.0.0.1:{free_port()}": url for url in databases}
    targets = dict(services) | {"postgres": list(postgres), "redis": list(redis), "node": [at["node"]]}
    targets |= {"prometheus": [at["prometheus"]], "alertmanager": [at["alertmanager"]]}
    receiver = Receiver()
    with ExitStack() as stack:
        stack.callback(receiver.end)

        def start(name: str, ready: str, *command: str | Path, **env: str) -> None:
            stack.enter_context(begun(name, command, folder, ready, **env))

        for number, (address, url) in enumerate(postgres.items()):
            queries = f"--extend.query-path={shipped.PROMETHEUS / 'postgres-queries.yaml'}"
            tool = "prometheus-postgres-exporter"
            listens = f"--web.listen-address={address}"
            start(f"postgres-{number}", f"http://{address}/metrics", tool, listens, queries, DATA_SOURCE_NAME=url)
        start("redis", f"http://{at['redis']}/", "prometheus-redis-exporter", "-web.listen-address", at["redis"])
        start("node", f"http://{at['node']}/", "prometheus-node-exporter", f"--web.listen-address={at['node']}")
        start(
            "alertmanager",
            f"http://{at['alertmanager']}/-/ready",
            "prometheus-alertmanager",
            f"--config.file={alertmanager_config(folder, receiver.url)}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={at['alertmanager']}",
            "--cluster.listen-address=",
        )
        start(
            "prometheus",
            f"http://{at['prometheus']}/-/ready",
            "prometheus",
            f"--config.file={prometheus_config(folder, targets, at['alertmanager'], at['redis'])}",
            f"--storage.tsdb.path={folder / 'series'}",
            f"--web.listen-address={at['prometheus']}",
            f"--rules.alert.resend-delay={faster('1m')}",
        )
        yield Watch(f"http://{at['prometheus']}", receiver)
