"""An embedded platform in a folder of its own, started as a person would, and how much processor it uses.

Processor time is read from the operating system for the whole process tree, PostgreSQL's processes included; the load
comes from this process and is not counted.
"""

import asyncio
import json
import os
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from benchmarks._python import python

UNLIMITED = {f"COMMONRY_LIMIT_{kind}": "off" for kind in ("READS", "WRITES", "BOOKINGS")}
"""All the load comes from one address. The proxies beside which we are measured have no limits either."""


class Embedded:
    """A running platform."""

    def __init__(self, url: str, process: "subprocess.Popen[bytes]", session: aiohttp.ClientSession) -> None:
        self.url, self.process, self.session = url, process, session

    def tree(self) -> list[psutil.Process]:
        """Every process of the platform."""
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def cpu(self) -> dict[int, float]:
        """Processor seconds used so far, by process."""
        times = {p.pid: p.cpu_times() for p in self.tree() if p.is_running()}
        return {pid: t.user + t.system for pid, t in times.items()}

    def memory(self) -> dict[str, float]:
        """MiB in memory: the platform's own, PostgreSQL's, and both. Shared pages are counted once (PSS)."""
        sizes = {p.pid: p.memory_full_info().pss / 2**20 for p in self.tree()}
        own = sizes.pop(self.process.pid)
        return {"platform": own, "postgresql": sum(sizes.values()), "together": own + sum(sizes.values())}

    async def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
        """Status and JSON of a public call."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        async with self.session.request(method, f"{self.url}/api/v1{path}", json=body, headers=headers) as r:
            text = await r.read()
            return r.status, json.loads(text) if text else None

    async def page(self, path: str) -> bytes:
        """A page of the website as a browser gets it, unpacked."""
        async with self.session.get(self.url + path, headers={"accept": "text/html"}) as r:
            assert r.status == 200, r.status
            return await r.read()

    async def person(self, name: str) -> str:
        """A new member's token."""
        body = {"email": f"{name}@example.org", "password": "correct horse battery", "display_name": name}
        await self.call("POST", "/auth/register", body)
        _, session = await self.call("POST", "/auth/login", {"email": body["email"], "password": body["password"]})
        return session["access_token"]


@asynccontextmanager
async def embedded() -> AsyncIterator[Embedded]:
    """An empty platform (no demo data) on a free loopback port."""
    with tempfile.TemporaryDirectory(prefix="commonry-bench-") as folder:
        os.chmod(folder, 0o755)  # the database's own user must reach its folder below
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        command = [
            python().program,
            "-m",
            "commonry",
            "up",
            "--no-demo",
            "--port",
            str(port),
            "--data",
            f"{folder}/d",
        ]
        with open(f"{folder}/log", "wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | UNLIMITED | python().env)
        try:
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
                running = Embedded(f"http://127.0.0.1:{port}", process, session)
                await _answering(running, Path(f"{folder}/log"))
                yield running
        finally:
            process.terminate()
            process.wait(20)


async def _answering(platform: Embedded, log: Path) -> None:
    while platform.process.poll() is None:
        try:
            if (await platform.call("GET", "/items"))[0] == 200:
                return
        except aiohttp.ClientError:
            await asyncio.sleep(0.1)
    raise RuntimeError(log.read_text())
