"""Every booking keeps the trace that it began in, so that steps taken days later, by whichever process, belong to it.

Expand only: rows of before have none, and a release that does not know the column leaves it empty.
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Room for a W3C `traceparent`."""
    op.execute("ALTER TABLE bookings ADD COLUMN traceparent text")


def downgrade() -> None:
    """Forget the traces."""
    op.execute("ALTER TABLE bookings DROP COLUMN traceparent")
