"""The platform's OpenAPI document: asked of every service once, joined, and kept.

As long as one service has not answered there is no document, rather than a document that lacks its part.
"""

import asyncio
import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import msgspec

from commonry.gateway.joining import join
from commonry.kit.asgi import Reply, Scope
from commonry.kit.peers import Far, Near
from commonry.kit.problems import Unavailable

ABOUT = """\
List things, find them, borrow them, bring them back.

Ids are UUIDs. Instants are RFC 3339 with an offset and answered in UTC. Money is whole minor units and a currency. \
Lists come in pages: `limit`, `cursor`, and `next_cursor` in the answer. Errors are RFC 9457 problem documents. \
POSTs that create take an `Idempotency-Key`. Sign in with \
`POST /api/v1/auth/login` and send the token as `Authorization: Bearer …`."""


def _get(summary: str, operation: str, content: dict[str, Any]) -> dict[str, Any]:
    answer = {
        "200": {"description": summary, "content": content},
        "default": {"$ref": "#/components/responses/Problem"},
    }
    return {"get": {"tags": ["platform"], "summary": summary, "operationId": operation, "responses": answer}}


_OBJECT = {"application/json": {"schema": {"type": "object"}}}
_PAGE = {"text/html": {"schema": {"type": "string"}}}
OWN = {
    "/api/v1/status": _get("The health of every service", "status", _OBJECT),
    "/api/v1/openapi.json": _get("This document", "openapi", _OBJECT),
    "/api/docs": _get("This document, to be read", "reference", _PAGE),
    "/healthz": _get("Whether the gateway is alive", "alive", _OBJECT),
    "/metrics": _get("Metrics in Prometheus' format", "metrics", {"text/plain": {"schema": {"type": "string"}}}),
    "/problems": _get("All problem types", "problems", _PAGE),
}


class Documents:
    """The joined document, as data and as JSON."""

    def __init__(self, peers: Mapping[str, Near | Far]) -> None:
        self._peers = peers
        self._joined: dict[str, Any] | None = None
        self._as_json = b""

    async def joined(self) -> dict[str, Any]:
        """The document. Raises `Unavailable` until every service has answered once."""
        if self._joined is None:
            parts = await asyncio.gather(*(self._part(peer) for peer in self._peers.values()))
            info = {"title": "Commonry", "version": version("commonry"), "description": ABOUT}
            self._joined = join(dict(zip(self._peers, parts, strict=True)), info, OWN)
            self._as_json = msgspec.json.encode(self._joined)
        return self._joined

    async def _part(self, peer: Near | Far) -> dict[str, Any]:
        got = await peer.call("GET", "/internal/openapi.json", query="", body=b"", headers={}, timeout=5.0)
        if got.status != 200:
            raise Unavailable(f"{peer.name} does not describe itself.")
        return msgspec.json.decode(got.body)

    async def reply(self, _: Scope) -> Reply:
        """GET /api/v1/openapi.json."""
        await self.joined()
        return Reply(self._as_json, headers={"cache-control": "public, max-age=60"})

    async def methods(self, path: str) -> list[str]:
        """The methods that are documented for a path."""
        paths = (await self.joined())["paths"]
        template = next((t for t in (path, *paths) if t in paths and _pattern(t).fullmatch(path)), None)
        known = {method.upper() for method in paths.get(template, {})}
        return sorted(known | ({"HEAD"} if "GET" in known else set()))


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{[^/]+?\\\}", "[^/]+", re.escape(template)))
