"""What an export has of users: the members, with all that names them and nothing that lets anyone in.

No password hashes, no sessions, no failed logins: those are worth nothing to whoever may have the rest.
"""

from commonry.kit.tables import Table

TABLES = (
    Table(
        "members",
        "Everyone who is or was a member. Who left is still here, without anything that names them.",
        """
        SELECT id, email, display_name, about, roles, status, created_at, updated_at, erased_at
        FROM members ORDER BY id""",
        {
            "id": "The member.",
            "email": "Their address; none when they have left.",
            "display_name": "What others call them.",
            "about": "What they say of themselves.",
            "roles": "`member`, and `manager` for who looks after everybody.",
            "status": "`active`, `suspended` or `erased`.",
            "created_at": "When they joined.",
            "updated_at": "When this was last changed.",
            "erased_at": "When they left.",
        },
    ),
)
