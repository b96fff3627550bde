"""One client of the cluster: connects late, gives up early, counts what goes wrong, and knows one exception, `Away`.

The driver (valkey-glide) is imported in here only, and only when a link is made.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Any, NamedTuple, cast
from urllib.parse import unquote, urlsplit

import structlog
from prometheus_client import Counter, Gauge

from commonry.kit.breaker import Breaker, Rules, State

log = structlog.get_logger()

PATIENCE = 0.5
"""Seconds that one command may take."""
MOST = 1000
"""Commands on their way at once. One more is not sent: it counts as away, and says nothing about the cluster."""
CAREFUL = Rules(window=2.0, least=40, share=0.5, in_a_row=5, slow=PATIENCE, rest=0.25, longest=1.0)

errors = Counter("commonry_cache_errors_total", "Commands to the shared cache that failed, by command.", ["command"])
breaker_open = Gauge("commonry_cache_breaker_open", "Whether the shared cache is left alone at present.", ["link"])


class Away(Exception):
    """The cluster did not do it, or did not say so in time."""


class Place(NamedTuple):
    """Where the cluster is: any of its nodes, and how to sign in."""

    nodes: list[tuple[str, int]]
    user: str | None
    password: str | None
    tls: bool


def parse(url: str) -> Place:
    """`redis://user:password@host:port,redis://host:port`; `rediss` for TLS. Raises ValueError for anything else."""
    parts = [urlsplit(part.strip()) for part in url.split(",") if part.strip()]
    wrong = [p.scheme for p in parts if p.scheme not in ("redis", "rediss") or not p.hostname]
    if wrong or not parts:
        raise ValueError("the cache's URL must be redis://host:port, several of them comma-separated")
    signed = next((p for p in parts if p.password), parts[0])
    nodes = [(str(p.hostname), p.port or 6379) for p in parts]
    user, password = (unquote(said) if said else None for said in (signed.username, signed.password))
    return Place(nodes, user, password, any(p.scheme == "rediss" for p in parts))


class Link:
    """A client, and the breaker around it."""

    def __init__(self, name: str) -> None:
        self._name, self._running, self._is_left_alone = name, 0, False
        self._glide: Any = None
        self._client: Any = None
        self._scripts: dict[str, Any] = {}
        self._questions = count(1)
        self.breaker = Breaker(CAREFUL, told=self._told)
        breaker_open.labels(name).set(0)

    async def open(
        self, place: Place, *, hear: Callable[[Any, Any], None] | None = None, channels: Sequence[str] = ()
    ) -> None:
        """Make the client, subscribed to `channels`. It connects with its first command, and again for ever."""
        import glide

        self._glide = glide
        glide.Logger.set_logger_config(glide.LogLevel.OFF)  # we count; and it would write addresses, in its own form
        config: Any = glide.GlideClusterClientConfiguration
        advanced = glide.AdvancedGlideClusterClientConfiguration(
            connection_timeout=1000, pubsub_reconciliation_interval=300
        )
        exact = config.PubSubChannelModes.Exact
        self._client = await glide.GlideClusterClient.create(
            config(
                [glide.NodeAddress(host, port) for host, port in place.nodes],
                use_tls=place.tls,
                credentials=glide.ServerCredentials(place.password, place.user) if place.password else None,
                request_timeout=int(PATIENCE * 1000),
                reconnect_strategy=glide.BackoffStrategy(4, 50, 2, 20),
                inflight_requests_limit=MOST * 2,
                lazy_connect=True,
                advanced_config=advanced,
                pubsub_subscriptions=config.PubSubSubscriptions({exact: set(channels)}, hear, None) if hear else None,
            )
        )

    async def get(self, key: str) -> bytes | None:
        """GET."""
        return await self._ask("get", self._client.get, key)

    async def set(self, key: str, value: bytes, milliseconds: int, *, if_new: bool = False) -> bool:
        """SET with an expiry; False if it was there already and had to be new."""
        new = self._glide.ConditionalChange.ONLY_IF_DOES_NOT_EXIST if if_new else None
        expiry = self._glide.ExpirySet(self._glide.ExpiryType.MILLSEC, milliseconds)
        return await self._ask("set", self._client.set, key, value, new, expiry) is not None

    async def delete(self, keys: Sequence[str]) -> None:
        """DEL, in as many slots as the keys are in."""
        await self._ask("del", self._client.delete, list(keys))

    async def publish(self, channel: str, message: str) -> None:
        """PUBLISH, to whoever hears it."""
        await self._ask("publish", self._client.publish, message, channel)

    async def leave(self, keys: Sequence[str], peer: str) -> None:
        """ZREM from each of these sets."""
        for key in keys:
            await self._ask("zrem", self._client.zrem, key, [peer])

    async def run(
        self, name: str, code: str, keys: list[str], args: list[str], *, regardless: bool = False
    ) -> list[Any]:
        """EVALSHA; what the script returns before its last part. `regardless`: even while the breaker is open."""
        script = self._scripts.get(code)
        if script is None:
            script = self._scripts[code] = self._glide.Script(code)
        question = str(next(self._questions))
        call = self._client.invoke_script
        answer = await self._ask(name, call, script, keys, [*args, question], regardless=regardless)
        if not isinstance(answer, list) or answer[-1:] != [question.encode()]:
            errors.labels(name).inc()
            raise Away  # an answer to something else
        return cast("list[Any]", answer)[:-1]

    async def wake(self) -> None:
        """PING, so that a client that has nothing to say connects."""
        await self._ask("ping", self._client.ping, regardless=True)

    async def _ask(self, name: str, call: Callable[..., Awaitable[Any]], *args: Any, regardless: bool = False) -> Any:
        turn = self.breaker.admits() if self._running < MOST else 0
        if self._running >= MOST or not (turn or regardless):
            raise Away
        self._running += 1
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await call(*args)
        except asyncio.CancelledError:
            self.breaker.gave_up(turn)
            raise
        except Exception as e:  # why: a cache never fails a request, whatever its driver can think of
            self.breaker.failed(turn)
            errors.labels(name).inc()
            raise Away from e
        finally:
            self._running -= 1
        if turn:
            self.breaker.succeeded(turn)
        else:
            self.breaker.heal()  # what is asked regardless was answered: whoever has something to tell can tell it
        return answer

    def _told(self, state: State) -> None:
        is_open = state == "open"
        if is_open == self._is_left_alone:
            return
        self._is_left_alone = is_open
        breaker_open.labels(self._name).set(is_open)
        log.warning("the shared cache is left alone" if is_open else "the shared cache is back", link=self._name)

    async def close(self) -> None:
        """Let go of all connections."""
        if self._client is not None:
            await self._client.close()
