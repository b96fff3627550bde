"""Failed logins, counted by account and by client address.

An account is known here by a hash of its e-mail address, so that unknown addresses count like known ones and none is
kept. Rows are always locked account first, then address.
"""

from datetime import datetime
from typing import Any, NamedTuple

from commonry.contracts.users import FailedLogins
from commonry.kit.db import Tx, many, one, run, value


class Attempt(NamedTuple):
    """Who somebody says they are (a hash), and where they are calling from (an address or a network)."""

    account: str
    address: str


class Count(NamedTuple):
    """How often in a row this account, or this address, has failed."""

    kind: str
    subject: str
    failures: int


async def wait(tx: Tx, attempt: Attempt) -> int:
    """Seconds until this account and this address may try again; 0 is now."""
    seconds = await value(
        tx,
        """
        SELECT ceil(extract(epoch FROM max(blocked_until) - app_now())) FROM login_failures
        WHERE blocked_until > app_now()
            AND (kind, subject) IN (('account', %(account)s), ('address', %(address)s))""",
        attempt._asdict(),
    )
    return int(seconds or 0)


async def count(tx: Tx, attempt: Attempt, forget_after: int) -> list[Count]:
    """Count a failure, beginning anew where the last is `forget_after` seconds old; the counts.

    Whoever is blocked already is not counted: of many guesses made at once, only those before the block add to it.
    """
    return await many(
        tx,
        Count,
        """
        INSERT INTO login_failures AS f (kind, subject, failures, last_at, blocked_until)
        VALUES ('account', %(account)s, 1, app_now(), app_now()), ('address', %(address)s, 1, app_now(), app_now())
        ON CONFLICT (kind, subject) DO UPDATE SET
            failures = CASE
                WHEN f.last_at < app_now() - make_interval(secs => %(forget_after)s) THEN 1 ELSE f.failures + 1 END,
            last_at = app_now()
        WHERE f.blocked_until <= app_now()
        RETURNING kind, subject, failures""",
        attempt._asdict() | {"forget_after": forget_after},
    )


async def block(tx: Tx, counted: Count, seconds: int) -> None:
    """No login for this account, or from this address, for so many seconds."""
    await run(
        tx,
        """
        UPDATE login_failures SET blocked_until = app_now() + make_interval(secs => %(seconds)s)
        WHERE kind = %(kind)s AND subject = %(subject)s""",
        counted._asdict() | {"seconds": seconds},
    )


async def forget(tx: Tx, account: str) -> None:
    """The account's failures are over. The address's are not: a login of one's own would buy guesses at others'."""
    await run(tx, "DELETE FROM login_failures WHERE kind = 'account' AND subject = %(account)s", {"account": account})


async def of_account(tx: Tx, account: str) -> FailedLogins | None:
    """What is remembered of an account's failed logins."""

    def make(failures: int, last_at: datetime, blocked_until: datetime) -> FailedLogins:
        return FailedLogins(count=failures, last_at=last_at, blocked_until=blocked_until)

    return await one(
        tx,
        make,
        """
        SELECT failures, last_at, blocked_until FROM login_failures
        WHERE kind = 'account' AND subject = %(account)s""",
        {"account": account},
    )


async def delete_old(tx: Tx, forget_after: int) -> int:
    """Delete what no longer counts; how many rows."""
    row: dict[str, Any] = {"forget_after": forget_after}
    return await run(
        tx,
        """
        DELETE FROM login_failures
        WHERE last_at < app_now() - make_interval(secs => %(forget_after)s) AND blocked_until <= app_now()""",
        row,
    )
