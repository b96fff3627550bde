"""The health of the whole, joined from every service's own: `/api/v1/status` for people, `/readyz` for machines.

Each replica of a far service is asked by itself. The gateway is ready when every service has a replica that is; it is
alive (`/healthz`) whatever the others do.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from commonry.kit.asgi import Reply, Scope, json_reply
from commonry.kit.http.messages import Fault, Request
from commonry.kit.peers import Far, Near
from commonry.kit.problems import Unavailable
from commonry.kit.replicas import Replica

PATIENCE = 2.0
_READY = Request(b"GET", b"/readyz", b"", repeatable=True)


class Health:
    """Asks all services how they are. `cache` tells of the response cache."""

    def __init__(self, peers: Mapping[str, Near | Far], cache: Callable[[], dict[str, Any]]) -> None:
        self._peers, self._cache = peers, cache

    async def status(self, _: Scope) -> Reply:
        """All of it, for people."""
        services = await self._services()
        whole = "ok" if all(service["status"] == "ok" for service in services.values()) else "degraded"
        told = {"status": whole, "version": version("commonry"), "services": services, "cache": self._cache()}
        return json_reply(told)

    async def ready(self, _: Scope) -> Reply:
        """200 when every service can work, else 503 and which cannot."""
        services = await self._services()
        away = sorted(name for name, service in services.items() if service["status"] == "away")
        return json_reply({"status": "not ready", "away": away} if away else {"status": "ok"}, 503 if away else 200)

    async def _services(self) -> dict[str, dict[str, Any]]:
        found = await asyncio.gather(*(_service(peer) for peer in self._peers.values()))
        return dict(zip(self._peers, found, strict=True))


async def _service(peer: Near | Far) -> dict[str, Any]:
    if isinstance(peer, Near):
        replicas, breaker = [{"status": await _near(peer)}], "closed"
    else:
        replicas, breaker = await asyncio.gather(*(_far(r) for r in peer.replicas.all)), peer.replicas.state
    good = sum(replica["status"] == "ok" for replica in replicas)
    status = "ok" if good and good == len(replicas) else "degraded" if good else "away"
    return {"status": status, "breaker": breaker, "replicas": replicas}


async def _near(peer: Near) -> str:
    try:
        said = await peer.call("GET", "/readyz", query="", body=b"", headers={}, timeout=PATIENCE)
    except Unavailable:
        return "away"
    return "ok" if said.status == 200 else "not ready"


async def _far(replica: Replica) -> dict[str, Any]:
    """Asked past its breaker: a person wants to know how it is, not whether we would send it anything."""
    try:
        said = await replica.pool.ask(_READY, time.monotonic() + PATIENCE)
        state = "ok" if said.status == 200 else "not ready"
    except Fault:
        state = "away"
    address = replica.pool.origin.authority.decode()
    return {"status": state, "address": address, "breaker": replica.breaker.state, "under_way": replica.under_way}
