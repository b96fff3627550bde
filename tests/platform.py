"""A whole platform under test, run as people run it: real processes, real HTTP, real PostgreSQL.

`platform` comes in two modes, and a test that takes it runs in both: near is one `commonry up`; far is one PostgreSQL,
every service in a process of its own (bookings twice, where a test does not ask for more), and the gateway before them.
Nothing outlives the test session, even when that is killed: every process asks the kernel to be told.
"""

import ctypes
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from commonry.cli.storage import url_of
from commonry.contracts.settings import Settings
from commonry.kit.postgres import EmbeddedPostgres
from commonry.kit.settings import load

OWNERS = ("users", "inventory", "bookings", "payments")
SERVED = ("gateway", *OWNERS)
TWICE = {"bookings": 2}
"""How many processes a far platform has of a service, where it is not one."""
PR_SET_PDEATHSIG = 1
LONGEST_START = 60.0
SHORT = {"COMMONRY_LOG_LEVEL": "info", "COMMONRY_PASSWORD_QUEUE": "500", "COMMONRY_ETL_MINUTES": "0"}
"""What every platform under test is told. Deadlines that a test waits for it sets itself, in a platform of its own."""


@dataclass
class Process:
    """One process of the platform: can be killed for good, and started again on the same port."""

    name: str
    command: list[str]
    env: dict[str, str]
    output: Path
    url: str
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.output.open("ab") as output:
            self.running = subprocess.Popen(
                self.command,
                env=self.env,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_die_with_us,  # noqa: PLW1509 why: it calls one function of libc, and no test starts threads
            )

    def wait(self) -> None:
        """Until it answers. Fails with its output when it ends, or does not answer in time."""
        deadline = time.monotonic() + LONGEST_START
        while not self._is_ready():
            assert self.running is not None
            if self.running.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{self.name} does not start:\n{self.output.read_text(errors='replace')[-4000:]}")
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=1) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def kill(self, number: int = signal.SIGKILL) -> int:
        """End it (by default at once and unasked); its exit code."""
        if self.running is None or self.running.poll() is not None:
            return self.running.returncode if self.running else 0
        self.running.send_signal(number)
        return self.running.wait(30)

    def ended(self, patience: float) -> None:
        """Wait for its end, which was asked for; after `patience` seconds kill it."""
        if self.running is not None:
            try:
                self.running.wait(patience)
            except subprocess.TimeoutExpired:
                self.kill()

    def pause(self) -> None:
        """Stop it in its tracks, as a machine that hangs."""
        assert self.running is not None
        self.running.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.running is not None
        self.running.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        self.kill()
        self.start()
        self.wait()


@dataclass
class Platform:
    """A running platform: `url` is the first gateway's, `processes` are by name, a second of a service is `name-2`."""

    mode: str
    url: str
    env: dict[str, str]
    folder: Path
    processes: dict[str, Process] = field(default_factory=dict)
    server: EmbeddedPostgres | None = None

    @property
    def settings(self) -> Settings:
        """What the platform's processes have been told."""
        return load(Settings, self.env)

    def database(self, service: str) -> str:
        """The connection URL of a service's database, for looking inside."""
        if not self.server and "COMMONRY_DATABASE_URL" in self.env:
            return self.settings.database(service)
        server = self.server or EmbeddedPostgres(self.folder)
        assert self.server or server.runs_elsewhere()
        return server.url(service)

    async def person(self, name: str = "someone", **more: Any) -> "Person":
        """A new member, signed in. Close with `await person.close()`, or take the `people` fixture, which does it."""
        return await Person(self.url, name).register(**more)

    def output(self, name: str | None = None) -> str:
        """What the processes printed and logged."""
        chosen = [self.processes[name]] if name else self.processes.values()
        return "\n".join(p.output.read_text(errors="replace") for p in chosen)

    def end(self) -> None:
        for process in self.processes.values():
            if process.running and process.running.poll() is None:
                process.running.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            process.ended(10)
        if self.server:
            self.server.stop()


class Answer(tuple[int, Any, Mapping[str, str]]):
    """(status, JSON, headers), also by name."""

    @property
    def status(self) -> int:
        return self[0]

    @property
    def json(self) -> Any:
        return self[1]

    @property
    def headers(self) -> Mapping[str, str]:
        return self[2]


class Person:
    """Someone who uses the public API."""

    def __init__(self, url: str, name: str = "someone") -> None:
        self.url, self.name = url, name
        self.email = f"{name}-{secrets.token_hex(6)}@example.org"
        self.password = secrets.token_urlsafe(12)
        self.token: str | None = None
        self.id = ""
        self._key: str | None = None
        self._session: aiohttp.ClientSession | None = None

    async def register(self, **more: Any) -> "Person":
        """Become a member and sign in."""
        body = {"email": self.email, "password": self.password, "display_name": self.name.capitalize()} | more
        status, made, _ = await self.call("POST", "/auth/register", body)
        assert status == 201, made
        self.id = made["id"]
        return await self.login()

    async def login(self) -> "Person":
        status, session, _ = await self.call("POST", "/auth/login", {"email": self.email, "password": self.password})
        assert status == 200, session
        self.token = session["access_token"]
        return self

    def with_key(self, key: str) -> "Person":
        """The same person, whose calls carry this Idempotency-Key."""
        twin = Person(self.url, self.name)
        twin.__dict__ |= self.__dict__ | {"_key": key}
        twin._session = self._opened()
        return twin

    async def call(
        self, method: str, path: str, json: Any = None, *, data: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> Answer:
        """One call. A path that does not begin with a slash's `api` is below /api/v1."""
        whole = path if path.startswith(("/api/", "/healthz", "/readyz", "/metrics")) else f"/api/v1{path}"
        sent = dict(headers)
        if json is not None:
            data, sent = msgspec.json.encode(json), {"content-type": "application/json"} | sent
        if self.token:
            sent = {"authorization": f"Bearer {self.token}"} | sent
        if self._key:
            sent = {"idempotency-key": self._key} | sent
        asked = self._opened().request(method, self.url + whole, data=data, headers=sent, allow_redirects=False)
        async with asked as got:
            body = await got.read()
            is_json = "json" in got.headers.get("content-type", "")
            return Answer((got.status, msgspec.json.decode(body) if is_json and body else body or None, got.headers))

    async def get(self, path: str) -> Any:
        """The JSON of a GET that must succeed."""
        return await self.must("GET", path)

    async def must(self, method: str, path: str, json: Any = None) -> Any:
        """The JSON of a call that must succeed."""
        status, answer, _ = await self.call(method, path, json)
        assert status < 400, f"{method} {path} answered {status}: {answer}"
        return answer

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            limits = aiohttp.ClientTimeout(total=60)
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=limits)
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


@contextmanager
def started(mode: str, folder: Path, *, replicas: Mapping[str, int] = TWICE, **env: str) -> Iterator[Platform]:
    """A platform of one's own, for tests that break it. `env` are settings: `COMMONRY_ANSWER_HOURS="0.001"`."""
    whole = SHORT | env
    with running(near(folder, whole) if mode == "near" else far(folder, whole, replicas)) as platform:
        yield platform


@contextmanager
def running(platform: Platform) -> Iterator[Platform]:
    """Start it, for as long as the block lasts. What its processes are told can be changed before."""
    try:
        for process in platform.processes.values():
            process.start()
        for process in platform.processes.values():
            process.wait()
        for name, process in platform.processes.items():
            if name.startswith("gateway"):
                _wait_for_peers(process)
        yield platform
    finally:
        platform.end()


def _wait_for_peers(gateway: Process) -> None:
    """A gateway that was there before the services has stopped asking them, for a moment."""
    deadline = time.monotonic() + LONGEST_START
    while True:
        with urllib.request.urlopen(f"{gateway.url}/api/v1/status", timeout=10) as answer:
            said = msgspec.json.decode(answer.read())
        if all(service["breaker"] == "closed" for service in said["services"].values()):
            return
        if time.monotonic() > deadline:
            pytest.fail(f"{gateway.name} does not find its services: {said}")
        time.sleep(0.05)


def near(folder: Path, env: Mapping[str, str]) -> Platform:
    """All in one process, not started yet."""
    port = free_port()
    platform = Platform("near", f"http://127.0.0.1:{port}", dict(env), folder / "data")
    command = ["up", "--no-demo", "--port", str(port), "--data", str(platform.folder)]
    _add(platform, "platform", command, platform.url, folder)
    return platform


def far(
    folder: Path, env: Mapping[str, str], replicas: Mapping[str, int] = TWICE, also: Sequence[str] = ()
) -> Platform:
    """A process per service and replica, not started yet; PostgreSQL runs and is migrated. The second is `name-2`.
    `also` are services that else run in the gateway's process.

    With COMMONRY_DATABASE_URL in `env` it is that PostgreSQL, which has the four databases, else one of its own.
    """
    every = {name: [name, *(f"{name}-{n}" for n in range(2, replicas.get(name, 1) + 1))] for name in (*SERVED, *also)}
    ports = {name: free_port() for names in every.values() for name in names}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    template, server = env.get("COMMONRY_DATABASE_URL", ""), None
    if not template:
        server = EmbeddedPostgres(folder / "data")
        server.start()
        server.create_databases(OWNERS)
        template = url_of(server)
    peers = {
        f"COMMONRY_{service.upper()}_URL": ",".join(urls[n] for n in every[service]) for service in (*OWNERS, *also)
    }
    told = {"COMMONRY_DATA": str(folder / "kept")} | dict(env) | peers
    told |= {"COMMONRY_DATABASE_URL": template, "COMMONRY_SERVICE_TOKEN": secrets.token_hex(16)}
    platform = Platform("far", urls["gateway"], told, folder / "data", server=server)
    subprocess.run(
        [sys.executable, "-m", "commonry", "migrate"], env=_environment(told), check=True, capture_output=True
    )
    for name, port in ports.items():
        _add(platform, name, ["serve", name.partition("-")[0], "--port", str(port)], urls[name], folder)
    return platform


def _add(platform: Platform, name: str, command: list[str], url: str, folder: Path) -> None:
    whole = [sys.executable, "-m", "commonry", *command]
    platform.processes[name] = Process(name, whole, _environment(platform.env), folder / f"{name}.out", url)


def _environment(told: Mapping[str, str]) -> dict[str, str]:
    ours = {k: v for k, v in os.environ.items() if not k.startswith("COMMONRY_")}
    kept = {k: v for k, v in os.environ.items() if k == "COMMONRY_POSTGRES_BIN"}
    return ours | kept | dict(told)


_given: set[int] = set()


def free_port() -> int:
    """A port nobody listened on a moment ago, and that nobody else in this process was given."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


def _die_with_us() -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@pytest.fixture(scope="session", params=["near", "far"])
def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A running platform that tests share: they make people and items of their own, and leave its processes be."""
    with started(request.param, tmp_path_factory.mktemp(request.param)) as running:
        request.config.stash.setdefault(PLATFORMS, []).append(running)
        yield running


PLATFORMS: pytest.StashKey[list[Platform]] = pytest.StashKey()


@pytest.fixture
async def people(platform: Platform) -> AsyncIterator[Any]:
    """Makes members of the shared platform: `ada = await people("ada")`."""
    made: list[Person] = []

    async def join(name: str = "someone", **more: Any) -> Person:
        made.append(person := Person(platform.url, name))
        return await person.register(**more)

    yield join
    for person in made:
        await person.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Show beside a failure what the shared platform's processes have said last."""
    report = yield
    running = item.config.stash.get(PLATFORMS, [])
    if report.failed and running and "platform" in getattr(item, "fixturenames", ()):
        for process in running[-1].processes.values():
            said = process.output.read_text(errors="replace").splitlines()
            report.sections.append((f"{running[-1].mode}: {process.name}", "\n".join(said[-40:])))
    return report
