"""The small types that messages are made of: texts with limits, instants with an offset, periods."""

import re
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import available_timezones

import msgspec
from msgspec import Meta

Title = Annotated[str, Meta(min_length=3, max_length=120, pattern=r"\S.*\S", description="text of 3 to 120 characters")]
Text = Annotated[str, Meta(max_length=5000)]
Note = Annotated[str, Meta(max_length=2000)]
Label = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S", description="text of 1 to 200 characters")]
Slug = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=60,
        pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$",
        description="words in small letters joined by hyphens",
    ),
]
Email = Annotated[
    str,
    Meta(
        max_length=254,
        pattern=r"^[^@\s\x00]+@[^@\s\x00]+\.[^@\s\x00.]+$",
        description="an e-mail address",
        examples=["ada@example.org"],
    ),
]
ZONES = available_timezones() - {"localtime", "Factory"}
"""Time zones that name a place; the two left out mean whatever a machine is set to, or nothing."""
TimeZone = Annotated[
    str,
    Meta(
        pattern=f"^(?:{'|'.join(re.escape(zone) for zone in sorted(ZONES))})$",
        description="a time zone of the IANA database, such as Europe/Berlin",
        examples=["Europe/Berlin"],
    ),
]
Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset, answered in UTC.")]
Quantity = Annotated[int, Meta(ge=1, le=1000)]


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a person sends: a field we do not know is refused, so that a typo is never silently lost."""


class Message(msgspec.Struct, kw_only=True):
    """What we answer, and what services tell each other: unknown fields are ignored, new ones have defaults."""


class Period(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """A half-open range of instants `[from, to)`."""

    from_: Instant
    to: Instant


def lower(text: str) -> str:
    """How e-mail addresses are compared and kept."""
    return text.strip().lower()


class Nothing(msgspec.Struct):
    """An empty answer."""


Json = dict[str, Any]
