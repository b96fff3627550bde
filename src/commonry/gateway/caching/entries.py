"""What is kept: answers by address, bounded in bytes, dropped when something they are about has changed.

One answer an address: where it depends on request headers (`Vary`), it is the one for the last values asked with.
An answer carries the epoch that was the newest when it was asked for. A message about one of its tags with a later
epoch makes it worthless, whether it is here, still on its way, or comes from the shared cache.
"""

import hashlib
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterator

import msgspec

from commonry.gateway.caching import rules
from commonry.gateway.caching.rules import Life, RawHeaders
from commonry.kit.cache import Cache
from commonry.kit.http.messages import lines
from commonry.kit.tags import PURGE
from commonry.kit.telemetry import cache_purges, cached_bytes

OVERHEAD, TAG_OVERHEAD = 1200, 300
"""Bytes that Python needs for an entry, and for each of its tags, besides what is in them; measured."""
BLIND_SECONDS = 1.0
"""How old an answer may be that is used while no message would reach us."""
REMEMBERED = 900.0
"""Seconds for which it is known what changed. No answer is asked for so long ago, here or in the shared cache."""
MOST_REMEMBERED = 100_000


class Kept(msgspec.Struct, array_like=True, frozen=True):
    """An answer as the shared cache has it. `made_at` in seconds since 1970."""

    status: int
    head: bytes
    body: bytes
    life: Life
    tags: list[str]
    epoch: int
    made_at: float
    vary: list[bytes]
    values: list[bytes]


_FOR_STRANGERS = frozenset({b"authorization"})


class Entry:
    """An answer. `head` are its header lines; `made_at` is by `time.monotonic`."""

    __slots__ = (
        "body",
        "epoch",
        "etag",
        "head",
        "is_plain",
        "life",
        "made_at",
        "ready",
        "ready_for",
        "route",
        "size",
        "status",
        "tags",
        "values",
        "vary",
    )

    def __init__(
        self,
        status: int,
        head: bytes,
        body: bytes,
        life: Life,
        tags: frozenset[str],
        epoch: int,
        made_at: float,
        vary: frozenset[bytes] = frozenset(),
        values: tuple[bytes, ...] = (),
    ) -> None:
        self.status, self.head, self.body, self.life, self.tags = status, head, body, life, tags
        self.epoch, self.made_at, self.vary, self.values = epoch, made_at, vary, values
        self.etag = next((value for name, value in self.headers() if name == b"etag"), b"")
        self.ready, self.ready_for = b"", -1
        """The whole head of a hit but for the request's id, and the age in seconds that it is for."""
        self.route = ""
        self.is_plain = status == 200 and vary <= _FOR_STRANGERS
        """Whether every request that does not say who asks may have it."""
        self.size = OVERHEAD + 2 * len(head) + len(body) + sum(len(tag) + TAG_OVERHEAD for tag in tags)

    @classmethod
    def made(cls, status: int, headers: RawHeaders, body: bytes, life: Life, asked: RawHeaders, epoch: int) -> "Entry":
        """From an answer and the headers it was asked with. One without an entity tag gets one."""
        kept = [h for h in headers if not h[0].startswith(b"commonry-") and h[0] not in (b"content-length", b"age")]
        if status == 200 and not any(name == b"etag" for name, _ in kept):
            kept.append((b"etag", b'W/"%b"' % hashlib.blake2b(body, digest_size=9).hexdigest().encode()))
        vary = rules.varies(headers)
        head = lines(kept)
        if not head.count(b"\n") == head.count(b"\r") == len(kept):  # a line break in a value would be a field
            head = lines((name, b" ".join(value.split())) for name, value in kept)
        values = rules.values(vary, asked)
        return cls(status, head, body, life, rules.tags(headers), epoch, time.monotonic(), vary, values)

    def headers(self) -> RawHeaders:
        """The header lines as pairs."""
        return [(name, value) for line in self.head.splitlines() for name, _, value in (line.partition(b": "),)]

    def age(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self.made_at

    def suits(self, asked: RawHeaders) -> bool:
        """Whether it answers a request with these headers."""
        return not self.vary or rules.values(self.vary, asked) == self.values

    def packed(self) -> bytes:
        """For the shared cache."""
        made_at = time.time() - self.age()
        tags, vary = list(self.tags), list(self.vary)
        kept = Kept(self.status, self.head, self.body, self.life, tags, self.epoch, made_at, vary, list(self.values))
        return _encode(kept)

    @classmethod
    def unpacked(cls, packed: bytes) -> "Entry | None":
        """From the shared cache; None for what another release put there."""
        try:
            k = _decode(packed)
        except msgspec.MsgspecError:
            return None
        made_at = time.monotonic() - max(0.0, time.time() - k.made_at)
        vary, values = frozenset(k.vary), tuple(k.values)
        return cls(k.status, k.head, k.body, k.life, frozenset(k.tags), k.epoch, made_at, vary, values)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Kept).decode


class Entries:
    """The answers kept in this process, at most `most` bytes, and what is known to have changed."""

    def __init__(self, cache: Cache, most: int) -> None:
        self._cache, self._most, self.size = cache, most, 0
        self._kept: OrderedDict[bytes, Entry] = OrderedDict()
        self._by_tag: dict[str, set[bytes]] = defaultdict(set)
        self._changed: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._horizon = cache.epoch
        cache.subscribe(PURGE, self._purge, self._forget_all)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def longest(self) -> int:
        """Bytes of the longest body that is kept."""
        return self._most // 8

    @property
    def epoch(self) -> int:
        """Number of the newest message heard."""
        return self._cache.epoch

    def in_touch(self) -> bool:
        """Whether we would hear that something changed."""
        return self._cache.in_touch()

    def get(self, target: bytes) -> Entry | None:
        """The answer kept for an address, fresh or not."""
        entry = self._kept.get(target)
        if entry is not None:
            self._kept.move_to_end(target)
        return entry

    def is_fresh(self, entry: Entry) -> bool:
        """Whether it may be given without asking."""
        age = entry.age()
        return age < entry.life.fresh and self.would_hear(age)

    def would_hear(self, age: float) -> bool:
        """Whether we would have heard that an answer of that age is wrong by now, or it is too young to matter."""
        return age < BLIND_SECONDS or self._cache.in_touch()

    def put(self, target: bytes, entry: Entry) -> bool:
        """Keep an answer, unless what it is about has changed since it was asked for."""
        if not self.is_current(entry) or entry.size > self.longest:
            return False
        self.drop(target)
        self._kept[target] = entry
        for tag in entry.tags:
            self._by_tag[tag].add(target)
        self.size += entry.size + len(target)
        while self.size > self._most:
            self.drop(next(iter(self._kept)))
        cached_bytes.set(self.size)
        return True

    def is_current(self, entry: Entry) -> bool:
        """Whether nothing it is about has changed since it was asked for, as far as can be known."""
        if entry.epoch < self._horizon:
            return False
        return all(self._changed[tag][0] <= entry.epoch for tag in entry.tags if tag in self._changed)

    def drop(self, target: bytes) -> None:
        """Forget one address."""
        entry = self._kept.pop(target, None)
        if entry is None:
            return
        self.size -= entry.size + len(target)
        for tag in entry.tags:
            targets = self._by_tag[tag]
            targets.discard(target)
            if not targets:
                del self._by_tag[tag]

    def _purge(self, message: str) -> None:
        now, epoch = time.monotonic(), self._cache.epoch
        cache_purges.inc()
        for tag in message.split():
            self._changed[tag] = (epoch, now)
            self._changed.move_to_end(tag)
            for target in list(self._by_tag.get(tag, ())):
                self.drop(target)
        for tag in list(self._old(now)):
            del self._changed[tag]
        if len(self._changed) > MOST_REMEMBERED:
            self._forget_all()

    def _old(self, now: float) -> Iterator[str]:
        for tag, (_, at) in self._changed.items():
            if at > now - REMEMBERED:
                return
            yield tag

    def _forget_all(self) -> None:
        """Messages may have been lost: whatever was asked for until now may be wrong."""
        self._horizon = self._cache.epoch
        self._kept.clear()
        self._by_tag.clear()
        self._changed.clear()
        self.size = 0
        cached_bytes.set(0)
