"""Who is measured: our gateway, near and far, nginx and HAProxy, all running at once, idle until their turn."""

import json
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import _load, _platform, _proxies
from benchmarks._python import python
from benchmarks._running import free_port, running
from benchmarks.embedded import UNLIMITED, embedded

MEMBERS, ITEMS_EACH = 16, 2
PEERS = ("USERS", "INVENTORY", "BOOKINGS", "PAYMENTS")


class Contender(NamedTuple):
    """A proxy that runs: its own processes and those behind it, by their roots."""

    name: str
    url: str
    own: tuple[int, ...]
    behind: tuple[int, ...] = ()


@contextmanager
def before_one_service(folder: Path) -> Iterator[dict[str, Contender]]:
    """All proxies before the small service of `_upstream`, which is a process of its own for all but near."""
    port = free_port()
    command = [python().program, "-m", "benchmarks._upstream", str(port)]
    with ExitStack() as stack:
        behind = (stack.enter_context(running(command, folder / "upstream.out", port=port, env=python().env)),)
        nginx = stack.enter_context(_proxies.nginx(folder, {"inventory": port}))
        haproxy = stack.enter_context(_proxies.haproxy(folder, {"inventory": port}))
        found = [
            _ours(stack, folder, "near", port)._replace(behind=()),
            _ours(stack, folder, "far", port)._replace(behind=behind),
            _ours(stack, folder, "far_2_workers", port, workers=2)._replace(behind=behind),
            Contender("nginx", nginx.url, (nginx.pid,), behind),
            Contender("nginx_cache", nginx.cached, (nginx.pid,), behind),
            Contender("haproxy", haproxy.url, (haproxy.pid,), behind),
            Contender("haproxy_cache", haproxy.cached, (haproxy.pid,), behind),
        ]
        yield {contender.name: contender for contender in found}


def _ours(stack: ExitStack, folder: Path, name: str, service: int, workers: int = 1) -> Contender:
    """Our gateway, `workers` processes on one port."""
    port = free_port()
    told = {f"COMMONRY_{peer}_URL": f"http://127.0.0.1:{service}" for peer in PEERS}
    told |= UNLIMITED | {"COMMONRY_SERVICE_TOKEN": "for-the-benchmark", "COMMONRY_SHARE_PORT": "true"}
    told |= python().env
    command = [python().program, "-m", "benchmarks._gateway", name.split("_", maxsplit=1)[0], str(port)]
    outputs = [folder / f"{name}-{number}.out" for number in range(workers)]
    pids = [stack.enter_context(running(command, out, port=port, says="answers at", env=told)) for out in outputs]
    return Contender(name, f"http://127.0.0.1:{port}", tuple(pids))


@asynccontextmanager
async def before_platforms(folder: Path) -> AsyncIterator[dict[Contender, Path]]:
    """All proxies before whole platforms, and the writes to send through each. A far one serves all but near."""
    with (
        _platform.far_platform() as far,
        _proxies.nginx(folder, far.ports) as nginx,
        _proxies.haproxy(folder, far.ports) as haproxy,
    ):
        async with embedded() as near:
            to_far, to_near = _writes(far.url, folder / "far"), _writes(near.url, folder / "near")
            yield {
                Contender("far", far.url, (far.pids["gateway"],), far.behind): to_far,
                Contender("near", near.url, (near.process.pid,)): to_near,
                Contender("nginx", nginx.url, (nginx.pid,), far.behind): to_far,
                Contender("haproxy", haproxy.url, (haproxy.pid,), far.behind): to_far,
            }


def _writes(url: str, file: Path) -> Path:
    """Changes of items by their owners, new members both: every item's description turns to and fro."""
    owned = [
        (token, _item(url, token)) for token in map(_member, [url] * MEMBERS, range(MEMBERS)) for _ in range(ITEMS_EACH)
    ]
    words = (b"Lent with its case.", b"Lent without its case, which is being mended.")
    bodies = [b'{"description":"' + said + b'"}' for said in words]
    return _load.keep(file, [_load.patch(f"/api/v1/items/{i}", token, b) for b in bodies for token, i in owned])


def _member(url: str, number: int) -> str:
    """Their token."""
    body = {"email": f"member-{number}@example.org", "password": "correct horse battery"}
    _post(url, "/auth/register", body | {"display_name": f"Member {number}"})
    return _post(url, "/auth/login", body)["access_token"]


def _item(url: str, token: str) -> str:
    place = {"lat": 52.5, "lon": 13.4, "label": "Here"}
    return _post(url, "/items", {"title": "A thing", "category": "other", "location": place}, token)["id"]


def _post(url: str, path: str, body: Any, token: str = "") -> Any:
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    asked = urllib.request.Request(f"{url}/api/v1{path}", json.dumps(body).encode(), headers, method="POST")
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.load(answer)
