"""One cell becomes one value: whole numbers, lengths of time, degrees, words of ours for words of theirs.

Every function raises `Wrong` with what to do about it; the caller knows the row and the column.
"""

import re
from fractions import Fraction
from math import isfinite

from commonry.contracts.inventory import is_zone

MINUTES = {"minute": 1, "hour": 60, "day": 24 * 60, "week": 7 * 24 * 60, "month": 30 * 24 * 60}
UNIT_WORDS = {
    word: unit
    for unit, words in {
        "minute": "minute minutes min mins minuten",
        "hour": "hour hours hr hrs h std stunde stunden heure heures hora horas",
        "day": "day days d tag tage tagen jour jours dia dias giorno giorni dag dagen daily tages",
        "week": "week weeks wk wks w woche wochen semaine semaines semana semanas weekly",
        "month": "month months monat monate mois mes meses",
    }.items()
    for word in words.split()
}
FIELD_UNITS = {
    "max_hours": "hour",
    "min_hours": "hour",
    "notice_hours": "hour",
    "buffer_minutes": "minute",
    "horizon_days": "day",
}
"""Fields that hold a length of time, and the unit they count in."""

WORDS: dict[str, dict[str, str]] = {
    "condition": {
        "new": "new|brand new|like new|as new|unused|mint|excellent|neu|neuwertig|wie neu|neuf|nuevo",
        "good": "good|very good|fine|ok|okay|fair|used|average|working|normal|gut|sehr gut|gebraucht|bon|bueno",
        "worn": "worn|poor|acceptable|old|heavily used|well used|rough|abgenutzt|stark gebraucht|schlecht|use",
    },
    "booking_mode": {
        "instant": "instant|automatic|auto|immediate|direct|sofort|yes",
        "request": "request|on request|approval|manual|ask|auf anfrage|anfrage|no",
    },
    "handover": {
        "in_person": "in person|in_person|personal|staffed|personlich|desk",
        "self_service": "self service|self_service|selfservice|locker|unattended|selbstbedienung",
    },
    "cancellation": {"flexible": "flexible", "moderate": "moderate", "strict": "strict"},
    "status": {
        "listed": "listed|active|available|yes|true|1|in|in stock|on loan|out|checked out|borrowed|public|aktiv"
        "|verfugbar|verliehen|ausgeliehen|ja",
        "unlisted": "unlisted|inactive|unavailable|no|false|0|hidden|draft|private|retired|withdrawn|lost|missing"
        "|damaged|broken|in repair|maintenance|archived|inaktiv|defekt|verloren|nein",
    },
    "per": {"hour": "hour|hourly|h|stunde", "day": "day|daily|d|tag", "week": "week|weekly|w|woche"},
}
"""Field → our word → their words for it."""

_OURS = {f: {said: our for our, all_said in ours.items() for said in all_said.split("|")} for f, ours in WORDS.items()}
_COUNT = re.compile(
    r"(?:x\s*)?([0-9]{1,9})(?:\.0{1,2})?(?:\s*(?:x|pcs?\.?|pieces?|copies|units?|st(?:ü|ue)ck|stk\.?))?"
)
_LENGTH = re.compile(r"([0-9]{1,9}(?:[.,][0-9]{1,3})?)\s*([^\W\d_]*)\.?")
_DEGREES = re.compile(r"([+\-−]?)\s*([0-9]{1,3}(?:[.,][0-9]{1,20})?(?:e-[0-9]{1,3})?)\s*°?\s*([nsewo]?)", re.IGNORECASE)


class Wrong(ValueError):
    """A cell that does not say what its column should; the message says what would do."""


def whole(text: str) -> int:
    """`4`, `4.0`, `4 pcs`, `x4`."""
    found = _COUNT.fullmatch(text.strip().casefold())
    if not found:
        raise Wrong(f"{_quoted(text)} is not a whole number")
    return int(found[1])


def length(text: str, field: str, unit: str) -> int:
    """A length of time in the field's own unit: `7`, `7 days`, `1 week`; a bare number counts `unit`s."""
    found = _LENGTH.fullmatch(text.strip().casefold())
    said = found and (UNIT_WORDS.get(found[2]) if found[2] else unit)
    if not found or not said:
        raise Wrong(f"{_quoted(text)} is not a length of time, such as 7 or 7 days")
    counted = Fraction(found[1].replace(",", ".")) * MINUTES[said] / MINUTES[FIELD_UNITS[field]]
    if counted.denominator != 1:
        raise Wrong(f"{_quoted(text)} is not a whole number of {FIELD_UNITS[field]}s")
    return int(counted)


def unit_in(heading: str) -> str | None:
    """The unit of time a heading speaks of: `loan period days` → day."""
    return next((UNIT_WORDS[word] for word in reversed(heading.split()) if len(word) > 1 and word in UNIT_WORDS), None)


def degrees(text: str) -> float:
    """`52.5`, `52,5`, `-118.24`, `118.24° W`."""
    found = _DEGREES.fullmatch(text.strip())
    number = float(found[2].replace(",", ".")) if found else float("inf")
    if not found or not isfinite(number):
        raise Wrong(f"{_quoted(text)} is not a number of degrees, such as 52.4934")
    south_or_west = found[3].casefold() in {"s", "w"}
    return -number if bool(found[1] in {"-", "−"}) != south_or_west else number


def zone(text: str) -> str:
    """A time zone of the IANA database."""
    if not is_zone(text.strip()):
        raise Wrong(f"{_quoted(text)} is not a time zone, such as Europe/Berlin")
    return text.strip()


def word(plain: str, text: str, field: str) -> str:
    """Our word for theirs, which comes both in plain words and as it stands."""
    ours = _OURS[field]
    if our := ours.get(text.strip().casefold()) or ours.get(plain):
        return our
    raise Wrong(f"{_quoted(text)} is none of {', '.join(WORDS[field])}")


def _quoted(text: str) -> str:
    short = text.strip()
    return f"“{short if len(short) <= 40 else short[:39] + '…'}”"
