"""The health of the whole, joined from every service's own: `/api/v1/status` for people, `/readyz` for machines.

Each replica of a far service is asked by itself. The gateway is ready when every service has a replica that is; it is
alive (`/healthz`) whatever the others do.
"""

import asyncio
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from commonry.kit.asgi import Reply, Scope, json_reply
from commonry.kit.peers import Far, Near
from commonry.kit.problems import Unavailable

PATIENCE = 2.0


class Health:
    """Asks all services how they are."""

    def __init__(self, peers: Mapping[str, Near | Far]) -> None:
        self._replicas = {name: _each(peer) for name, peer in peers.items()}

    async def status(self, _: Scope) -> Reply:
        """All of it, for people."""
        services = await self._services()
        return json_reply({"status": _joined(services.values()), "version": version("commonry"), "services": services})

    async def ready(self, _: Scope) -> Reply:
        """200 when every service can work, else 503 and which cannot."""
        services = await self._services()
        away = sorted(name for name, service in services.items() if service["status"] == "away")
        return json_reply({"status": "not ready", "away": away} if away else {"status": "ok"}, 503 if away else 200)

    async def _services(self) -> dict[str, dict[str, Any]]:
        found = await asyncio.gather(*(self._service(replicas) for replicas in self._replicas.values()))
        return dict(zip(self._replicas, found, strict=True))

    async def _service(self, replicas: list[Near | Far]) -> dict[str, Any]:
        states = await asyncio.gather(*(_ask(replica) for replica in replicas))
        good = states.count("ok")
        status = "ok" if good == len(states) else "degraded" if good else "away"
        return {"status": status, "replicas": [{"status": state} for state in states]}

    async def close(self) -> None:
        """Close the connections to far replicas."""
        for replica in (r for replicas in self._replicas.values() for r in replicas):
            if isinstance(replica, Far):
                await replica.close()


def _each(peer: Near | Far) -> list[Near | Far]:
    return [Far(peer.name, [url]) for url in peer.urls] if isinstance(peer, Far) else [peer]


async def _ask(replica: Near | Far) -> str:
    try:
        said = await replica.call("GET", "/readyz", query="", body=b"", headers={}, timeout=PATIENCE)
    except Unavailable:
        return "away"
    return "ok" if said.status == 200 else "not ready"


def _joined(services: Any) -> str:
    return "ok" if all(service["status"] == "ok" for service in services) else "degraded"
