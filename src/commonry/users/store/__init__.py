"""Every SQL statement of the users service: `members`, `sessions`, and `failures` (of logins).

Nothing outside this folder knows a table's name. Functions take an open transaction and return contract types.
"""

from commonry.users.store.members import promote

__all__ = ["promote"]
