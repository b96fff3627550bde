"""What a request says about caching (RFC 9111, 5.2.1). Pure."""

import re
from functools import lru_cache
from typing import NamedTuple

from commonry.kit.asgi import RawHeaders

_DIRECTIVE = re.compile(r'([^\s,;="]+)\s*(?:=\s*(?:"([^"]*)"?|([^,;]*)))?')


class Asked(NamedTuple):
    """What a request says about caching."""

    is_personal: bool
    """It says who asks: what it gets is for nobody else, unless the service says so."""
    insists: bool
    """It wants an answer from the service itself."""
    only_cached: bool
    must_not_keep: bool
    is_partial: bool
    known: bytes
    """`If-None-Match`, empty without."""


@lru_cache(maxsize=1024)
def directives(value: bytes) -> dict[str, str]:
    """`Cache-Control` in lower case, each directive with its argument (empty without one)."""
    found = _DIRECTIVE.finditer(value.decode("latin-1").lower())
    return {match[1]: (match[2] or match[3] or "").strip() for match in found}


def asked(headers: RawHeaders) -> Asked:
    """What the request's headers say."""
    said: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _ASKED:
            said[name] = b"%b,%b" % (said[name], value) if name in said else value
    control = directives(said.get(b"cache-control", b""))
    if b"pragma" in said and not control:
        control = directives(said[b"pragma"])
    return Asked(
        is_personal=b"authorization" in said,
        insists="no-cache" in control or control.get("max-age") == "0",
        only_cached="only-if-cached" in control,
        must_not_keep="no-store" in control,
        is_partial=b"range" in said,
        known=said.get(b"if-none-match", b""),
    )


_ASKED = frozenset({b"authorization", b"cache-control", b"pragma", b"range", b"if-none-match"})
