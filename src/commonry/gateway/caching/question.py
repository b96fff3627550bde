"""One request to a service whose answer others may get too: held until it is whole, given, kept.

What may not be kept passes as it comes. When the service fails and an older answer may be used instead, that is given,
and it says so.
"""

from collections.abc import Awaitable, Callable

from commonry.gateway.caching import rules
from commonry.gateway.caching.entries import Entries, Entry
from commonry.gateway.caching.layers import Flight, Layers
from commonry.gateway.heads import Head
from commonry.gateway.tally import cache_outcome
from commonry.kit.asgi import Message, Receive, Scope, Send, failing_well
from commonry.kit.problems import Problem, Unavailable

Upstream = Callable[[Scope, Receive, Send], Awaitable[None]]


class Question:
    """One request to the service: its answer is given to who asked, and kept for others if it may be."""

    def __init__(
        self,
        layers: Layers,
        target: bytes,
        scope: Scope,
        receive: Receive,
        send: Send,
        upstream: Upstream,
    ) -> None:
        self._layers, self._target, self._upstream = layers, target, upstream
        self._receive, self._send, self._headers = receive, send, scope["headers"]
        scope["how"], self._outer = b"fwd=request" if scope["head"].asked.insists else b"fwd=miss", scope
        head: Head = scope["head"].unconditional
        self._scope: Scope = scope | {"method": "GET", "head": head, "headers": head.passed + scope["own"]}
        self._start: Message | None = None
        self._life: rules.Life | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._flight: Flight | None = None
        self._whole = self._holding_errors = False

    async def answer(self, stale: Entry | None) -> None:
        """Ask, and answer; with what is `stale` if the service fails and that is allowed."""
        flight = self._flight = self._layers.begin(self._target)
        entry: Entry | None = None
        try:
            if not self._outer["head"].asked.insists:
                entry = await self._layers.from_others(self._target, self._headers)
            if entry is not None:
                await reply(self._outer, self._send, entry, b"hit; detail=shared", "shared")
            else:
                entry = await self._fetched(stale, flight)
        finally:
            self._layers.end(self._target, flight, entry)

    async def _fetched(self, stale: Entry | None, flight: Flight) -> Entry | None:
        usable = stale if stale is not None and stale.age() < stale.life.on_error else None
        try:
            entry = await self._ask(holding_errors=usable is not None)
        except Problem as e:
            if e.status < 500:
                raise
            self._layers.fail(self._target, flight, e)
            await reply_failing(self._outer, self._send, usable, self._layers.entries, e)
            return None
        if entry is not None:
            await reply(self._outer, self._send, entry, b"fwd=miss; stored", "miss")
        return entry

    async def refresh(self, flight: Flight) -> None:
        """Ask in the background, to have a fresh answer for the next one. A failure changes nothing."""
        self._flight = flight
        entry: Entry | None = None
        try:
            entry = await self._ask(holding_errors=True)
        except Problem:
            pass
        finally:
            self._layers.end(self._target, flight, entry)

    async def _ask(self, *, holding_errors: bool) -> Entry | None:
        """The service's answer, kept; None when it was passed on as it came, being not for keeping."""
        epoch = self._layers.entries.epoch
        self._holding_errors = holding_errors
        await failing_well(self._upstream, self._scope, self._receive, self._take)
        self._outer["path_template"] = self._scope["path_template"]
        if self._start is None or not self._whole:
            return None
        headers = self._start["headers"]
        if self._life is None:  # a failure that was held back
            raise Unavailable(f"The service answered {self._start['status']}.")
        body = b"".join(self._pieces)
        entry = Entry.made(self._start["status"], headers, body, self._life, self._headers, epoch)
        self._layers.keep(self._target, entry)
        return entry

    async def _take(self, message: Message) -> None:
        """Hold what may be kept until it is whole; let everything else pass."""
        if message["type"] == "http.response.start":
            self._start = message
            self._life = rules.life(message["status"], message["headers"])
            self._whole = self._life is not None or (self._holding_errors and message["status"] >= 500)
            if not self._whole:
                self._let_pass(for_a_while=message["status"] < 500)
                cache_outcome("uncacheable")
                await self._send(message)
            return
        if self._whole:
            self._pieces.append(message.get("body", b""))
            self._size += len(self._pieces[-1])
            if self._size <= self._layers.entries.longest:
                return
            message = await self._overflowing(message)
        await self._send(message)

    def _let_pass(self, *, for_a_while: bool) -> None:
        """There is nothing to share: nobody need wait until whoever asked has read all of it."""
        if for_a_while:
            self._layers.let_pass(self._target)
        if self._flight is not None:
            self._layers.end(self._target, self._flight, None)

    async def _overflowing(self, message: Message) -> Message:
        """Too large to be kept, as it turns out: what was held goes out, the rest passes."""
        self._whole = False
        self._let_pass(for_a_while=True)
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


async def reply_failing(scope: Scope, send: Send, stale: Entry | None, entries: Entries, problem: Problem) -> None:
    """The service fails: answer with what is stale, if that is allowed. Raises the problem if not."""
    if stale is None or stale.age() >= stale.life.on_error or not entries.is_current(stale):
        raise problem
    await reply(scope, send, stale, b"hit; fwd=stale; detail=origin-away", "error", failed=True)
