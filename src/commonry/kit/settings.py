"""Settings from the environment: a struct declares them, `COMMONRY_NAME` sets `name`, all mistakes are told at once."""

import os
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from commonry.kit import mistakes

T = TypeVar("T", bound=msgspec.Struct)
PREFIX = "COMMONRY_"


class WrongSettings(Exception):
    """One line per setting that cannot be used."""


def load(kind: type[T], environment: Mapping[str, str] | None = None, **fixed: Any) -> T:
    """The settings in the environment; `fixed` (from the command line) win. Raises `WrongSettings`."""
    said = os.environ if environment is None else environment
    fields = {f.name: f for f in msgspec.structs.fields(kind)}
    given = {name: said[PREFIX + name.upper()] for name in fields if said.get(PREFIX + name.upper(), "") != ""}
    wrong = [mistake for name, text in given.items() if (mistake := _mistake(name, text, fields[name].type))]
    if wrong:
        raise WrongSettings("\n".join(wrong))
    chosen = given | {name: value for name, value in fixed.items() if value is not None}
    return msgspec.convert(chosen, kind, strict=False)


def _mistake(name: str, text: str, kind: Any) -> str | None:
    try:
        msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as e:
        return f"{PREFIX}{name.upper()}={text!r}: {mistakes.in_words(str(e), kind)}"
    return None
