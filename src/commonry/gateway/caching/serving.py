"""Answering from the cache, or asking the service once for all who want the same.

An answer is fresh, or stale but allowed while it is fetched anew, or stale and used because the service fails; in the
last case it says so (`Cache-Status`, `Warning`). What turns out not to be for keeping is remembered as such for a few
seconds, so that nobody queues for it.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from commonry.gateway.caching import rules
from commonry.gateway.caching.entries import Entries, Entry
from commonry.gateway.caching.rules import Asked, RawHeaders
from commonry.gateway.heads import Head
from commonry.kit.asgi import Message, Receive, Scope, Send
from commonry.kit.cache import Cache
from commonry.kit.problems import Problem, Unavailable
from commonry.kit.telemetry import cache_lookups

Upstream = Callable[[Scope, Receive, Send], Awaitable[None]]
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
PASS_SECONDS = 5.0
"""How long it is remembered that an address gives nothing to keep."""
MOST_PASSES = 20_000
LEAD_SECONDS = 2.0
LOOKS = (0.005, 0.01, 0.02, 0.04, 0.08)
"""Seconds between looks into the shared cache while another gateway asks."""
LONGEST_SHARED = 600.0
NOT_KEPT = b"-"


class Flight(NamedTuple):
    """Somebody asks the service; `done` has the entry, or None when there is nothing to share."""

    epoch: int
    done: asyncio.Future[Entry | None]


class ResponseCache:
    """Stands before a service's upstream. `shared` is the cluster, None where there is only this process."""

    def __init__(self, cache: Cache, most: int, *, shared: bool) -> None:
        self.entries = Entries(cache, most)
        self._cache, self._shared = cache, shared
        self._flights: dict[bytes, Flight] = {}
        self._passes: dict[bytes, float] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send, upstream: Upstream) -> None:
        """Answer a request that `upstream` could answer."""
        if scope["method"] not in ("GET", "HEAD"):
            await self._changing(scope, receive, send, upstream)
            return
        asked, target = scope["head"].asked, target_of(scope)
        if asked.is_partial or asked.must_not_keep or (asked.is_personal and not self._is_for_all(target)):
            scope["how"] = b"fwd=bypass"
            cache_outcome("bypass")
            await upstream(scope, receive, send)
            return
        while not await self._answered(target, scope, receive, send, asked, upstream):
            pass  # what somebody else had asked for was not for keeping, or changed meanwhile

    async def _answered(
        self, target: bytes, scope: Scope, receive: Receive, send: Send, asked: Asked, upstream: Upstream
    ) -> bool:
        entry = self._usable(target, scope["headers"])
        if entry is not None and not asked.insists and (how := self._how(target, entry, scope, upstream)):
            await reply(scope, send, entry, *how)
            return True
        if asked.only_cached:
            raise Unavailable("This is not in the cache.", retry_after=None)
        if self._passes_through(target):
            scope["how"] = b"fwd=miss"
            cache_outcome("pass")
            await upstream(scope, receive, send)
            return True
        flight = self._flights.get(target)
        if flight is None or flight.epoch != self._cache.epoch or asked.insists:
            await Question(self, target, scope, receive, send, asked, upstream).answer(entry)
            return True
        shared = await asyncio.shield(flight.done)
        if shared is None or not shared.suits(scope["headers"]) or not self.entries.is_current(shared):
            return False
        await reply(scope, send, shared, b"hit; collapsed", "collapsed")
        return True

    def _how(self, target: bytes, entry: Entry, scope: Scope, upstream: Upstream) -> tuple[bytes, str] | None:
        """How an entry may be given now, in the words of `Cache-Status` and the metrics; None: not before asking."""
        if self.entries.is_fresh(entry):
            return b"hit", "hit"
        if entry.age() < entry.life.revalidate and self.entries.in_touch():
            self._refresh(target, scope, upstream)
            return b"hit; fwd=stale; detail=revalidating", "stale"
        return None

    def _is_for_all(self, target: bytes) -> bool:
        """Whether what is kept for this address is the same for everyone, signed in or not."""
        entry = self.entries.get(target)
        return entry is not None and entry.life.is_public and b"authorization" not in entry.vary

    def _usable(self, target: bytes, headers: RawHeaders) -> Entry | None:
        entry = self.entries.get(target)
        return entry if entry is not None and entry.suits(headers) else None

    def _passes_through(self, target: bytes) -> bool:
        until = self._passes.get(target)
        if until is None:
            return False
        if until > time.monotonic():
            return True
        del self._passes[target]
        return False

    def note_pass(self, target: bytes) -> None:
        """Nothing to keep at this address; do not queue for it."""
        if len(self._passes) >= MOST_PASSES:
            self._passes.clear()
        self._passes[target] = time.monotonic() + PASS_SECONDS

    def begin(self, target: bytes) -> Flight:
        """From now on others may wait for what this request gets."""
        flight = Flight(self._cache.epoch, asyncio.get_running_loop().create_future())
        self._flights[target] = flight
        return flight

    def end(self, target: bytes, flight: Flight, entry: Entry | None) -> None:
        """Those who wait get the entry, or go on by themselves."""
        if self._flights.get(target) is flight:
            del self._flights[target]
        if not flight.done.done():
            flight.done.set_result(entry)

    def keep(self, target: bytes, entry: Entry) -> None:
        """Here and, in the background, for the other gateways."""
        kept = self.entries.put(target, entry)
        if self._shared and kept:
            ttl = min(max(entry.life.revalidate, entry.life.on_error), LONGEST_SHARED)
            self._later(self._share(target, entry.packed(), ttl))
        elif self._shared:
            self._later(self._cache.drop(f"lead:{_key(target)}"))

    async def _share(self, target: bytes, packed: bytes, ttl: float) -> None:
        await self._cache.put(_key(target), packed, ttl=ttl)
        await self._cache.drop(f"lead:{_key(target)}")

    def share_pass(self, target: bytes) -> None:
        """Tell the other gateways that there is nothing to keep."""
        self.note_pass(target)
        if self._shared:
            self._later(self._share(target, NOT_KEPT, PASS_SECONDS))

    async def from_others(self, target: bytes, headers: RawHeaders) -> Entry | None:
        """What another gateway has kept, or is about to. None: this one is to ask."""
        if not self._shared or not self.entries.in_touch():
            return None
        for seconds in (0.0, *LOOKS):
            if seconds:
                await asyncio.sleep(seconds)
            packed = await self._cache.get(_key(target))
            if packed == NOT_KEPT:
                self.note_pass(target)
                return None
            entry = Entry.unpacked(packed) if packed else None
            good = entry is not None and entry.suits(headers) and self.entries.is_fresh(entry)
            if entry is not None and good and self.entries.put(target, entry):
                return entry
            if await self._cache.lead(f"lead:{_key(target)}", seconds=LEAD_SECONDS):
                return None
        return None

    def _refresh(self, target: bytes, scope: Scope, upstream: Upstream) -> None:
        if target not in self._flights:
            question = Question(self, target, dict(scope), _nothing, _nowhere, rules.asked([]), upstream)
            self._later(question.refresh())

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _changing(self, scope: Scope, receive: Receive, send: Send, upstream: Upstream) -> None:
        """A request that may change what it addresses: what is kept for that address is forgotten (RFC 9111, 4.4)."""
        await upstream(scope, receive, send)
        if scope["method"] in UNSAFE:
            self.entries.drop(target_of(scope))

    async def close(self) -> None:
        """End what runs in the background."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def told(self) -> dict[str, Any]:
        """For the status page."""
        return {"answers": len(self.entries), "bytes": self.entries.size, "in_touch": self.entries.in_touch()}


class Question:
    """One request to the service: its answer is given to who asked, and kept for others if it may be."""

    def __init__(
        self,
        cache: ResponseCache,
        target: bytes,
        scope: Scope,
        receive: Receive,
        send: Send,
        asked: Asked,
        upstream: Upstream,
    ) -> None:
        self._cache, self._target, self._send, self._asked, self._upstream = cache, target, send, asked, upstream
        self._receive, self._headers = receive, scope["headers"]
        scope["how"], self._outer = b"fwd=miss", scope
        head: Head = scope["head"].unconditional
        self._scope: Scope = scope | {"method": "GET", "head": head, "headers": head.passed + scope["own"]}
        self._start: Message | None = None
        self._life: rules.Life | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._whole = self._holding_errors = False

    async def answer(self, stale: Entry | None) -> None:
        """Ask, and answer; with what is `stale` if the service fails and that is allowed."""
        flight = self._cache.begin(self._target)
        entry: Entry | None = None
        try:
            entry = None if self._asked.insists else await self._cache.from_others(self._target, self._headers)
            if entry is not None:
                await reply(self._outer, self._send, entry, b"hit; detail=shared", "shared")
            else:
                entry = await self._fetched(stale)
        finally:
            self._cache.end(self._target, flight, entry)

    async def _fetched(self, stale: Entry | None) -> Entry | None:
        usable = stale if stale is not None and stale.age() < stale.life.on_error else None
        try:
            entry = await self._ask(holding_errors=usable is not None)
        except Problem as e:
            if usable is None or e.status < 500 or not self._cache.entries.is_current(usable):
                raise
            await reply(self._outer, self._send, usable, b"hit; fwd=stale; detail=origin-away", "error", failed=True)
            return None
        if entry is not None:
            await reply(self._outer, self._send, entry, b"fwd=miss; stored", "miss")
        return entry

    async def refresh(self) -> None:
        """Ask in the background, to have a fresh answer for the next one. A failure changes nothing."""
        flight = self._cache.begin(self._target)
        entry: Entry | None = None
        try:
            entry = await self._ask(holding_errors=True)
        except Problem:
            pass
        finally:
            self._cache.end(self._target, flight, entry)

    async def _ask(self, *, holding_errors: bool) -> Entry | None:
        """The service's answer, kept; None when it was passed on as it came, being not for keeping."""
        epoch = self._cache.entries.epoch
        self._holding_errors = holding_errors
        await self._upstream(self._scope, self._receive, self._take)
        self._outer["path_template"] = self._scope["path_template"]
        if self._start is None or not self._whole:
            return None
        headers = self._start["headers"]
        if self._life is None:  # a failure that was held back
            raise Unavailable(f"The service answered {self._start['status']}.")
        body = b"".join(self._pieces)
        entry = Entry.made(self._start["status"], headers, body, self._life, self._headers, epoch)
        self._cache.keep(self._target, entry)
        return entry

    async def _take(self, message: Message) -> None:
        """Hold what may be kept until it is whole; let everything else pass."""
        if message["type"] == "http.response.start":
            self._start = message
            self._life = self._may_live(message)
            self._whole = self._life is not None or (self._holding_errors and message["status"] >= 500)
            if not self._whole:
                if message["status"] < 500:
                    self._cache.share_pass(self._target)
                cache_outcome("uncacheable")
                await self._send(message)
            return
        if self._whole:
            self._pieces.append(message.get("body", b""))
            self._size += len(self._pieces[-1])
            if self._size <= self._cache.entries.longest:
                return
            message = await self._overflowing(message)
        await self._send(message)

    def _may_live(self, message: Message) -> rules.Life | None:
        return rules.life(message["status"], message["headers"])

    async def _overflowing(self, message: Message) -> Message:
        """Too large to be kept, as it turns out: what was held goes out, the rest passes."""
        self._whole = False
        self._cache.share_pass(self._target)
        if self._start is not None:
            await self._send(self._start)
        return message | {"body": b"".join(self._pieces)}


async def reply(scope: Scope, send: Send, entry: Entry, how: bytes, outcome: str, *, failed: bool = False) -> None:
    """Answer with an entry, or with 304 where the client has it already."""
    cache_outcome(outcome)
    age = int(entry.age())
    scope["how"] = b"%b; ttl=%d" % (how, int(entry.life.fresh) - age)
    headers = [*entry.headers(), (b"age", b"%d" % age)]
    if failed:
        headers += [
            (b"warning", b'110 commonry "Response is Stale"'),
            (b"warning", b'111 commonry "Revalidation Failed"'),
        ]
    if entry.status == 200 and rules.is_known(scope["head"].asked.known, entry.etag):
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    headers.append((b"content-length", b"%d" % len(entry.body)))
    await send({"type": "http.response.start", "status": entry.status, "headers": headers})
    await send({"type": "http.response.body", "body": entry.body})


_counts = {
    word: cache_lookups.labels("response", word)
    for word in "hit stale collapsed shared miss uncacheable pass bypass error".split()
}


def cache_outcome(word: str) -> None:
    """Count one look-up."""
    _counts[word].inc()


def target_of(scope: Scope) -> bytes:
    """The address an answer is kept under: path and query as they came."""
    query = scope["query_string"]
    return b"%b?%b" % (scope["raw_path"], query) if query else scope["raw_path"]


def _key(target: bytes) -> str:
    return f"answer:{hashlib.blake2b(target, digest_size=16).hexdigest()}"


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


async def _nowhere(_: Message) -> None:
    pass
