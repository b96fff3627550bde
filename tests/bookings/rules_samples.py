"""What the tests of the rules are made of: an item's terms, and moments in zones whose clocks do strange things."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from commonry.contracts.inventory import Location, Per, Price, Terms

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour
    "Africa/Cairo",
    "Africa/Casablanca",  # negative, around Ramadan
    "America/Asuncion",
    "America/Santiago",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Atlantic/Azores",
    "Pacific/Apia",
]

zones = st.sampled_from(ZONES)
instants = st.integers(1_577_836_800, 2_051_222_400).map(lambda s: datetime.fromtimestamp(s, UTC))  # 2020 to 2034


def terms(per: Per | None = "day", **changes: Any) -> Terms:
    fields: dict[str, Any] = {
        "item_id": UUID(int=1),
        "owner_id": UUID(int=2),
        "title": "Ladder",
        "time_zone": "Europe/Berlin",
        "price": Price(1250, "EUR", per) if per else None,
        "deposit": None,
        "units": 3,
        "buffer_minutes": 0,
        "min_hours": 2,
        "max_hours": 240,
        "notice_hours": 0,
        "horizon_days": 30,
        "booking_mode": "instant",
        "handover": "in_person",
        "cancellation": "moderate",
        "location": Location(52.5, 13.4, "Kreuzberg"),
    }
    return Terms(**fields | changes)
