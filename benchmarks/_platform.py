"""A far platform to be measured: PostgreSQL, and every service and the gateway in a process of its own."""

import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks._python import python
from benchmarks._running import free_port, running
from benchmarks.embedded import UNLIMITED
from commonry.cli.storage import DATABASES, url_of
from commonry.kit.postgres import EmbeddedPostgres


class Far(NamedTuple):
    """Where each process listens, and which it is."""

    ports: dict[str, int]
    pids: dict[str, int]

    @property
    def url(self) -> str:
        """The gateway's."""
        return f"http://127.0.0.1:{self.ports['gateway']}"

    @property
    def behind(self) -> tuple[int, ...]:
        """All processes but the gateway's: services and PostgreSQL."""
        return tuple(pid for name, pid in self.pids.items() if name != "gateway")


@contextmanager
def far_platform() -> Iterator[Far]:
    """An empty platform."""
    with tempfile.TemporaryDirectory(prefix="commonry-bench-") as name, ExitStack() as stack:
        os.chmod(name, 0o755)  # the database's own user must reach its folder below
        folder = Path(name)
        server = EmbeddedPostgres(folder / "data")
        server.start()
        stack.callback(server.stop)
        server.create_databases(DATABASES)
        ports = {service: free_port() for service in ("gateway", *DATABASES)}
        told = _settings(ports, url_of(server)) | python().env
        commonry = [python().program, "-m", "commonry"]
        subprocess.run([*commonry, "migrate"], env=os.environ | told, check=True, capture_output=True)
        pids = {}
        for service, port in ports.items():
            command = [*commonry, "serve", service, "--port", str(port)]
            output = folder / f"{service}.out"
            pids[service] = stack.enter_context(running(command, output, port=port, says="answers at", env=told))
        assert server.pid
        yield Far(ports, pids | {"postgresql": server.pid})


def _settings(ports: dict[str, int], database: str) -> dict[str, str]:
    urls = {f"COMMONRY_{name.upper()}_URL": f"http://127.0.0.1:{ports[name]}" for name in DATABASES}
    return urls | UNLIMITED | {"COMMONRY_DATABASE_URL": database, "COMMONRY_SERVICE_TOKEN": secrets.token_hex(16)}
