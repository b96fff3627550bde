"""Tables written out for anybody to read: as JSON Lines and as CSV, with a description that programs understand.

The description is a Data Package (datapackage.org): each file's columns, their types and meaning, what refers to what,
its size and its checksum.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, LiteralString, NamedTuple

import msgspec

from commonry.kit.archive import Part

NOTHING: Mapping[str, str] = MappingProxyType({})
PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"
KINDS: dict[str, dict[str, str]] = {
    "uuid": {"type": "string", "format": "uuid"},
    "text": {"type": "string"},
    "bool": {"type": "boolean"},
    "int2": {"type": "integer"},
    "int4": {"type": "integer"},
    "int8": {"type": "integer"},
    "float8": {"type": "number"},
    "timestamptz": {"type": "datetime"},
    "json": {"type": "any"},
    "jsonb": {"type": "any"},
    "text[]": {"type": "any"},
}
"""PostgreSQL's types as a Table Schema has them. In CSV, `any` is JSON in a cell."""


class Table(NamedTuple):
    """One table as others may have it: a query, and what each of its columns means."""

    name: str
    about: str
    query: LiteralString
    columns: Mapping[str, str]
    key: tuple[str, ...] = ("id",)
    refers: Mapping[str, str] = NOTHING
    """Column → `table.column` of what it names."""


def schema(table: Table, kinds: Mapping[str, str]) -> dict[str, Any]:
    """The Table Schema of a table, whose columns are of these types of PostgreSQL's."""
    fields = [{"name": name, **KINDS[kind], "description": table.columns[name]} for name, kind in kinds.items()]
    told: dict[str, Any] = {"fields": fields, "primaryKey": list(table.key)}
    if table.refers:
        told["foreignKeys"] = [
            {"fields": [column], "reference": {"resource": target.split(".")[0], "fields": [target.split(".")[1]]}}
            for column, target in table.refers.items()
        ]
    return told


def resource(file: str, about: str, part: Part, described: Mapping[str, Any]) -> dict[str, Any]:
    """What a Data Package says of a file."""
    name, _, kind = file.rpartition(".")
    media = {"csv": "text/csv", "jsonl": "application/jsonl"}[kind]
    told = {"name": name if kind == "jsonl" else f"{name}-{kind}", "path": file, "description": about}
    shape = {"format": kind, "mediatype": media, "encoding": "utf-8", "bytes": part.size}
    return told | shape | {"hash": f"sha256:{part.sha256}", "schema": described}


def csv_lines(rows: Iterable[bytes], columns: Iterable[str], guard: Any) -> Iterator[str]:
    """JSON rows as CSV: null is an empty cell, what is nested is JSON, texts as `guard` lets spreadsheets see them."""
    named = list(columns)
    written = _Written()
    writer = csv.writer(written)
    writer.writerow(named)
    yield written.pop()
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for row in rows:
        said = decode(row)
        writer.writerow([_cell(said[name], guard) for name in named])
        yield written.pop()


class _Written(list[str]):
    write = list[str].append


def _cell(value: Any, guard: Any) -> Any:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return guard(value)
        case dict() | list():
            return msgspec.json.encode(value).decode()
        case _:
            return value
