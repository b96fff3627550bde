"""What every service is given by whoever runs it (`run.py`): settings, database, cache, the door, and its peers."""

from dataclasses import dataclass
from functools import cached_property

from commonry.contracts.analytics import Analytics
from commonry.contracts.bookings import Bookings
from commonry.contracts.inventory import Inventory
from commonry.contracts.payments import Payments
from commonry.contracts.settings import Settings
from commonry.contracts.users import Users
from commonry.kit.auth import Door
from commonry.kit.cache import Cache
from commonry.kit.db import Database
from commonry.kit.files import Files
from commonry.kit.standby import Standby


@dataclass(frozen=True)
class Peers:
    """A typed client of each service, near or far."""

    users: Users
    inventory: Inventory
    bookings: Bookings
    payments: Payments
    analytics: Analytics | None = None
    """None where this platform has no warehouse."""

    async def tell(self, receiver: str, topic: str, event_id: str, event: object) -> None:
        """Deliver an event to the service called `receiver`."""
        await getattr(self, receiver).tell(topic, event_id, event)


@dataclass(frozen=True)
class Surroundings:
    """The world of one service."""

    settings: Settings
    db: Database
    cache: Cache
    door: Door
    peers: Peers
    standby: Standby | None = None
    """For a service that has reads which may be a second old."""

    @cached_property
    def files(self) -> Files:
        """Where files are kept."""
        return Files(self.settings.files())
