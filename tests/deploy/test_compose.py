"""deploy/compose.yaml and the Dockerfile, read as they are: what they name exists, what they promise stands in them.

That they also do it is shown by test_containers.py, which builds the image and starts the stack.
"""

import re
import shutil
import stat
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from commonry.cli.serving import OWNERS
from commonry.contracts.settings import Settings
from commonry.kit.settings import load
from tests.deploy import compose

ROOT, DEPLOY = compose.ROOT, compose.DEPLOY
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
SERVED = ("gateway", *OWNERS, "analytics")
FIELDS = {f.name for f in msgspec.structs.fields(Settings)}
FILE = compose.raw()
SERVICES: dict[str, Any] = FILE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OURS = {name for name, service in SERVICES.items() if service["image"].startswith("commonry")}
every_service = pytest.mark.parametrize("name", SERVICES)


@pytest.fixture
def told(tmp_path: Path) -> dict[str, Any]:
    """The services with the secrets that `make compose-up` makes."""
    return compose.filled(SERVICES, compose.secrets(tmp_path / ".env"))


@every_service
def test_every_image_is_pinned(name: str) -> None:
    tag = SERVICES[name]["image"].rpartition(":")[2]
    assert re.search(r"\d+(\.\d+)*", tag), f"{name} takes whatever image is newest"


def test_our_image_has_the_projects_version() -> None:
    assert {SERVICES[name]["image"] for name in OURS} == {f"commonry:{VERSION}"}


def test_images_are_those_of_the_kubernetes_manifests() -> None:
    used = [image for file in (DEPLOY / "kubernetes").rglob("*.yaml") for image in _images(file)]
    elsewhere = {_short(image).partition(":")[0]: _short(image) for image in used}
    here = {_short(s["image"]).partition(":")[0]: _short(s["image"]) for s in SERVICES.values()}
    common = here.keys() & elsewhere.keys()
    assert {"commonry", "redis"} <= common
    assert {name: here[name] for name in common} == {name: elsewhere[name] for name in common}


def _images(file: Path) -> list[str]:
    return re.findall(r"^\s*(?:- )?image: *[\"']?(\S+?)[\"']?$", file.read_text(), re.MULTILINE)


def _short(image: str) -> str:
    return image.removeprefix("docker.io/").removeprefix("library/")


@every_service
def test_settings_are_real_and_valid(name: str, told: dict[str, Any]) -> None:
    ours = {n: v for n, v in compose.environment(told[name]).items() if n.startswith("COMMONRY_")}
    assert {n.removeprefix("COMMONRY_").lower() for n in ours} <= FIELDS
    load(Settings, ours)


@pytest.mark.parametrize("name", SERVED)
def test_every_service_is_told_all_it_needs(name: str, told: dict[str, Any]) -> None:
    from commonry.cli.serving import _check_complete

    assert told[name]["command"] == ["serve", name]
    _check_complete(name, load(Settings, compose.environment(told[name])))


@pytest.mark.parametrize("name", OWNERS)
def test_every_database_is_migrated_by_its_own_role(name: str, told: dict[str, Any]) -> None:
    migration = told[f"migrate-{name}"]
    url = compose.environment(told[name])["COMMONRY_DATABASE_URL"]
    assert migration["command"] == ["migrate", name]
    assert compose.environment(migration) == {"COMMONRY_DATABASE_URL": url}
    assert re.fullmatch(rf"postgresql://{name}:\w+@postgres-1/{name}", url)
    assert migration["restart"] == "on-failure"


def test_the_warehouse_reads_the_follower_as_who_may_only_read(told: dict[str, Any]) -> None:
    said = compose.environment(told["analytics"])
    settings = load(Settings, {name: value for name, value in said.items() if name.startswith("COMMONRY_")})
    for owner in OWNERS:
        assert re.fullmatch(rf"postgresql://{owner}_reader:\w+@postgres-2/{owner}", settings.warehouse_source(owner))
    assert settings.etl_minutes
    assert not settings.database_url
    assert (("warehouse", settings.data, "rw")) in compose.mounts(told["analytics"])
    assert f"-m 0750 {settings.data}\n" in DOCKERFILE, "a new volume belongs to whom its place in the image does"


def test_who_keeps_photos_keeps_them_in_one_place(told: dict[str, Any]) -> None:
    keepers = {"inventory", "bookings", "neighbourhood"}
    assert {name for name in told if ("files", "/var/lib/commonry", "rw") in compose.mounts(told[name])} == keepers
    for name in keepers:
        said = compose.environment(told[name])
        assert load(Settings, {k: v for k, v in said.items() if k.startswith("COMMONRY_")}).files() == (
            "file:///var/lib/commonry/files"
        )


def test_what_needs_a_second_has_one() -> None:
    twice = {name for name, service in SERVICES.items() if service.get("deploy", {}).get("replicas") == 2}
    assert twice == {"gateway", "bookings", "inventory"}
    assert {"postgres-1", "postgres-2", *(f"redis-{n}" for n in range(1, 7))} <= SERVICES.keys()


def test_ports_match(told: dict[str, Any]) -> None:
    ports = {name: load(Settings, compose.environment(told[name])).port for name in SERVED}
    assert ports == {
        "gateway": 8000,
        "users": 8001,
        "inventory": 8002,
        "bookings": 8003,
        "payments": 8004,
        "analytics": 8005,
    }
    assert load(Settings, compose.environment(told["gateway"])).urls("analytics") == ["dns+http://analytics:8005"]
    for name in SERVED:
        settings = load(Settings, compose.environment(told[name]))
        assert {owner: settings.urls(owner) for owner in OWNERS} == {
            owner: [f"dns+http://{owner}:{ports[owner]}"] for owner in OWNERS
        }
    assert "server-template gateway 1-10 gateway:8000 " in (DEPLOY / "compose/haproxy.cfg").read_text()
    assert "bind :8000\n" in (DEPLOY / "compose/haproxy.cfg").read_text()


def test_prometheus_asks_for_names_that_exist() -> None:
    jobs = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    asked = {job["job_name"]: dns["names"][0] for job in jobs for dns in job.get("dns_sd_configs", [])}
    theirs = compose.networks(SERVICES["prometheus"])
    near = {name: service for name, service in SERVICES.items() if theirs & compose.networks(service)}
    assert {name for job, name in asked.items() if job != "node"} <= compose.names(near)
    # Who is met on two networks would be counted twice.
    assert all(len(theirs & compose.networks(service)) == 1 for name, service in near.items() if name != "prometheus")
    assert {*SERVED, "postgres", "redis"} <= asked.keys()


@every_service
def test_what_is_mounted_is_there_and_cannot_be_changed(name: str) -> None:
    for source, _, mode in compose.mounts(SERVICES[name]):
        if source.startswith("."):
            assert (DEPLOY / source).exists(), source
            assert mode == "ro", source
            assert (DEPLOY / source).stat().st_mode & stat.S_IROTH, f"{source} is for one user only"
        else:
            assert source in FILE["volumes"]


@every_service
def test_every_container_is_hardened_and_limited(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["cpus"]
    assert service["pids_limit"]
    once = name.startswith("migrate-") or "profiles" in service
    assert service["restart"] in ({"on-failure", "no"} if once else {"unless-stopped"})
    assert not {"privileged", "cap_add", "network_mode", "pid"} & service.keys()


@every_service
def test_nobody_waits_for_a_neighbour(name: str) -> None:
    assert "depends_on" not in SERVICES[name]


def test_only_the_door_is_published_and_on_loopback(told: dict[str, Any]) -> None:
    assert {name: service["ports"] for name, service in told.items() if "ports" in service} == {
        "door": ["127.0.0.1:8000:8000"]
    }
    for service in compose.filled(compose.raw("compose/look.yaml")["services"], {}).values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_only_the_door_and_who_tells_people_reach_the_outside() -> None:
    outside = {name for name, told in FILE["networks"].items() if not (told or {}).get("internal")}
    assert outside == {"outside"}
    assert {n for n, s in SERVICES.items() if "outside" in compose.networks(s)} == {"door", "alertmanager"}
    assert compose.networks(SERVICES["door"]) == {"outside", "front"}
    assert {n for n, s in SERVICES.items() if "front" in compose.networks(s)} == {"door", "gateway"}
    assert {n for n, s in SERVICES.items() if "storage" in compose.networks(s)}.isdisjoint(
        {"gateway", "door", "grafana"}
    )


def test_the_gateway_believes_the_door_and_nobody_else(told: dict[str, Any]) -> None:
    subnet = compose.filled(FILE["networks"]["front"], {})["ipam"]["config"][0]["subnet"]
    assert compose.environment(told["gateway"])["COMMONRY_TRUSTED_PROXIES"] == subnet


def test_no_secret_has_a_default(tmp_path: Path) -> None:
    made = compose.secrets(tmp_path / ".env")
    used = {m[1]: m[2] for m in compose.VARIABLE.finditer((DEPLOY / "compose.yaml").read_text())}
    assert made.keys() <= used.keys()
    defaulted = {m[1] for m in compose.VARIABLE.finditer((DEPLOY / "compose.yaml").read_text()) if m[2] == "-"}
    assert defaulted.isdisjoint(made)
    assert defaulted | made.keys() == used.keys(), "a variable that nobody sets"
    assert not [name for name in used if re.search("PASSWORD|TOKEN", name) and name not in made]


def test_secrets_are_made_once_and_cannot_be_guessed(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    first = compose.secrets(file)
    assert all(re.fullmatch("[0-9a-f]{48}", value) for value in first.values())
    assert len(set(first.values())) == len(first)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert compose.secrets(file) == first
    file.write_text(file.read_text().replace(f"REDIS_PASSWORD={first['REDIS_PASSWORD']}\n", "PUBLISH=127.0.0.1:9000\n"))
    second = compose.secrets(file)
    assert second.pop("PUBLISH") == "127.0.0.1:9000"
    assert second.pop("REDIS_PASSWORD") != first.pop("REDIS_PASSWORD")
    assert second == first
    assert compose.secrets(tmp_path / "another") != first


def test_the_secrets_of_a_checkout_are_nobody_elses() -> None:
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in kept
    assert {line for line in kept if line.startswith("!")} == {
        "!pyproject.toml",
        "!requirements.lock",
        "!README.md",
        "!LICENSE",
        "!src",
        "!deploy/image",
    }


def stages() -> list[str]:
    return re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]


def test_the_image_is_built_in_two_stages_from_one_pinned_base() -> None:
    built, final = stages()
    assert built.startswith("${PYTHON_IMAGE} AS built\n")
    assert final.startswith("${PYTHON_IMAGE}\n")
    assert re.search(r"^ARG PYTHON_IMAGE=\S+/python:3\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    assert "--require-hashes --no-deps" in built
    assert "-r requirements.lock" in built
    assert "compileall" in built
    assert not re.search(r"apt-get|pip|gcc|build-essential", final)


def test_the_image_runs_as_nobody_in_particular_and_names_no_service() -> None:
    final = stages()[-1]
    user = re.search(r"^USER (\d+):(\d+)$", final, re.MULTILINE)
    assert user
    assert min(map(int, user.groups())) > 10000
    assert 'ENTRYPOINT ["commonry"]\n' in final
    assert 'CMD ["--help"]\n' in final
    assert "PYTHONDONTWRITEBYTECODE=1" in final
    assert "COMMONRY_HOST=0.0.0.0" in final
    assert "HEALTHCHECK" in final
    assert not re.search(r"\b(curl|wget)\b", final.partition("HEALTHCHECK")[2])
    for label in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in final
    assert f"ARG VERSION={VERSION}\n" in final


def test_the_door_lets_no_figures_out_and_repeats_nothing_that_may_have_happened() -> None:
    config = (DEPLOY / "compose/haproxy.cfg").read_text()
    assert "http-request return status 404 if { path /metrics }" in config
    assert re.findall(r"retry-on (.+)", config) == ["conn-failure"]
    server = re.search(r"timeout server (\d+)s", config)
    assert server
    assert int(server[1]) > load(Settings, {}).answer_seconds


@pytest.mark.parametrize("script", ["compose/run.sh", "compose/build.sh"])
def test_without_an_engine_the_scripts_say_what_is_missing(tmp_path: Path, script: str) -> None:
    for program in ("sh", "dirname", "sed", "env", "git"):
        (tmp_path / program).symlink_to(str(shutil.which(program)))
    env = {"PATH": str(tmp_path)}
    done = subprocess.run([DEPLOY / script, "up"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("This needs docker ")
    assert len(done.stderr.splitlines()) == 1
