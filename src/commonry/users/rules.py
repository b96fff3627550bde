"""Decisions about members and logins. Pure: no clock, no database.

How long to wait after failed logins, which changes need the password again, what roles and names are kept as.
"""

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from commonry.contracts.users import ManagedChanges, Member, MemberChanges, Role
from commonry.contracts.words import lower

FORMER = "Former member"
ROLES: tuple[Role, ...] = ("member", "manager")


class Patience(NamedTuple):
    """How many failures are free, and the longest wait in seconds that more of them lead to."""

    free: int
    longest: int


PATIENCE = {
    "account": Patience(free=4, longest=15 * 60),
    # A school or an office shares one address: it gets more tries, and is never shut out for long.
    "address": Patience(free=19, longest=60),
}
FORGET_AFTER = 60 * 60
"""Seconds without a failure after which the count begins anew."""


def wait_after(failures: int, patience: Patience) -> int:
    """Seconds to wait after this many failures in a row: none for the free ones, then 2, 4, 8 …"""
    beyond = min(failures - patience.free, 30)
    return min(2**beyond, patience.longest) if beyond > 0 else 0


def needs_password(wanted: MemberChanges, member: Member) -> bool:
    """Whether a change could lock the member out of their account: another password or another e-mail address."""
    other_email = isinstance(wanted.email, str) and lower(wanted.email) != member.email
    return isinstance(wanted.password, str) or other_email


def may_take_power(wanted: ManagedChanges) -> bool:
    """Whether a change could leave the community with one manager less."""
    return wanted.status == "suspended" or (isinstance(wanted.roles, list) and "manager" not in wanted.roles)


def kept_roles(wanted: Iterable[Role]) -> list[str]:
    """Roles as they are kept: each once, in order. Everyone is a member."""
    return [role for role in ROLES if role in {"member", *wanted}]


def tidy(name: str) -> str:
    """A name on one line, without spaces around it or doubled inside."""
    return " ".join(name.split())


def typed(password: str) -> str:
    """A password in one form (NFC), however the keyboard at hand composes its accents."""
    return unicodedata.normalize("NFC", password)


def containing(words: str) -> str:
    """The ILIKE pattern of texts that contain `words` literally."""
    escaped = words.strip().replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{escaped}%"
