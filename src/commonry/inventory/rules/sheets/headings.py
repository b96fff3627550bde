"""What the columns of a stranger's table mean: known headings in a few languages, then a look at the cells.

The guess is shown in the report and can be overridden heading by heading, so it may be bold where it is harmless and
must be shy where it is not: a purchase price is no rental price, a running number is no identity.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

MOST = 200
"""Columns of a table."""
LONGEST = 80
"""Characters of what may be a heading, to tell it from a row of things."""

IGNORE = "-"
MAX_DAYS = "max_days"
"""What a caller may say instead of `max_hours` when the heading does not tell that its numbers are days."""
OWNER = "owner_id"

EXACT: dict[str, str] = {
    "title": "title|name|item|items|item name|object|thing|tool|product|article|designation|what|titel|bezeichnung"
    "|gegenstand|artikel|nom|titre|objet|nombre|titulo|articulo|nome|titolo|naam|voorwerp",
    "category": "category|categories|type|kind|section|group|class|department|collection|kategorie|art|rubrik|gruppe"
    "|typ|categorie|categoria|tipo|soort",
    "description": "description|details|detail|notes|note|info|information|comments|comment|remarks|summary|about"
    "|specification|specifications|beschreibung|bemerkung|bemerkungen|anmerkung|anmerkungen|hinweise|notizen"
    "|descripcion|descrizione|omschrijving",
    "quantity": "quantity|qty|copies|count|number|units|pieces|stock|total|number of copies|anzahl|menge|stuck"
    "|exemplare|quantite|cantidad|quantita|aantal",
    "max_hours": "max hours|max days|max weeks|loan period|loan length|loan duration|loan days|lending period"
    "|borrowing period|checkout period|maximum loan|max loan|leihfrist|ausleihfrist|leihdauer|ausleihdauer"
    "|duree de pret",
    "min_hours": "min hours|min days|minimum hours|minimum days|minimum loan|mindestdauer|mindestleihdauer",
    "price": "price|fee|rate|cost|charge|daily rate|daily fee|weekly rate|hourly rate|per day|rental fee|hire fee|preis"
    "|gebuhr|leihgebuhr|miete|mietpreis|tagespreis|prix|tarif|precio|tarifa|prezzo|prijs",
    "per": "per|price per|rate unit",
    "currency": "currency|price currency|wahrung|devise|moneda|valuta",
    "deposit": "deposit|security deposit|kaution|pfand|caution|fianza|cauzione|borg",
    "condition": "condition|state|quality|zustand|etat|estado|condizione|staat",
    "label": "label|location|place|branch|branches|pick up|pickup|site|where|depot|library|standort|ort|abholort"
    "|filiale|ausgabestelle|lieu|ubicacion|luogo|locatie",
    "address": "address|street|street address|adresse|anschrift|strasse|direccion|indirizzo|adres",
    "lat": "lat|latitude|breitengrad|latitud|latitudine",
    "lon": "lon|lng|long|longitude|langengrad|longitud|longitudine",
    "source_ref": "source ref|id|ref|reference|barcode|sku|code|item id|item number|item no|asset id|asset tag"
    "|external id|inventory number|catalogue number|call number|inventarnummer|artikelnummer|strichcode|referencia",
    "time_zone": "time zone|timezone|tz|zeitzone",
    "notice_hours": "notice hours|notice|lead time|vorlauf",
    "buffer_minutes": "buffer minutes|buffer|puffer",
    "horizon_days": "horizon days|horizon",
    "booking_mode": "booking mode|booking|buchungsart",
    "handover": "handover|hand over|ubergabe",
    "cancellation": "cancellation|cancellation policy|stornierung",
    "status": "status|listed",
    OWNER: "owner id",
}
"""Our field → headings that mean it, normalised by `plain`. The earlier of two synonyms wins the field."""

INSIDE: dict[str, str] = {
    "category": "category|categories|kategorie|categorie|type",
    "description": "description|beschreibung|notes|details",
    "quantity": "copies|quantity|qty|anzahl|number of|units",
    "max_hours": "loan period|lending period|borrowing period|loan length|loan days|max days|maximum days|max hours"
    "|maximum hours|leihfrist|ausleihfrist|leihdauer",
    "price": "price|fee|rate|preis|gebuhr|leihgebuhr|mietgebuhr|mietpreis|prix|per day|per week|per hour",
    "deposit": "deposit|kaution|pfand",
    "condition": "condition|zustand",
    "label": "location|locations|branch|branches|pick up|pickup|standort|library",
    "address": "address|adresse|anschrift",
    "source_ref": "barcode|sku|asset tag|inventory number|item number|item id|reference|inventarnummer",
    "title": "title|designation|bezeichnung|titel|name",
}
"""Words that tell a column's meaning when they stand inside a longer heading; the surer fields first."""

_OTHER_MEANING = frozenset(
    "image images photo photos picture pictures thumbnail bild bilder foto fotos url link website isbn late overdue"
    " fine replacement purchase purchased acquisition original value cleaning membership kaufpreis neupreis wert owner"
    " donor brand manufacturer maker model supplier contact phone email".split()
)
_TWINS = {"max_hours": MAX_DAYS}
_SILENT = re.compile(r"((column|col|field|unnamed|untitled|spalte|feld|f) ?\d*|\d+|[a-z])?")
_AN_AMOUNT = re.compile(r"[€$£¥₹]\s*\d|\d\s*(?:[€$£¥₹]|[A-Z]{3}\b)")


class Column(NamedTuple):
    """A column: its place, the heading as the report names it, and that heading in plain words."""

    place: int
    heading: str
    plain: str


def plain(heading: str) -> str:
    """Small letters without accents, words separated by one space: `Pick-up  Branch(es)` → `pick up branch es`."""
    split = unicodedata.normalize("NFKD", heading.strip()[:200]).casefold()
    return " ".join(re.findall(r"[^\W_]+", "".join(c for c in split if not unicodedata.combining(c))))


def columns_of(cells: Sequence[str]) -> list[Column]:
    """The columns under a row of headings, each with a name of its own: `Notes`, `Notes (2)`, `column 4`."""
    seen: Counter[str] = Counter()
    found: list[Column] = []
    for index, cell in enumerate(cells):
        name = " ".join(cell.split()) or f"column {index + 1}"
        seen[name] += 1
        found.append(Column(index, name if seen[name] == 1 else f"{name} ({seen[name]})", plain(cell)))
    return found


def recognised(cells: Sequence[str], overrides: Mapping[str, str]) -> int:
    """How many different fields (and overridden headings) a row of cells would name as headings."""
    columns = columns_of([cell if len(cell) <= LONGEST else "" for cell in cells[:MOST]])
    return len(guessed(columns, overrides)) if any(c.plain for c in columns) else 0


def guessed(columns: Sequence[Column], overrides: Mapping[str, str]) -> dict[int, str]:
    """Column → field: what the overrides say, then the surest guesses. A field has one column, a column one field."""
    chosen = {c.place: field for c in columns if (field := overridden(c, overrides))}
    taken = {field for field in chosen.values() if field != IGNORE}
    guesses = ((_best(c.plain), c.place) for c in columns if c.place not in chosen)
    for (_, field), index in sorted((best, index) for best, index in guesses if best):
        if field not in taken and _TWINS.get(field) not in taken:
            chosen[index] = field
            taken.add(field)
    return chosen


def listed(columns: Sequence[Column]) -> str:
    """The headings there are, for people to choose from."""
    return ", ".join(c.heading[:LONGEST] for c in columns[:30]) + ("…" if len(columns) > 30 else "")


def overridden(column: Column, overrides: Mapping[str, str]) -> str | None:
    """What the caller says this column means, if anything."""
    said = overrides.get(column.heading)
    return said or next((field for heading, field in overrides.items() if column.plain == plain(heading) != ""), None)


@lru_cache(maxsize=2000)
def _best(heading: str) -> tuple[tuple[int, int], str] | None:
    """The field a heading means most surely; only that one: a `Branch name` is no title, even beside a `Location`."""
    return min(((rank, field) for field in EXACT if (rank := _rank(heading, field))), default=None)


_EXACT_RANK = {f: {words: n for n, words in enumerate(said.split("|"))} for f, said in EXACT.items()}
_INSIDE = [(field, words) for field, said in INSIDE.items() for words in said.split("|")]
_UNITS_AND_SIGNS = re.compile(
    r"\b((per |pro )?(days?|hours?|weeks?|tage?|stunden?|wochen?)|in|eur|euro|usd|gbp|chf|optional|required)\b"
)


def _rank(heading: str, field: str) -> tuple[int, int] | None:
    """How sure it is that a heading means a field: the smaller the surer, None for not at all."""
    exact = _EXACT_RANK[field]
    if heading in exact:
        return 0, exact[heading]
    if not heading or _OTHER_MEANING & set(heading.split()):
        return None
    bare = " ".join(_UNITS_AND_SIGNS.sub(" ", heading).split())
    if bare in exact:
        return 1, exact[bare]
    inside = (n for n, (f, words) in enumerate(_INSIDE) if f == field and f" {words} " in f" {heading} ")
    return next(((2, n) for n in inside), None)


def by_content(columns: Sequence[Column], chosen: Mapping[int, str], rows: Sequence[Sequence[str]]) -> dict[int, str]:
    """Columns whose heading says nothing, by what stands in them; a title is looked for under any unknown heading."""
    found: dict[int, str] = {}
    for column in columns:
        if column.place in chosen or _OTHER_MEANING & set(column.plain.split()):
            continue
        cells = [row[column.place].strip() for row in rows if column.place < len(row)]
        looks = _looks_like([cell for cell in cells if cell], len(rows))
        free = looks not in {*chosen.values(), *found.values()}
        if looks and free and (looks == "title" or _SILENT.fullmatch(column.plain)):
            found[column.place] = looks
    return found


def _looks_like(cells: Sequence[str], rows: int) -> str | None:
    """The field that a column's filled cells suggest."""
    if not cells or len(cells) * 2 < rows:
        return None
    length, distinct = sum(map(len, cells)) // len(cells), len(set(cells))
    if sum(bool(_AN_AMOUNT.search(cell)) for cell in cells) * 5 > len(cells) * 4 and length < 20:
        return "price"
    if sum(any(c.isalpha() for c in cell) for cell in cells) * 5 < len(cells) * 4:
        return None
    if length > 50:
        return "description"
    if distinct * 5 >= len(cells) * 4 and len(cells) * 10 >= rows * 9:
        return "title"
    return "category" if len(cells) >= 6 and distinct * 3 <= len(cells) else None


_TOLD = re.compile(rf"\s*(?P<heading>[^\n]{{1,200}}?)\s*:\s*(?P<field>{'|'.join(EXACT)}|{MAX_DAYS}|{IGNORE})\s*(?:,|$)")


def told(text: str) -> dict[str, str] | str:
    """`Their heading:field,…` as a mapping; or the part that cannot be read so. Headings may hold commas and colons."""
    overrides: dict[str, str] = {}
    at = 0
    while at < len(text):
        found = _TOLD.match(text, at)
        if not found:
            return text[at:]
        overrides[found["heading"]] = found["field"]
        at = found.end()
    return overrides
