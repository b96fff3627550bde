"""What `commonry export` writes of everything: each service's tables as JSON Lines and CSV, and words about them.

The services say what they give (`store/exported.py`); here it is read as of one moment, row by row, and written where
nothing counts before it is whole.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from commonry.cli.storage import DATABASES, check_url, data_folder, databases
from commonry.cli.trouble import Trouble
from commonry.contracts.inventory import Item
from commonry.contracts.settings import Settings
from commonry.inventory.rules.sheets.matching import MOST_UNITS
from commonry.inventory.rules.sheets.reading import MOST_ROWS
from commonry.inventory.rules.sheets.writing import HEADINGS, Listed, guarded, heading_line, lines
from commonry.inventory.store.exported import FOR_IMPORT, REFS_OF_SEVERAL
from commonry.kit import migrate
from commonry.kit.archive import CHUNK, Writing, laid_out, written
from commonry.kit.postgres.dumps import Frozen, count, frozen, json_rows, kinds
from commonry.kit.tables import PROFILE, Table, csv_lines, resource, schema
from commonry.run import migrations

MOST_BYTES = 7 * 2**20
"""Of a file of items: less than an import takes."""
FILES = "files"
Tell = Callable[[str], None]


class Written(NamedTuple):
    """What an export has."""

    tables: int
    rows: int
    is_one_moment: bool


class _Sheet(Item, kw_only=True):
    """An item, and what its owner calls it."""

    source_ref: str | None = None


class _Progress:
    """Tells how far it is, of `whole` rows: each is written twice."""

    def __init__(self, tell: Tell, whole: int) -> None:
        self._tell, self._whole, self._done = tell, max(whole, 1), 0

    def through(self, name: str, rows: Iterable[bytes]) -> Iterator[bytes]:
        for row in rows:
            yield row
            self._done += 1
            if self._done % 1000 == 0:
                self.say(name)
        self.say(name)

    def say(self, name: str) -> None:
        share = min(self._done * 100 // self._whole, 100)
        self._tell(f"[{'█' * (share // 5):·<20}] {share:3} %  {name}")


def tables(service: str) -> Sequence[Table]:
    """What a service gives."""
    return import_module(f"commonry.{service}.store.exported").TABLES


def take(settings: Settings, target: Path, tell: Tell) -> Written:
    """Write everything into a new zip file or folder, whether the platform runs or not."""
    if settings.database_url:
        check_url(settings)
    with databases(settings) as known:
        urls = [known.database(service) for service in DATABASES]
        _check(urls)
        with frozen(urls) as of, _opened(target) as into:
            return _Export(of, into, tell).write(data_folder(settings) / FILES)


def _opened(target: Path) -> AbstractContextManager[Writing]:
    return written(target) if target.suffix.lower() == ".zip" else laid_out(target)


def _check(urls: Sequence[str]) -> None:
    for service, url in zip(DATABASES, urls, strict=True):
        at, newest = migrate.current(url), migrate.head(migrations(service))
        if at is None:
            raise Trouble(f"The database of {service} is empty: name the one with your data.")
        if at < newest:
            words = "bring it up to date with `commonry up` or `commonry migrate`, or export with that release"
            raise Trouble(f"The database of {service} is of an older release: {words}.")


class _Export:
    """One export while it is being written."""

    def __init__(self, of: Frozen, into: Writing, tell: Tell) -> None:
        self._of, self._into, self._tell = of, into, tell
        self._given = [
            (table, connection)
            for service, connection in zip(DATABASES, of.connections, strict=True)
            for table in tables(service)
        ]
        self._resources: list[dict[str, Any]] = []
        self._rows: dict[str, int] = {}

    def write(self, files: Path) -> Written:
        """All of it, the description last."""
        self._tell("counting")
        whole = sum(count(connection, table.query) for table, connection in self._given)
        progress = _Progress(self._tell, 2 * whole)
        for table, connection in self._given:
            self._write_table(table, connection, progress)
        for number, path in enumerate(sorted(f for f in files.rglob("*") if f.is_file())):
            self._tell(f"files: {number}")
            with path.open("rb") as content:
                self._into.add(f"{FILES}/{path.relative_to(files).as_posix()}", content)
        self._describe()
        return Written(len(self._given), sum(self._rows.values()), self._of.is_one_moment)

    def _write_table(self, table: Table, connection: Any, progress: _Progress) -> None:
        described = schema(table, kinds(connection, table.query))
        progress.say(table.name)
        rows = _Counted(progress.through(table.name, json_rows(connection, table.query)))
        self._write_file(f"{table.name}.jsonl", table.about, (row + b"\n" for row in rows), described)
        self._rows[table.name] = rows.counted
        again = json_rows(connection, FOR_IMPORT if table.name == "items" else table.query)
        again = progress.through(table.name, again)
        if table.name == "items":
            self._write_sheets(connection, again)
        else:
            said = csv_lines(again, table.columns, guarded)
            self._write_file(f"{table.name}.csv", table.about, (line.encode() for line in said), described)

    def _write_file(self, file: str, about: str, pieces: Iterable[bytes], described: Any) -> None:
        with self._into.part(file) as take:
            for some in _gathered(pieces):
                take(some)
        self._resources.append(resource(file, about, self._into.parts[file], described))

    def _write_sheets(self, connection: Any, rows: Iterable[bytes]) -> None:
        """Items as `commonry import` takes them, cut where an import would be too long."""
        doubtful = {msgspec.json.decode(row)["ref"] for row in json_rows(connection, REFS_OF_SEVERAL)}
        fields = [{"name": name, "type": "string", "description": f"As in an import: {name}."} for name in HEADINGS]
        sheets = _Sheets(rows, doubtful)
        while not sheets.is_over:
            number = sheets.number + 1
            file = "items.csv" if number == 1 else f"items-{number}.csv"
            about = "Items that are there, as `commonry import` takes them."
            self._write_file(file, about, sheets.next(), {"fields": fields})

    def _describe(self) -> None:
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        told = {
            "$schema": PROFILE,
            "name": "commonry-export",
            "title": "Everything of a Commonry",
            "created": made_at,
            "contributors": [{"title": f"commonry {version('commonry')}", "roles": ["creator"]}],
            "resources": self._resources,
            "one_moment": self._of.is_one_moment,
            "rows": self._rows,
        }
        with self._into.part("datapackage.json") as take:
            take(msgspec.json.format(msgspec.json.encode(told), indent=1))
        with self._into.part("README.md") as take:
            take(_readme(made_at, [table for table, _ in self._given], self._rows).encode())


class _Counted:
    """Rows, and how many there were."""

    def __init__(self, rows: Iterable[bytes]) -> None:
        self._rows, self.counted = rows, 0

    def __iter__(self) -> Iterator[bytes]:
        for row in self._rows:
            self.counted += 1
            yield row


class _Sheets:
    """Files of items, one after the other, none longer than an import may be."""

    def __init__(self, rows: Iterable[bytes], doubtful: set[str]) -> None:
        decode = msgspec.json.Decoder(_Sheet).decode
        listed = (_listed(decode(row), doubtful) for row in rows)
        self._items = ((lines([one], owners=False).encode(), one.item.quantity) for one in listed)
        self._next = next(self._items, None)
        self.number, self.is_over = 0, False

    def next(self) -> Iterator[bytes]:
        """The lines of the next file, headings first."""
        self.number += 1
        yield heading_line(owners=False).encode()
        rows = size = units = 0
        while self._next and rows < MOST_ROWS and size < MOST_BYTES and units + self._next[1] <= MOST_UNITS:
            line, quantity = self._next
            yield line
            rows, size, units = rows + 1, size + len(line), units + quantity
            self._next = next(self._items, None)
        self.is_over = self._next is None


def _listed(item: _Sheet, doubtful: set[str]) -> Listed:
    return Listed(item, None if item.source_ref in doubtful else item.source_ref)


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in larger pieces."""
    waiting: list[bytes] = []
    size = 0
    for some in pieces:
        waiting.append(some)
        size += len(some)
        if size >= CHUNK:
            yield b"".join(waiting)
            waiting.clear()
            size = 0
    yield b"".join(waiting)


def _readme(made_at: str, given: Sequence[Table], rows: dict[str, int]) -> str:
    listed = [f"| `{table.name}` | {rows[table.name]:,} | {table.about} |" for table in given]
    return README.format(made_at=made_at, version=version("commonry"), tables="\n".join(listed))


README = """\
# Everything of a Commonry

Written by commonry {version}, {made_at}. It holds the names and addresses of people: keep it as you would keep those.

| table | rows | what is in it |
|---|---|---|
{tables}

Each table is there twice. `NAME.jsonl` has a JSON object in every line, UTF-8, exactly as it is. `NAME.csv` has the
same for spreadsheets: commas, a first line of headings, an empty cell for what is not there, JSON where something is
nested; a text that a spreadsheet would take for a formula has an apostrophe before it.

`items.csv` is different: it has the items that are there in the columns that `commonry import` takes, and so do
`items-2.csv` and so on where there are more than one import takes. An item's `source_ref` in it is its owner's, where
no other owner has the same.

`datapackage.json` describes every column of every file for programs, with each file's size and SHA-256, as a Data
Package (<https://datapackage.org>).

Amounts are whole numbers of the currency's smallest unit: 1250 with EUR is 12.50 euros. Instants are in UTC, as ISO
8601 has them. Periods include their begin and not their end. `files` has what people uploaded, if they did.

Not here, on purpose: password hashes, sessions, means of payment, and quotes, which are over within the hour.
"""
