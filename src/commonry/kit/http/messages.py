"""What goes over the wire: where to, what is asked, and what is wrong when there is no answer."""

from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

RawHeaders = list[tuple[bytes, bytes]]


class Fault(Exception):
    """No answer. `sent`: the request, or a part of it, may have arrived. `stale`: a kept connection just turned out
    to be closed.
    """

    def __init__(self, why: str, *, sent: bool = True, stale: bool = False) -> None:
        super().__init__(why)
        self.sent, self.stale = sent, stale


class Origin(NamedTuple):
    """Where a server is. `prefix` goes before every target."""

    host: str
    port: int
    tls: bool
    prefix: bytes

    @classmethod
    def of(cls, url: str) -> "Origin":
        """From `http[s]://host[:port][/prefix]`."""
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        return cls(parts.hostname or "", parts.port or (443 if tls else 80), tls, parts.path.rstrip("/").encode())

    @property
    def authority(self) -> bytes:
        """As the Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}".encode()


class Request(NamedTuple):
    """What to send. `fields` are complete header lines without Host and without the body's length."""

    method: bytes
    target: bytes
    fields: bytes
    body: "bytes | AsyncIterator[bytes]" = b""
    length: int | None = None
    """Of a body that is an iterator; None: in chunks."""
    repeatable: bool = False
    """Whether sending it twice does no harm."""
    patience: float = 30.0
    """Seconds between two pieces of either body."""


def lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Header lines of (name, value) pairs in bytes."""
    return b"".join([b"%b: %b\r\n" % pair for pair in headers])
