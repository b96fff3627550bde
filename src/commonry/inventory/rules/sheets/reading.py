"""The bytes of a table become numbered rows of cells.

Takes what people have: any common delimiter, UTF-8, UTF-16 or Windows-1252, any line ends, line breaks inside quotes.
Nothing is mended silently: a file that cannot be read for certain is refused with the row where the doubt begins.
"""

import csv
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from commonry.contracts.inventory import RowMistake
from commonry.inventory.rules.sheets.headings import MOST

MOST_ROWS = 20_000
MOST_LINES = 5 * MOST_ROWS
"""Rows including empty ones, of which spreadsheets write many."""
TITLE_ROWS = 10
"""How many rows may stand above the headings, and are looked at to find them."""

DELIMITERS = ",;\t|"
_SAMPLE = 64_000
_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_SEP_LINE = re.compile(r"sep=(.)\r?\n")
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_NOT_TEXT = {
    b"PK\x03\x04": "this is a workbook or an archive: save the sheet as CSV first",
    b"\xd0\xcf\x11\xe0": "this is an Excel workbook: save the sheet as CSV first",
    b"%PDF": "this is a PDF, not a table: save the table as CSV first",
}


class Row(NamedTuple):
    """A row with something in it. Rows count from 1, empty ones too, as a spreadsheet shows them."""

    number: int
    cells: list[str]


class Unreadable(Exception):
    """The file as a whole cannot be taken."""

    def __init__(self, row: int, at: str, message: str) -> None:
        super().__init__(message)
        self.mistake = RowMistake(row=row, at=at, message=message)


def read(body: bytes, recognised: Callable[[Sequence[str]], int]) -> list[Row]:
    """The rows of a file that are not empty. `recognised` says how many cells of a row look like headings.

    Raises `Unreadable`.
    """
    text = decoded(body)
    told = _SEP_LINE.match(text)
    delimiter = told[1] if told else _delimiter(text, recognised)
    rows = list(itertools.islice(_rows(text, delimiter, strict=True), MOST_ROWS + TITLE_ROWS + 2))
    return rows[1:] if told else rows


def decoded(body: bytes) -> str:
    """The text of a file in whichever encoding it is. Raises `Unreadable`."""
    for start, message in _NOT_TEXT.items():
        if body.startswith(start):
            raise Unreadable(1, "file", message)
    for encoding in _encodings(body):
        try:
            return body.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Unreadable(1, "file", "is not text in UTF-8, UTF-16 or Windows-1252: save it as CSV in UTF-8")


def _encodings(body: bytes) -> Sequence[str]:
    if marked := next((encoding for bom, encoding in _BOMS if body.startswith(bom)), None):
        return [marked]
    return _by_zeros(body[:2000]) or ["utf-8", "cp1252"]


def _by_zeros(sample: bytes) -> Sequence[str]:
    """UTF-16 without its mark: most letters have one zero byte, always on the same side."""
    first, second = sample[0::2].count(0), sample[1::2].count(0)
    few, many = len(sample) // 40, len(sample) // 5
    if second > many and first <= few:
        return ["utf-16-le"]
    return ["utf-16-be"] if first > many and second <= few else []


def _delimiter(text: str, recognised: Callable[[Sequence[str]], int]) -> str:
    """The one under which most headings are known; failing that, the one that makes the most regular table."""
    sample = text[:_SAMPLE]

    def fitness(delimiter: str) -> tuple[int, float, int]:
        rows = [row.cells for row in itertools.islice(_lenient(sample, delimiter), 30)]
        width, times = Counter(map(len, rows)).most_common(1)[0] if rows else (1, 0)
        known = max(map(recognised, rows[:TITLE_ROWS]), default=0)
        return known, times / max(len(rows), 1), width

    return max(DELIMITERS, key=fitness)


def _lenient(text: str, delimiter: str) -> Iterator[Row]:
    """As many rows as can be read; for looking, not for taking."""
    try:
        yield from _rows(text, delimiter, strict=False)
    except Unreadable:
        return


def _rows(text: str, delimiter: str, *, strict: bool) -> Iterator[Row]:
    reader = csv.reader(_lines(text), delimiter=delimiter, strict=strict)
    for number in itertools.count(1):
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as e:
            raise Unreadable(number, "row", _in_words(str(e))) from e
        if strict and len(cells) > MOST:
            raise Unreadable(number, "row", f"has {len(cells):,} cells; at most {MOST} are read")
        if number > MOST_LINES:
            raise Unreadable(number, "row", f"at most {MOST_LINES:,} rows are read, empty ones included")
        if _has_something(cells):
            yield Row(number, cells)


def _has_something(cells: Iterable[str]) -> bool:
    return any(cell and not cell.isspace() for cell in cells)


def _lines(text: str) -> Iterator[str]:
    """Lines with their ends. `str.splitlines` would also cut at rarer separators, which may stand in a cell."""
    return (match[0] for match in _LINES.finditer(text))


def _in_words(error: str) -> str:
    if "field larger" in error:
        return f"has a cell of more than {csv.field_size_limit():,} characters (is a closing quote missing?)"
    if "unexpected end" in error:
        return 'has a quote (") that is opened and never closed'
    if "expected after" in error:
        return 'has a quote (") inside a quoted cell: write it twice ("")'
    return f"cannot be read: {error}"
