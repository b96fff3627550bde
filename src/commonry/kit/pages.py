"""Lists in pages: keyset cursors, opaque and checked.

A cursor is the sort values of the last row and a digest over them and the list's name, so that a cursor of another
list, or an invented one, is refused with 422 instead of giving odd pages.
"""

import base64
import hashlib
from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from litestar.params import Parameter

from commonry.kit.problems import Mistake, NotValid

T = TypeVar("T")
K = TypeVar("K")

Limit = Annotated[int, Parameter(ge=1, le=100, description="How many at most, 1 to 100.")]
Cursor = Annotated[str | None, Parameter(max_length=500, description="`next_cursor` of the page before.")]


class Page(msgspec.Struct, Generic[T]):
    """One page of a list. `next_cursor` is null on the last one."""

    data: list[T]
    next_cursor: str | None = None


def page(rows: list[T], limit: int, name: str, key: Callable[[T], tuple[Any, ...]]) -> Page[T]:
    """A page of `rows`, which were fetched with `limit + 1` to see whether more follow."""
    more = len(rows) > limit
    shown = rows[:limit]
    return Page(shown, encode(name, key(shown[-1])) if more else None)


def encode(name: str, key: tuple[Any, ...]) -> str:
    """The cursor after a row with these sort values, in the list called `name`."""
    body = msgspec.json.encode(key)
    return base64.urlsafe_b64encode(_digest(name, body) + body).decode().rstrip("=")


def decode(name: str, cursor: str | None, kind: type[K]) -> K | None:
    """The sort values in a cursor (None without one). Raises `NotValid` for a cursor that is not of this list."""
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        if raw[:8] != _digest(name, raw[8:]):
            raise ValueError(cursor)
        return msgspec.json.decode(raw[8:], type=kind)
    except (ValueError, msgspec.MsgspecError) as e:
        raise NotValid(Mistake("query.cursor", "is not a cursor of this list")) from e


def _digest(name: str, body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=8, person=name.encode()[:16]).digest()
