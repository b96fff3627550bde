"""The inventory service's routes, and the service itself, put together.

`items` (found, read, written), `photos` of them, `calendar` (availability, blackouts, iCalendar), `sheets` (import and
export), `internal` (for bookings, and events).
"""

from pathlib import Path

from commonry.contracts.surroundings import Surroundings
from commonry.inventory import jobs
from commonry.inventory.api import calendar, internal, items, photos, sheets
from commonry.inventory.api.telling import Gateways
from commonry.inventory.searches import Searches
from commonry.kit import migrate, service
from commonry.kit.pictures import Album
from commonry.kit.service import Service
from commonry.kit.standby import Standby

MIGRATIONS = Path(__file__).parent.parent / "migrations"
LARGEST_BODY = 8 * 2**20
"""Bytes: of an import."""


def build(around: Surroundings) -> Service:
    """The inventory service in these surroundings."""
    db, standby = around.db, around.standby or Standby(around.db, None, around.cache)
    searches, album = Searches(db), Album(around.files, "items")
    return service.build(
        "inventory",
        [*items.routes, *photos.routes, *calendar.routes, *sheets.routes, *internal.routes],
        door=around.door,
        db=db,
        offers={
            "settings": around.settings,
            "gateways": Gateways(around.cache, standby),
            "standby": standby,
            "searches": searches,
            "album": album,
        },
        loops=jobs.loops(db, searches, album),
        ready=lambda: migrate.is_current(db, MIGRATIONS),
        max_body=LARGEST_BODY,
    )
