"""Photos that the parties of a booking take when the thing changes hands. The pictures themselves are files.

Expand only: a release that does not know the table shows none.
"""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Room for them."""
    op.execute("""
        CREATE TABLE handover_photos (
            id uuid PRIMARY KEY,
            booking_id uuid NOT NULL REFERENCES bookings,
            by_id uuid NOT NULL,
            width integer NOT NULL,
            height integer NOT NULL,
            added_at timestamptz NOT NULL DEFAULT app_now()
        )""")
    op.execute("CREATE INDEX handover_photos_of_bookings ON handover_photos (booking_id, id)")


def downgrade() -> None:
    """Forget them; the files stay."""
    op.execute("DROP TABLE handover_photos")
