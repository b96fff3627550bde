"""`commonry up`: starts quickly, ends cleanly however it is told to, and loses nothing when it is killed."""

import asyncio
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from commonry.cli.storage import url_of
from commonry.kit.postgres import EmbeddedPostgres
from tests.platform import Person, near, started


def servers(folder):
    """PostgreSQL processes that serve this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.name() == "postgres" and Path(process.cwd()).is_relative_to(folder):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    with started("near", tmp_path_factory.mktemp("up")) as platform:
        yield platform


@pytest.fixture
def up(one):
    """The platform, running again where the test before has stopped it."""
    if one.processes["platform"].running.poll() is not None:
        one.processes["platform"].restart()
    return one


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_it_stops_with_everything(up, number):
    assert servers(up.folder)
    assert up.processes["platform"].kill(number) == 0
    assert servers(up.folder) == []
    assert "Traceback" not in up.output()


def test_told_to_stop_while_it_starts_it_stops_too(tmp_path):
    platform = near(tmp_path, {})
    process = platform.processes["platform"]
    process.start()
    deadline = time.monotonic() + 30
    while not servers(platform.folder) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.kill(signal.SIGINT) == 0
    assert servers(platform.folder) == []
    assert "Traceback" not in platform.output()


def test_a_running_request_is_finished_before_the_end(up):
    host, port = up.url.removeprefix("http://").split(":")
    body = b'{"email": "ada@example.org", "password": "long enough, surely", "display_name": "Ada"}'
    head = "POST /api/v1/auth/register HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    head += f"content-length: {len(body)}"
    with socket.create_connection((host, int(port))) as talk:
        talk.sendall(head.encode() + b"\r\n\r\n" + body[:10])
        time.sleep(0.2)
        process = up.processes["platform"].running
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        talk.sendall(body[10:])
        assert talk.recv(4096).startswith(b"HTTP/1.1 201 ")
    assert process.wait(20) == 0


async def test_kill_9_leaves_nothing_behind_and_loses_nothing(up):
    process = up.processes["platform"]
    ada = await up.person("ada")
    before = set(servers(up.folder))
    process.kill()
    deadline = time.monotonic() + 10
    while servers(up.folder) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert not before & set(servers(up.folder))
    process.start()
    process.wait()
    again = Person(up.url, "ada")
    again.email, again.password = ada.email, ada.password
    await again.login()
    await again.close()
    await ada.close()


def test_a_second_start_takes_less_than_three_seconds(up):
    process = up.processes["platform"]
    assert process.kill(signal.SIGTERM) == 0
    best = min(_start_seconds(process) for _ in range(3))
    assert best < 3


def _start_seconds(process):
    began = time.perf_counter()
    process.start()
    process.wait()
    taken = time.perf_counter() - began
    process.kill(signal.SIGTERM)
    return taken


def test_sqlalchemy_stays_out_of_the_platform(up):
    maps = Path(f"/proc/{up.processes['platform'].running.pid}/maps")
    if not maps.exists():
        pytest.skip("needs /proc")
    assert "sqlalchemy" not in maps.read_text()


def test_platform_and_database_are_small(up):
    me = psutil.Process(up.processes["platform"].running.pid)
    whole = sum(p.memory_full_info().pss for p in [me, *me.children(recursive=True)])
    assert whole < 300 * 2**20


def test_the_secret_is_ours_alone_and_stays_the_same(up):
    file = up.folder / "service-token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secret = file.read_text()
    up.processes["platform"].restart()
    assert file.read_text() == secret
    assert secret not in up.output()


def test_it_tells_where_it_is_and_what_to_try(up):
    told = up.output()
    assert up.url in told
    assert "/api/docs" in told
    assert "Ctrl-C" in told


def test_only_this_machine_is_listened_to_by_default(up):
    assert re.match(r"http://127\.0\.0\.1:\d+$", up.url)
    connections = psutil.Process(up.processes["platform"].running.pid).net_connections("inet")
    listening = {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def test_a_free_port_is_found_and_told(tmp_path):
    command = [sys.executable, "-m", "commonry", "up", "--no-demo", "--port", "0", "--data", str(tmp_path / "d")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            address = next(line for line in process.stdout if "ready" in line)
        finally:
            process.terminate()
    assert re.search(r"http://127\.0\.0\.1:[1-9]\d+$", address.strip())


def test_data_is_kept_where_told(tmp_path):
    with started("near", tmp_path, XDG_DATA_HOME=str(tmp_path / "xdg")) as platform:
        assert (platform.folder / "cluster").is_dir()
    assert not os.path.exists(tmp_path / "xdg")


def test_somebody_elses_postgresql_is_used_where_named(tmp_path):
    server = EmbeddedPostgres(tmp_path / "theirs")
    server.start()
    try:
        server.create_databases(["users", "inventory", "bookings", "payments"])
        with started("near", tmp_path, COMMONRY_DATABASE_URL=url_of(server)) as platform:
            assert servers(platform.folder) == []
            assert platform.processes["platform"].kill(signal.SIGTERM) == 0
        assert servers(tmp_path / "theirs")
    finally:
        server.stop()
