"""A request's head, read once: what it says, and what of it is passed on.

The header lines of one client are the same in every request it makes. So a plain head is remembered by its very bytes:
it is parsed once, strictly, by the same parser as everywhere, and then looked up. One that says who is asking is parsed
each time, so that no token is kept in memory.
"""

import re
from functools import cached_property
from typing import Any, cast

import httptools

from commonry.gateway.asked import asked
from commonry.kit.asgi import RawHeaders
from commonry.kit.http.messages import lines
from commonry.kit.traces import Place

MOST, LONGEST = 1024, 2048
MOST_FIELDS = 100
VERSIONS = ("1.0", "1.1")
ONCE = (b"authorization", b"content-length", b"host", b"transfer-encoding")
ONLY_INSIDE = b"commonry-"
"""Headers that begin so are what services tell each other; from outside they are dropped."""
REPLACED = frozenset({b"x-request-id", b"traceparent"})
HOP_BY_HOP = frozenset(
    name.encode()
    for name in "connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    "transfer-encoding upgrade".split()
)
NOT_PASSED_ON = HOP_BY_HOP | {b"host", b"expect", b"content-length"}
CONDITIONS = frozenset({b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since", b"if-range"})
UNUSUAL = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade"})
_SECRET = re.compile(rb"^(authorization|cookie)\s*:", re.IGNORECASE | re.MULTILINE)
_HOST = re.compile(rb"[\w.\-]+(:\d*)?|\[[0-9a-fA-F:.]+\](:\d*)?")
_RID = re.compile(rb"[A-Za-z0-9_.:-]{1,64}")
_TRACE = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


class Head:
    """What a request's header fields say. Ids are empty where none, or no good ones, were given."""

    def __init__(self, headers: RawHeaders) -> None:
        said = dict(headers)
        self.headers, self.asked = headers, asked(headers)
        self.passed = [h for h in headers if not (h[0].startswith(ONLY_INSIDE) or h[0] in REPLACED)]
        self.has_body = b"content-length" in said or b"transfer-encoding" in said
        self.is_keyed = b"idempotency-key" in said
        rid, trace = said.get(b"x-request-id", b""), _TRACE.fullmatch(said.get(b"traceparent", b""))
        self.request_id = rid.decode() if _RID.fullmatch(rid) else ""
        self.caller = Place(trace[1].decode(), trace[2].decode()) if trace else None
        self.trace_id = self.caller.trace if self.caller else ""
        a = self.asked
        special = a.is_personal or a.insists or a.only_cached or a.must_not_keep or a.is_partial or a.known
        self.may_hit = not special
        """Whether whatever is kept for everyone may be given, whole, to whom sends this."""
        self.may_be_relayed = not (a.only_cached or a.must_not_keep or a.is_partial)
        """Whether what is not for keeping may be asked for on the shortest way."""

    @cached_property
    def fields(self) -> bytes:
        """The lines that another server gets; it is given Host and the body's length by whoever sends it."""
        dropped = and_named(NOT_PASSED_ON, self.headers)
        return lines(h for h in self.passed if h[0] not in dropped)

    @cached_property
    def unconditional(self) -> "Head":
        """The same request, for the whole thing whatever the client has already."""
        kept = [h for h in self.headers if h[0] not in CONDITIONS]
        return Head(kept) if len(kept) < len(self.headers) else self


def and_named(dropped: frozenset[bytes], headers: RawHeaders) -> frozenset[bytes]:
    """These names, and those that a Connection field names besides."""
    for name, value in headers:
        if name == b"connection" and value.lower() not in (b"keep-alive", b"close"):
            return dropped | {part.strip().lower() for part in value.split(b",")}
    return dropped


class _Reading:
    """What the parser finds."""

    def __init__(self) -> None:
        self.headers: RawHeaders = []
        self.whole = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_message_complete(self) -> None:
        self.whole += 1


_known: dict[bytes, Any] = {}


def head_of(block: bytes) -> Head | None:
    """The head with these lines (all after the request line, the empty one included), None if it is not a plain one."""
    known = _known.get(block, _known)
    if known is not _known:
        return cast("Head | None", known)
    head = _parsed(block)
    if len(block) > LONGEST or _SECRET.search(block):
        return head
    if len(_known) >= MOST:
        _known.clear()
    _known[block] = head
    return head


def _parsed(block: bytes) -> Head | None:
    if block.find(b"\r\n\r\n") != len(block) - 4:
        return None
    reading = _Reading()
    try:
        httptools.HttpRequestParser(reading).feed_data(b"GET / HTTP/1.1\r\n" + block)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    headers = reading.headers
    unusual = not UNUSUAL.isdisjoint(name for name, _ in headers)
    closes = any(name == b"connection" and value.lower() != b"keep-alive" for name, value in headers)
    if reading.whole != 1 or unusual or closes or len(headers) > MOST_FIELDS or is_strange(headers, "1.1"):
        return None
    return Head(headers)


def is_strange(headers: RawHeaders, version: str) -> str:
    """Why two programs could understand this head differently; empty if they could not."""
    if version not in VERSIONS:
        return "The only version is HTTP/1.1, or 1.0."
    names = [name for name, _ in headers]
    for name in ONCE:
        if names.count(name) > 1:
            return f"There must be one {name.decode()} field."
    if b"content-length" in names and b"transfer-encoding" in names:
        return "A body has a length or comes in chunks, not both."
    if version == "1.1" and b"host" not in names:
        return "There must be a host field."
    if not _HOST.fullmatch(next((value for name, value in headers if name == b"host"), b"x")):
        return "The host field must name a host."
    coding = next((value for name, value in headers if name == b"transfer-encoding"), b"chunked")
    if coding.strip().lower() != b"chunked" or (version == "1.0" and b"transfer-encoding" in names):
        return "The only transfer coding is `chunked`."
    if any(b"\r" in value or b"\n" in value or b"\0" in value for _, value in headers):
        return "A field goes on in the next line."
    return ""
