"""A calendar that other programs subscribe to (RFC 5545): when an item is busy, never why (rule 20)."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from uuid import UUID

from commonry.contracts.inventory import Busy


def calendar(item: UUID, title: str, busy: Iterable[Busy], now: datetime) -> str:
    """An iCalendar with one opaque event for every busy stretch."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Commonry//Inventory//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"NAME:{escaped(title)}",
        f"X-WR-CALNAME:{escaped(title)}",
        "REFRESH-INTERVAL;VALUE=DURATION:PT15M",
        *(line for stretch in busy for line in _event(item, stretch, now)),
        "END:VCALENDAR",
    ]
    return "".join(folded(line) + "\r\n" for line in lines)


def _event(item: UUID, stretch: Busy, now: datetime) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:{item}-{_stamp(stretch.from_)}@commonry"
    yield f"DTSTAMP:{_stamp(now)}"
    yield f"DTSTART:{_stamp(stretch.from_)}"
    yield f"DTEND:{_stamp(stretch.to)}"
    yield "SUMMARY:Busy"
    yield "CLASS:PUBLIC"
    yield "TRANSP:OPAQUE"
    yield "END:VEVENT"


def escaped(text: str) -> str:
    """Text as a value: backslash, comma, semicolon and line ends escaped, other control characters left out."""
    for plain, kept in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\r\n", "\\n"), ("\n", "\\n"), ("\r", "\\n")):
        text = text.replace(plain, kept)
    return "".join(c for c in text if c >= " " and c != "\x7f")


def folded(line: str) -> str:
    """Cut into lines of at most 75 octets, never inside a character; each but the first begins with a space."""
    parts, size = [""], 0
    for character in line:
        octets = len(character.encode())
        if size + octets > 75:
            parts.append("")
            size = 1
        parts[-1] += character
        size += octets
    return "\r\n ".join(parts)


def _stamp(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
