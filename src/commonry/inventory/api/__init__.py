"""The inventory service's routes, and the service itself, put together.

`items` (found, read, written), `calendar` (availability, blackouts, iCalendar), `sheets` (import and export),
`internal` (for bookings, and events).
"""

from pathlib import Path

from commonry.contracts.surroundings import Surroundings
from commonry.inventory import jobs
from commonry.inventory.api import calendar, internal, items, sheets
from commonry.inventory.api.telling import Gateways
from commonry.inventory.searches import Searches
from commonry.kit import migrate, service
from commonry.kit.service import Service
from commonry.kit.standby import Standby

MIGRATIONS = Path(__file__).parent.parent / "migrations"
LARGEST_BODY = 8 * 2**20
"""Bytes: of an import."""


def build(around: Surroundings) -> Service:
    """The inventory service in these surroundings."""
    db, standby = around.db, around.standby or Standby(around.db, None, around.cache)
    searches = Searches(db)
    return service.build(
        "inventory",
        [*items.routes, *calendar.routes, *sheets.routes, *internal.routes],
        door=around.door,
        db=db,
        offers={
            "settings": around.settings,
            "gateways": Gateways(around.cache, standby),
            "standby": standby,
            "searches": searches,
        },
        loops=jobs.loops(db, searches),
        ready=lambda: migrate.is_current(db, MIGRATIONS),
        max_body=LARGEST_BODY,
    )
