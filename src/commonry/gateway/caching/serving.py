"""Answering from the cache, or asking the service once for all who want the same.

An answer is fresh, or stale but allowed while it is fetched anew, or stale and used because the service fails; in the
last case it says so (`Cache-Status`, `Warning`).
"""

import asyncio
from typing import Any

from commonry.gateway.caching.entries import Entry
from commonry.gateway.caching.layers import Layers
from commonry.gateway.caching.question import Question, Upstream, reply, reply_failing
from commonry.gateway.edge import CANCELS
from commonry.gateway.far import BEGUN
from commonry.gateway.tally import cache_outcome, share_kept
from commonry.kit.asgi import Message, RawHeaders, Receive, Scope, Send
from commonry.kit.cache import Cache
from commonry.kit.problems import NotCached, Problem

UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class ResponseCache:
    """Stands before a service's upstream."""

    def __init__(self, cache: Cache, most: int, *, shared: bool) -> None:
        self._layers = Layers(cache, most, shared=shared)
        self.entries = self._layers.entries
        self.passes = self._layers.passes
        """Whether there was nothing to keep at an address a moment ago."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send, upstream: Upstream) -> None:
        """Answer a request that `upstream` could answer."""
        target = target_of(scope)
        if scope["method"] not in ("GET", "HEAD"):
            await upstream(scope, receive, send)
            if scope["method"] in UNSAFE:
                self.entries.drop(target)  # RFC 9111, 4.4: it may have changed what it addresses
            return
        asked = scope["head"].asked
        if asked.is_partial or asked.must_not_keep or (asked.is_personal and not self.is_for_all(target)):
            cache_outcome("bypass")
            await self._through(scope, receive, send, upstream, b"fwd=bypass")
            return
        while not await self._answered(target, scope, receive, send, upstream):
            pass  # what somebody else had asked for was not for keeping, or changed meanwhile

    async def _answered(self, target: bytes, scope: Scope, receive: Receive, send: Send, upstream: Upstream) -> bool:
        asked, entry = scope["head"].asked, self._usable(target, scope["headers"])
        if entry is not None and not asked.insists and (how := self._how(target, entry, scope, upstream)):
            await reply(scope, send, entry, *how)
            return True
        if asked.only_cached:
            raise NotCached
        if self._layers.passes(target):
            cache_outcome("pass")
            await self._through(scope, receive, send, upstream, b"fwd=miss")
            return True
        flight = self._layers.flight(target)
        if flight is None or asked.insists:
            await Question(self._layers, target, scope, receive, send, upstream).answer(entry)
            return True
        shared = await asyncio.shield(flight.done)
        if isinstance(shared, Problem):
            await reply_failing(scope, send, entry, self.entries, shared)
            return True
        if shared is None or not shared.suits(scope["headers"]) or not self.entries.is_current(shared):
            return False
        await reply(scope, send, shared, b"hit; collapsed", "collapsed")
        return True

    def _usable(self, target: bytes, headers: RawHeaders) -> Entry | None:
        entry = self.entries.get(target)
        return entry if entry is not None and entry.suits(headers) else None

    def is_for_all(self, target: bytes) -> bool:
        """Whether what is kept for this address is the same for everyone, signed in or not."""
        entry = self.entries.get(target)
        return entry is not None and entry.life.is_public and b"authorization" not in entry.vary

    def _how(self, target: bytes, entry: Entry, scope: Scope, upstream: Upstream) -> tuple[bytes, str] | None:
        """How an entry may be given now, in the words of `Cache-Status` and the metrics; None: not before asking."""
        if self.entries.is_fresh(entry):
            return b"hit", "hit"
        if entry.age() < entry.life.revalidate and self.entries.in_touch():
            if self._layers.flight(target) is None:
                alone = {name: value for name, value in scope.items() if name not in (CANCELS, BEGUN)}
                question = Question(self._layers, target, alone, _alone(), _nowhere, upstream)
                self._layers.later(question.refresh(self._layers.begin(target)))
            return b"hit; fwd=stale; detail=revalidating", "stale"
        return None

    @staticmethod
    async def _through(scope: Scope, receive: Receive, send: Send, upstream: Upstream, how: bytes) -> None:
        scope["how"] = how
        await upstream(scope, receive, send)

    def told(self) -> dict[str, Any]:
        """For the status page."""
        entries = self.entries
        kept = {"answers": len(entries), "bytes": entries.size, "in_touch": entries.in_touch()}
        return kept | {"share_kept": share_kept()}

    async def close(self) -> None:
        """End what runs in the background."""
        await self._layers.close()


def target_of(scope: Scope) -> bytes:
    """The address an answer is kept under: path and query as they came."""
    query = scope["query_string"]
    return b"%b?%b" % (scope["raw_path"], query) if query else scope["raw_path"]


def _alone() -> Receive:
    """What a request receives that has no body, and no client who could leave."""
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        return next(messages, None) or await asyncio.get_running_loop().create_future()

    return receive


async def _nowhere(_: Message) -> None:
    pass
