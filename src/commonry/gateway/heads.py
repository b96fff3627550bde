"""Heads of plain reads, remembered: the header lines of one client are the same in every request it makes.

A head is parsed once, strictly, by the same parser as everywhere; afterwards the same bytes are looked up. One that
says who is asking is parsed each time, so that no token is kept in memory.
"""

import re
from typing import NamedTuple

import httptools

from commonry.gateway.caching import rules
from commonry.kit.asgi import RawHeaders

MOST, LONGEST = 4096, 2048
ONCE = (b"content-length", b"host", b"transfer-encoding")
_RID = re.compile(rb"[A-Za-z0-9_.:-]{1,64}")
_TRACE = re.compile(rb"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class Head(NamedTuple):
    """A head of nothing unusual. `may_hit`: whatever is kept for everyone may be given to whom sends it."""

    headers: RawHeaders
    may_hit: bool
    request_id: str
    trace_id: str


class _Reading:
    """What the parser finds."""

    def __init__(self) -> None:
        self.headers: RawHeaders = []
        self.whole = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_message_complete(self) -> None:
        self.whole += 1


_known: dict[bytes, Head | None] = {}


def head_of(block: bytes) -> Head | None:
    """The head with these lines (all after the request line, the empty one included), None if it is not a plain one."""
    if block in _known:
        return _known[block]
    head = _parsed(block)
    if len(block) > LONGEST or (head and any(name in (b"authorization", b"cookie") for name, _ in head.headers)):
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
    unusual = {b"content-length", b"transfer-encoding", b"expect", b"upgrade"} & {name for name, _ in headers}
    closes = any(name == b"connection" and value.lower() != b"keep-alive" for name, value in headers)
    if reading.whole != 1 or unusual or closes or len(headers) > 100 or is_strange(headers, "1.1"):
        return None
    asked = rules.asked(headers)
    plain = not (asked.is_personal or asked.insists or asked.only_cached or asked.must_not_keep or asked.is_partial)
    said = dict(headers)
    rid, trace = said.get(b"x-request-id", b""), _TRACE.fullmatch(said.get(b"traceparent", b""))
    given = rid.decode() if _RID.fullmatch(rid) else ""
    return Head(headers, plain and not asked.known, given, trace[1].decode() if trace else "")


def is_strange(headers: RawHeaders, version: str) -> str:
    """Why two programs could understand this head differently; empty if they could not."""
    names = [name for name, _ in headers]
    for name in ONCE:
        if names.count(name) > 1:
            return f"There must be one {name.decode()} field."
    if b"content-length" in names and b"transfer-encoding" in names:
        return "A body has a length or comes in chunks, not both."
    if version == "1.1" and b"host" not in names:
        return "There must be a host field."
    coding = next((value for name, value in headers if name == b"transfer-encoding"), b"chunked")
    if coding.strip().lower() != b"chunked" or (version == "1.0" and b"transfer-encoding" in names):
        return "The only transfer coding is `chunked`."
    if any(b"\r" in value or b"\n" in value or b"\0" in value for _, value in headers):
        return "A field goes on in the next line."
    return ""
