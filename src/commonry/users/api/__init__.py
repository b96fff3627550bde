"""The users service's routes, and the service itself, put together.

`auth` holds signing in and out, `members` the profiles.
"""

from pathlib import Path

from commonry.contracts.surroundings import Surroundings
from commonry.kit import migrate, service
from commonry.kit.backlog import Backlog, Outbox
from commonry.kit.service import Service
from commonry.users.api import auth, members
from commonry.users.jobs import loops
from commonry.users.logins import Logins
from commonry.users.membership import Membership
from commonry.users.passwords import Passwords
from commonry.users.sessions import Sessions

MIGRATIONS = Path(__file__).parent.parent / "migrations"


def build(around: Surroundings) -> Service:
    """The users service in these surroundings."""
    settings, db = around.settings, around.db
    passwords = Passwords(threads=settings.password_threads, queue=settings.password_queue)
    sessions = Sessions(db, around.cache, hours=settings.session_hours)
    logins = Logins(db, passwords, sessions)
    membership = Membership(db, passwords, logins, sessions, around.peers)
    return service.build(
        "users",
        [auth.routes, members.routes],
        door=around.door,
        db=db,
        offers={"sessions": sessions, "logins": logins, "membership": membership},
        loops=loops(around, sessions),
        ready=lambda: migrate.is_current(db, MIGRATIONS),
        facts=[Backlog("users", "outbox"), Outbox("users")],
        max_body=64 * 1024,
    )
