"""Everything that watches, watching a real platform while people book in it and things break.

A platform with each service apart, a PostgreSQL with a standby, a Redis Cluster; Prometheus with the shipped rules,
Alertmanager with the shipped routes, the exporters. Every query of every panel must find something, and what was broken
must reach people.
"""

import asyncio
import math
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests import redis_cluster
from tests.ha.servers import Room, Server, room
from tests.monitoring import shipped
from tests.monitoring.watching import Watch, until, watching
from tests.platform import OWNERS, SERVED, SHORT, Person, Platform, far, running
from tests.redis_cluster import RedisCluster

STUMBLES = "bookings.undo_money.before=error"
"""Whoever cancels does not get their money back: a saga that gets stuck."""
NO_DATABASE = "gateway"
OF_THE_DATABASE = "commonry_database_pool"


class Scene(NamedTuple):
    """All that runs."""

    platform: Platform
    cluster: RedisCluster
    watch: Watch


@contextmanager
def standby_of(platform: Platform, place: Room) -> Iterator[Server]:
    """A streaming copy of the platform's PostgreSQL, that everybody on this machine may read."""
    assert platform.server is not None
    (hba := place.folder / "hba").write_text("host all all 127.0.0.1/32 trust\n")
    hba.chmod(0o644)
    copy = Server(place, "standby", hba_file=hba)
    place.run("pg_basebackup", "-D", str(copy.data), "-d", platform.server.url("postgres"), "-R", "-c", "fast", "-N")
    try:
        yield copy.start()
    finally:
        copy.stop()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("watched")
    (folder / "redis").mkdir()
    with redis_cluster.started(folder / "redis") as cluster, room() as place:
        platform = far(
            folder, SHORT | {"COMMONRY_CACHE_URL": cluster.url, "COMMONRY_FAILPOINTS": STUMBLES}, also=["analytics"]
        )
        assert platform.server is not None
        with standby_of(platform, place) as standby:
            for process in platform.processes.values():
                process.env["COMMONRY_READ_URL"] = standby.template
            with running(platform):
                services = {s: [_address(p.url) for p in _processes(platform, s)] for s in (*SERVED, "analytics")}
                nodes = [f"127.0.0.1:{node.port}" for node in cluster.nodes]
                databases = [platform.server.url("postgres"), f"{standby.url()}?sslmode=disable"]
                with watching(folder, services, databases, nodes) as watch:
                    yield Scene(platform, cluster, watch)


def _processes(platform: Platform, service: str) -> list[Any]:
    return [process for name, process in platform.processes.items() if name.partition("-")[0] == service]


def _address(url: str) -> str:
    return url.removeprefix("http://")


A_THINGS_YEAR = 150
"""Rounds, each two days further on: a thing can be booked for a year ahead."""


class Traffic:
    """A few people who look, book, pay, pick up, return, cancel; over and over, until told to stop."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.owner, self.borrower = Person(platform.url, "owner"), Person(platform.url, "borrower")
        self.rounds, self._day = 0, 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._go_on()), daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join(30)

    async def _go_on(self) -> None:
        await self.owner.register()
        await self.borrower.register()
        asked = {"title": "A drill", "category": "other", "price": {"amount": 1000, "currency": "EUR", "per": "day"}}
        place = {"lat": 52.5, "lon": 13.4, "label": "Here", "address": "Street 1"}
        item = await self.owner.must("POST", "/items", asked | {"location": place, "booking_mode": "instant"})
        while not self._over.is_set():
            if self.rounds % A_THINGS_YEAR == A_THINGS_YEAR - 1:
                _, another, _ = await self.owner.call("POST", "/items", asked | {"location": place})
                item, self._day = (another, 0) if another and another.get("id") else (item, self._day)
            await self._look(item["id"])
            await self._borrow(item["id"])
            self.rounds += 1
        await self.owner.close()
        await self.borrower.close()

    async def _look(self, item: str) -> None:
        """What is broken meanwhile may answer as it likes."""
        for _ in range(3):
            await self.borrower.call("GET", f"/items/{item}")
            await self.owner.call("GET", "/bookings")
        stranger = Person(self.platform.url)
        for path in (f"/items/{item}", "/items?text=drill", f"/items/{item}", "/nowhere"):
            await stranger.call("GET", path)
        await self.owner.call("PATCH", f"/items/{item}", {"title": f"A drill, looked at {self.rounds} times"})
        await stranger.close()

    async def _borrow(self, item: str) -> None:
        """The next one wants the same day and is refused; one of five is cancelled."""
        self._day += 2
        start = datetime.now(UTC) + timedelta(days=self._day)
        period = {"from": start.isoformat(), "to": (start + timedelta(days=1)).isoformat()}
        wish = {"item_id": item, "payment_method": "pm_card_visa"} | period
        _, booking, _ = await self.borrower.call("POST", "/bookings", wish)
        await self.borrower.call("POST", "/bookings", wish)
        if self.rounds % 5 == 0 and booking and booking.get("id"):
            await self.borrower.call("POST", f"/bookings/{booking['id']}/cancel")


@pytest.fixture(scope="module")
def traffic(scene: Scene) -> Iterator[Traffic]:
    people = Traffic(scene.platform)
    people.begin()
    until(lambda: people.rounds > 2, "people book")
    yield people
    people.end()


@pytest.mark.timeout(400)
@pytest.mark.faults
def test_what_breaks_reaches_people_and_every_panel_shows_something(scene: Scene, traffic: Traffic):
    watch, told = scene.watch, scene.watch.receiver
    _warehouse(scene.platform)
    jobs = {job["job_name"] for job in _jobs()}
    until(lambda: watch.targets() == {job: {"up"} for job in jobs}, "everything is scraped", instead=watch.targets)
    until(lambda: told.alerts("/dead-man"), "the watchdog is heard")
    assert {a["alertname"] for a in told.alerts("/dead-man")} == {"CommonryWatchdog"}

    broken = {"CommonryBreakerOpen", "CommonryServiceDown", "CommonryTargetDown", "CommonryRedisNodeDown"}
    assert {alert["alertname"] for alert in told.alerts()} & broken == set(), "nothing is broken yet"

    inventory = scene.platform.processes["inventory"]
    _falls_silent(scene.platform, traffic)
    scene.cluster.nodes[0].kill()
    until(lambda: watch.now("sum(commonry_cache_errors_total) > 0"), "the cache is missed")
    inventory.kill()
    _malformed(scene.platform.url)
    _until_told(watch, "CommonryBreakerOpen", service="inventory", severity="critical")
    _until_told(watch, "CommonryServiceDown", service="inventory", severity="critical")
    effect = 'ALERTS{alertname="CommonryTargetDown", service="inventory", alertstate="firing"}'
    until(lambda: watch.now(effect), "its target is down, too")
    until(lambda: _told(watch, "CommonryTargetDown", service="bookings"), "what has no greater cause is told")
    _until_told(watch, "CommonryRedisNodeDown", service="redis", severity="warning")

    inventory.start()
    inventory.wait()
    until(
        lambda: any(a["alertname"] == "CommonryBreakerOpen" for a in told.alerts(status="resolved")),
        "all is well again",
    )
    _until_told(watch, "CommonrySagaStuck", queue="bookings", service="bookings", severity="critical", patience=120)
    assert not _told(watch, "CommonryTargetDown", service="inventory"), "who knows the cause need not hear the effect"
    assert watch.rule_troubles() == []
    _every_panel_shows_something(watch)
    _rules_and_lists_name_what_there_is(watch)


def _warehouse(platform: Platform) -> None:
    """It is brought up to date once; its numbers are the gateway's to tell."""
    command = [sys.executable, "-m", "commonry", "etl", "run", "--compare"]
    told = os.environ | platform.env | {"COMMONRY_FAILPOINTS": ""}
    done = subprocess.run(command, check=False, env=told, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr


def _jobs() -> list[dict[str, Any]]:
    return yaml.safe_load((shipped.PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]


def _told(watch: Watch, name: str, **labels: str) -> bool:
    wanted = labels | {"alertname": name}
    return any(wanted.items() <= alert.items() for alert in watch.receiver.alerts())


def _until_told(watch: Watch, name: str, *, patience: float = 60, **labels: str) -> None:
    until(lambda: _told(watch, name, **labels), f"{name} reaches people", patience=patience)


def _falls_silent(platform: Platform, traffic: Traffic) -> None:
    """One of two hangs while it owes answers, which the gateway then gets from the other. Then it ends."""

    async def ask() -> None:
        someone = Person(platform.url)
        someone.token = traffic.borrower.token
        answers = await asyncio.gather(*(someone.call("GET", "/bookings") for _ in range(8)))
        assert {answer.status for answer in answers} == {200}
        await someone.close()

    replica = platform.processes["bookings-2"]
    replica.pause()
    asyncio.run(ask())
    replica.kill()


def _malformed(url: str) -> None:
    """A request that is refused at the door: it names no host."""
    host, _, port = _address(url).partition(":")
    for _ in range(3):
        with socket.create_connection((host, int(port)), timeout=5) as spoken:
            spoken.sendall(b"GET /api/v1/items HTTP/1.1\r\n\r\n")
            assert b" 400 " in spoken.recv(100)


def _every_panel_shows_something(watch: Watch) -> None:
    assert not _shows(watch, "commonry_that_nobody_has"), "nothing would be noticed"
    assert not _shows(watch, "vector(0) / 0"), "what is no number would be taken for one"
    asked = [query for query in shipped.queries() for query in _chosen(query)]
    empty = [query for query in asked if not _shows(watch, query.expr)]
    assert empty == [], "\n".join(map(str, empty))


def _chosen(query: shipped.Query) -> list[shipped.Query]:
    """The query for every service that can be chosen."""
    expr = query.expr.replace("$__rate_interval", "1m")
    if "$service" not in expr:
        return [query._replace(expr=expr)]
    services = OWNERS if OF_THE_DATABASE in expr else SERVED
    return [query._replace(expr=expr.replace("$service", service)) for service in services]


def _shows(watch: Watch, expr: str) -> bool:
    assert "$" not in expr
    return any(not math.isnan(float(value)) for value in watch.since_the_beginning(expr))


def _rules_and_lists_name_what_there_is(watch: Watch) -> None:
    listed = yaml.safe_load((Path(__file__).parent / "exporters.yaml").read_text())
    elsewhere = {name for job in ("kubelet", "prometheus") for name in listed.pop(job)}
    asked = {name for rule in shipped.rules() for name in shipped.metrics_in(rule["expr"])}
    assert asked - elsewhere - watch.names('__name__!=""') == set()
    for job, names in listed.items():
        assert set(names) - watch.names(f'job="{job}"') == set(), job
