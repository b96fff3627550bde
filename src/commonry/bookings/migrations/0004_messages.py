"""What the two parties of a booking write to each other, and how far each has read.

Expand only: a release that does not know the tables shows no messages.
"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Room for them."""
    op.execute("""
        CREATE TABLE messages (
            id uuid PRIMARY KEY,
            booking_id uuid NOT NULL REFERENCES bookings,
            author_id uuid NOT NULL,
            text text NOT NULL,
            at timestamptz NOT NULL DEFAULT app_now()
        )""")
    op.execute("CREATE INDEX messages_of_bookings ON messages (booking_id, id DESC)")
    op.execute("CREATE INDEX messages_by_author ON messages (author_id)")
    op.execute("""
        CREATE TABLE messages_read (
            booking_id uuid NOT NULL REFERENCES bookings,
            member_id uuid NOT NULL,
            up_to uuid NOT NULL,
            PRIMARY KEY (booking_id, member_id)
        )""")


def downgrade() -> None:
    """Forget them."""
    op.execute("DROP TABLE messages_read, messages")
