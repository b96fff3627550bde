"""Members' ids become pseudonyms before anything is written: keyed hashes, another one for each role.

Whoever has the warehouse but not its key cannot tell who is meant. Who lends an item is public; were it the same
pseudonym as the one they borrow under, that would be public too.
"""

import hmac
from typing import Any, Literal

from commonry.contracts.published import View
from commonry.warehouse.arrow import pyarrow

Role = Literal["borrower", "lender"]

PEOPLE: dict[str, dict[str, tuple[Role, ...]]] = {
    "members": {"id": ("borrower", "lender")},
    "items": {"owner_id": ("lender",)},
    "bookings": {"borrower_id": ("borrower",), "owner_id": ("lender",)},
    "payments": {"payer": ("borrower",), "payee": ("lender",)},
}
"""View → column that names a member → the roles under which the warehouse knows them."""


def columns(view: View) -> dict[str, tuple[str, Role | None]]:
    """A view's columns in the warehouse: name → the view's column it comes from, and the role if it is a person."""
    known: dict[str, tuple[str, Role | None]] = {}
    for name in view.columns:
        roles = PEOPLE.get(view.name, {}).get(name, ())
        known |= {role: (name, role) for role in roles} or {name: (name, None)}
    return known


def key(view: View) -> str:
    """What the warehouse calls the column that names a row."""
    return next(name for name, (column, _) in columns(view).items() if column == view.key)


class Pseudonyms:
    """Makes them, with a key; remembers them for a run."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._known: dict[tuple[Role, str], int] = {}

    def of(self, member: str | None, role: Role) -> int | None:
        """The pseudonym of a member in a role: 63 bits, of which a million members share none."""
        if member is None:
            return None
        if (made := self._known.get((role, member))) is None:
            digest = hmac.digest(self._secret, f"{role}:{member}".encode(), "sha256")
            made = self._known[role, member] = int.from_bytes(digest[:8]) >> 1
        return made

    def of_column(self, column: Any, role: Role) -> Any:
        """An Arrow column of ids, as pseudonyms: each member is looked up once."""
        pa = pyarrow()
        coded = column.combine_chunks().dictionary_encode()
        names = pa.array([self.of(member, role) for member in coded.dictionary.to_pylist()], pa.int64())
        return names.take(coded.indices)
