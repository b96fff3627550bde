"""The gateway's application: its own few addresses, and everything else passed on by path.

Own addresses answer GET and HEAD. What no table knows is a 404 problem; what exists, but not for that method, is a 405
that says in `Allow` what would do.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from commonry.contracts.settings import Settings
from commonry.gateway import hints, lane, pages, problems
from commonry.gateway.admission import Admission
from commonry.gateway.caching.serving import ResponseCache
from commonry.gateway.document import Documents
from commonry.gateway.edge import Edge
from commonry.gateway.forward import Services, upstreams
from commonry.gateway.routes import route_for
from commonry.gateway.status import Health
from commonry.gateway.tally import tally
from commonry.kit.asgi import Receive, Reply, Scope, Send, answer, json_reply, problem_reply
from commonry.kit.cache import Cache, MemoryCache
from commonry.kit.peers import Far, Near
from commonry.kit.problems import MethodNotAllowed, NotFound
from commonry.kit.telemetry import metrics_page

Own = Callable[[Scope], Awaitable[Reply]]


class Door(NamedTuple):
    """The application, and the protocol by which a server speaks for it."""

    edge: Edge
    protocol: type[lane.Lane]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.edge(scope, receive, send)


@asynccontextmanager
async def gateway(
    settings: Settings, peers: Mapping[str, Near | Far], cache: Cache | None = None
) -> AsyncGenerator[Door]:
    """The door over these services. Connections to far ones are closed at the end."""
    shared = cache or MemoryCache()
    services = upstreams(peers, settings.answer_seconds)
    answers = ResponseCache(shared, settings.cache_bytes, shared=bool(settings.cache_url))
    documents, health = Documents(peers), Health(peers, answers.told)
    admission = Admission(settings, shared)
    app = Gateway(services, answers, documents, own_addresses(documents, health))
    edge = Edge(app, admission, settings.max_body)
    door = Door(edge, lane.protocol(edge, answers, services, settings))
    far = [peer.replicas for peer in peers.values() if isinstance(peer, Far)]
    hints.connect(far, shared, settings.hedge_seconds)
    watching = (admission.lag.watch(), lane.look_after(door.protocol), *(r.watch() for r in far))
    running = [asyncio.ensure_future(work) for work in watching]
    try:
        yield door
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await answers.close()
        for service in services.values():
            await service.close()


def own_addresses(documents: Documents, health: Health) -> dict[str, Own]:
    """Path → what answers it."""
    return {
        "/api/style.css": pages.style,
        "/healthz": _alive,
        "/readyz": health.ready,
        "/metrics": _metrics,
        "/api/v1/status": health.status,
        "/api/v1/openapi.json": documents.reply,
        "/api/docs": pages.Reference(documents.joined),
        "/problems": problems.catalogue,
    }


class Gateway(NamedTuple):
    """Own addresses first, then the services' by prefix."""

    services: Services
    answers: ResponseCache
    documents: Documents
    own: Mapping[str, Own]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if (route := route_for(path)) and (service := self.services.get(route.service)):
            scope["path_template"], scope["methods"] = route.prefix, self.documents.methods
            await self.answers(scope, receive, send, service)
        elif own := self.own.get(path):
            await _answer_own(path, own, scope, send)
        elif path.startswith("/problems/"):
            await _answer_own("/problems/{slug}", problems.page, scope, send)
        else:
            raise NotFound


async def _answer_own(route: str, own: Own, scope: Scope, send: Send) -> None:
    scope["path_template"] = route
    if scope["method"] not in ("GET", "HEAD"):
        refusal = problem_reply(MethodNotAllowed())
        await answer(send, refusal._replace(headers={"allow": "GET, HEAD"}))
    else:
        await answer(send, await own(scope))


async def _alive(_: Scope) -> Reply:
    """Liveness: this process answers. Never asks anything else."""
    return json_reply({"status": "ok"})


async def _metrics(_: Scope) -> Reply:
    tally.flush()
    return Reply(metrics_page(), "text/plain; version=0.0.4; charset=utf-8")
