"""What deploy/ has for one machine: the units of systemd, and HTTPS by Caddy, run before a real platform."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPSConnection
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from commonry.contracts.settings import Settings
from tests.needs import need
from tests.platform import Platform, free_port, started
from tools.docs.filling import ROOT

UNITS = sorted((ROOT / "deploy/systemd").glob("commonry*.*"))
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
CADDYFILE = ROOT / "deploy/caddy/Caddyfile"
INSTALLED = "/opt/commonry/.venv/bin/commonry"
MOST_EXPOSED = 20
"""Of 100, by systemd's own count; an ordinary service has over 90."""


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """The units, with a Commonry that is on this machine in the place of the installed one."""
    here = shutil.which("true")
    assert here
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace(INSTALLED, here))
    return [str(tmp_path / unit.name) for unit in UNITS]


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    tool = need("systemd-analyze", "the units of deploy/systemd are checked by systemd itself")
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)


def test_systemd_finds_nothing_wrong_with_the_units(units: list[str]) -> None:
    done = analyze("verify", *units)
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_would_find_what_is_wrong(units: list[str], tmp_path: Path) -> None:
    wrong = tmp_path / "commonry.service"
    wrong.write_text(wrong.read_text().replace("Type=exec", "Type=exec\nNoSuchThing=yes"))
    assert "NoSuchThing" in analyze("verify", *units).stderr


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_the_units_may_do_little(unit: Path) -> None:
    assert analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(unit)).returncode == 0
    assert analyze("security", "--offline=true", "--threshold=1", str(unit)).returncode != 0  # it does count


def test_what_the_units_call_exists_with_its_options() -> None:
    from commonry.cli.program import commonry

    called = [
        line
        for unit in SERVICES
        for line in re.findall(rf"^ExecStart={INSTALLED} (.+)$", unit.read_text(), re.MULTILINE)
    ]
    assert len(called) == 2
    for line in called:
        name, *words = line.split()
        known = {word for option in commonry.commands[name].params for word in (*option.opts, *option.secondary_opts)}
        assert {word for word in words if word.startswith("--")} <= known


def test_what_the_caddyfile_asks_of_commonry_is_a_setting() -> None:
    named = set(re.findall(r"COMMONRY_([A-Z_]+)=", CADDYFILE.read_text()))
    assert named <= {field.name.upper() for field in msgspec.structs.fields(Settings)}
    assert named == {"TRUSTED_PROXIES"}


class Door(NamedTuple):
    """Where the clients of a platform come in."""

    platform: Platform
    port: int
    trusting: ssl.SSLContext

    def ask(self, method: str, path: str, client: str = "127.0.0.1", body: bytes = b"") -> tuple[int, dict[str, str]]:
        """A request over HTTPS that claims to come from elsewhere: status and headers."""
        connection = HTTPSConnection(
            "localhost", self.port, timeout=60, context=self.trusting, source_address=(client, 0)
        )
        headers = {"X-Forwarded-For": "198.51.100.7", "Content-Type": "application/json"}
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A platform behind Caddy with the Caddyfile as it is."""
    tmp_path = tmp_path_factory.mktemp("caddy")
    caddy = need("caddy", "HTTPS before one machine is tried with a real Caddy")
    port = free_port()
    env = {"COMMONRY_TRUSTED_PROXIES": "127.0.0.1", "COMMONRY_LIMIT_READS": "1/h,2"}
    with started("near", tmp_path, **env) as platform:
        config = tmp_path / "Caddyfile"
        # No door to change its settings by, no other port, and no word to this machine's store of certificates.
        ours = f"{{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n\thttps_port {port}\n}}\n"
        config.write_text(ours + CADDYFILE.read_text())
        told = os.environ | {
            "SITE": f"https://localhost:{port}",
            "UPSTREAM": platform.url.removeprefix("http://"),
            "XDG_DATA_HOME": str(tmp_path / "caddy"),
            "XDG_CONFIG_HOME": str(tmp_path / "caddy"),
        }
        command = [caddy, "run", "--adapter", "caddyfile", "--config", config]
        with (tmp_path / "caddy.out").open("wb") as output:
            running = subprocess.Popen(command, env=told, stdout=output, stderr=output)
        try:
            root = tmp_path / "caddy/caddy/pki/authorities/local/root.crt"
            _until(lambda: root.exists() and _listens(port), running, tmp_path / "caddy.out")
            yield Door(platform, port, ssl.create_default_context(cafile=str(root)))
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(20)


def _until(holds, running: subprocess.Popen[bytes], output: Path) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert running.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.timeout(180)
def test_https_by_caddy_and_each_client_is_counted_by_its_own_address(door: Door) -> None:
    status, headers = door.ask("GET", "/api/v1/items", "127.0.0.2")
    assert status == 200
    assert headers["strict-transport-security"].startswith("max-age=")
    assert "server" not in headers
    assert [door.ask("GET", "/api/v1/items", "127.0.0.2")[0] for _ in range(2)] == [200, 429]
    assert door.ask("GET", "/api/v1/items", "127.0.0.3")[0] == 200


def test_metrics_are_not_for_the_street(door: Door) -> None:
    assert door.ask("GET", "/metrics", "127.0.0.5")[0] == 404
    with urllib.request.urlopen(f"{door.platform.url}/metrics", timeout=10) as inside:
        assert inside.status == 200


def test_nobody_else_is_trusted(door: Door) -> None:
    with pytest.raises(urllib.error.URLError):  # signed by nobody whom this machine knows
        urllib.request.urlopen(f"https://localhost:{door.port}/healthz", timeout=10)


@pytest.mark.timeout(180)
def test_who_comes_during_a_restart(door: Door) -> None:
    """Reads are kept waiting and served. A write is, too, or refused by Caddy; then it has had no effect."""
    process = door.platform.processes["platform"]
    assert process.kill(signal.SIGTERM) == 0
    body = b'{"email": "early@example.org", "password": "a long sentence is best", "display_name": "Early"}'

    def join() -> int:
        return door.ask("POST", "/api/v1/auth/register", "127.0.0.4", body)[0]

    with ThreadPoolExecutor() as early:
        read, first = early.submit(door.ask, "GET", "/api/v1/items", "127.0.0.4"), early.submit(join)
        time.sleep(0.5)  # they are at the door by now; if not, they are served all the same
        assert not read.done()
        process.start()
        assert read.result(60)[0] == 200
    assert (first.result(60), join()) in ((201, 409), (502, 201))
