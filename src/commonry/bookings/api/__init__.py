"""The bookings service's routes: `quotes`, `bookings` (made, listed, read), `commands` (what people do), `handovers`
(what was written down), `members` (what bookings say of them), `messages`, `reviews`, `internal`.
"""

from collections.abc import Sequence
from pathlib import Path

from litestar.types import ControllerRouterHandler

from commonry.bookings import jobs, metrics
from commonry.bookings.api import bookings, commands, handovers, internal, members, messages, quotes, reviews
from commonry.bookings.saga.engine import Saga
from commonry.contracts.surroundings import Surroundings
from commonry.kit import migrate, service
from commonry.kit.backlog import Backlog, Outbox
from commonry.kit.pictures import Album
from commonry.kit.service import Service

MIGRATIONS = Path(__file__).parent.parent / "migrations"


def build(around: Surroundings) -> Service:
    """The service in these surroundings."""
    saga, album = Saga(around), Album(around.files, "handovers")
    routes: Sequence[ControllerRouterHandler] = [
        *quotes.routes,
        *bookings.routes,
        *commands.routes,
        *handovers.routes,
        *members.routes,
        *messages.routes,
        *reviews.routes,
        *internal.routes,
    ]
    return service.build(
        "bookings",
        routes,
        door=around.door,
        db=around.db,
        offers={"saga": saga, "around": around, "album": album},
        loops=jobs.loops(around, saga, album),
        ready=lambda: migrate.is_current(around.db, MIGRATIONS),
        facts=[Backlog("bookings", "bookings"), Backlog("bookings", "outbox"), Outbox("bookings"), metrics.Sagas()],
    )
