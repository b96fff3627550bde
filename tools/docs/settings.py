"""Every setting: its environment variable, its default, and its description, which says what it does."""

from typing import Any, get_args

import msgspec

from commonry.contracts.settings import Settings
from commonry.kit.settings import PREFIX
from tools.docs.markdown import code, table

SECTIONS = {
    "host": "The process",
    "traces_url": "Traces",
    "database_url": "PostgreSQL",
    "users_url": "Services that run elsewhere",
    "max_body": "The gateway",
    "session_hours": "Signing in",
    "hold_seconds": "Bookings",
    "provider_seconds": "Money",
    "etl_minutes": "The warehouse",
    "currency": "The community",
    "failpoints": "Tests",
}
"""The first setting of each section; what follows belongs to it too."""
LIMITS = {"ge": "at least {}", "gt": "more than {}", "le": "at most {}"}


def tables() -> str:
    """One table a section, in the order of the code."""
    sections: dict[str, list[list[str]]] = {}
    title = ""
    for field in msgspec.structs.fields(Settings):
        title = SECTIONS.get(field.name, title)
        sections.setdefault(title, []).append(_row(field))
    heading = ["variable", "default", "what it is", "allowed"]
    return "\n\n".join(f"### {title}\n\n{table(heading, rows)}" for title, rows in sections.items())


def _row(field: Any) -> list[str]:
    kind, *notes = get_args(field.type)
    *_, meta = [note for note in notes if isinstance(note, msgspec.Meta)]
    default = msgspec.json.encode(field.default).decode().strip('"')
    return [code(PREFIX + field.name.upper()), code(default), meta.description or "", _allowed(kind, meta)]


def _allowed(kind: Any, meta: msgspec.Meta) -> str:
    if kind is bool:
        return "`true`, `false`"
    if choices := get_args(kind):
        return ", ".join(code(str(choice)) for choice in choices)
    limits = [words.format(limit) for name, words in LIMITS.items() if (limit := getattr(meta, name)) is not None]
    return ", ".join(limits)
