"""All mistakes of a request, not just the first.

Decoding stops at the first mistake, which is right for the good case and fast. Only when it failed is the body looked
at again here, field by field, so that a form can show every message beside its field.
"""

import re
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from commonry.kit.problems import Mistake

NO_NUL = "may not contain the NUL character"
_AT = re.compile(r" - at `\$\.?(.*)`$")


def in_body(body: bytes, kind: Any) -> list[Mistake]:
    """What keeps `body` (JSON) from being a `kind`; empty if nothing does."""
    if not body.strip():
        return [Mistake("body", "a JSON body is required")]
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        return [Mistake("body", f"is not valid JSON: {e}")]
    return list(in_value(value, kind, ""))


def in_value(value: Any, kind: Any, at: str) -> Iterator[Mistake]:
    """What keeps a decoded value from being a `kind`; places are dotted paths below `at`."""
    struct = _struct(kind)
    found: list[Mistake] = []
    if struct is not None and isinstance(value, dict):
        found = list(_in_fields(value, struct, at))  # pyright: ignore[reportUnknownArgumentType]
    yield from found or _in_whole(value, kind, at)


def _in_fields(value: dict[str, Any], struct: Any, at: str) -> Iterator[Mistake]:
    fields = {f.encode_name: f for f in msgspec.structs.fields(struct)}
    for name, field in fields.items():
        if name in value:
            yield from in_value(value[name], field.type, _below(at, name))
        elif field.required:
            yield Mistake(_below(at, name), "is required")
    if struct.__struct_config__.forbid_unknown_fields:
        known = ", ".join(fields)
        yield from (
            Mistake(_below(at, name), f"is not known here; known are: {known}") for name in value.keys() - fields
        )


def _in_whole(value: Any, kind: Any, at: str) -> Iterator[Mistake]:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as e:
        where = _AT.search(str(e))
        yield Mistake(_below(at, where[1] if where else "") or "body", in_words(_AT.sub("", str(e)), kind))


def in_words(message: str, kind: Any) -> str:
    """A pattern is not for people: say the type's description instead."""
    if "Invalid enum value" in message and (words := _words(kind)):
        return f"must be one of: {', '.join(words)}"
    if "with a timezone component" in message:
        return "needs an offset: 2026-07-03T10:00:00Z, or …+02:00"
    metas = [m for m in _metas(kind) if m.description]
    return f"must be {metas[0].description}" if "matching regex" in message and metas else message


def _words(kind: Any) -> list[str]:
    """The words a literal type allows, wherever in a union it stands."""
    if get_origin(kind) is Literal:
        return [str(word) for word in get_args(kind)]
    return [word for inner in get_args(kind) if not isinstance(inner, str) for word in _words(inner)]


def _metas(kind: Any) -> list[msgspec.Meta]:
    if get_origin(kind) is Annotated:
        return [m for m in get_args(kind)[1:] if isinstance(m, msgspec.Meta)]
    return [m for inner in get_args(kind) for m in _metas(inner)]


def _below(at: str, name: str) -> str:
    joint = "" if name.startswith("[") else "."
    return f"{at}{joint}{name}" if at and name else at or name


def _struct(kind: Any) -> Any:
    """The struct type inside `kind`, through `Annotated` and unions with None or UNSET."""
    if get_origin(kind) is Annotated:
        return _struct(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return next((s for s in map(_struct, get_args(kind)) if s is not None), None)
    return kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None


def with_nul(value: Any, at: str = "") -> Iterator[Mistake]:
    """Where a decoded value holds a NUL character, which PostgreSQL cannot keep."""
    if isinstance(value, str) and "\0" in value:
        yield Mistake(at or "body", NO_NUL)
    elif isinstance(value, dict):
        for name, inner in value.items():  # pyright: ignore[reportUnknownVariableType]
            yield from with_nul(inner, _below(at, str(name)))  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, list):
        for number, inner in enumerate(value):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            yield from with_nul(inner, _below(at, str(number)))
