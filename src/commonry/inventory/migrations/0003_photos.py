"""Photos of items: which there are, in which order, and what they show. The pictures themselves are files.

Expand only: a release that does not know the table shows items without photos.
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Room for them."""
    op.execute("""
        CREATE TABLE photos (
            id uuid PRIMARY KEY,
            item_id uuid NOT NULL REFERENCES items,
            position integer NOT NULL,
            alt text NOT NULL,
            width integer NOT NULL,
            height integer NOT NULL,
            added_at timestamptz NOT NULL DEFAULT app_now(),
            -- Its files stay for a day, for backups that are being taken and for whoever is just looking at it.
            gone_at timestamptz
        )""")
    op.execute("CREATE INDEX photos_of_items ON photos (item_id, position) WHERE gone_at IS NULL")
    op.execute("CREATE INDEX photos_gone ON photos (gone_at) WHERE gone_at IS NOT NULL")


def downgrade() -> None:
    """Forget them; the files stay."""
    op.execute("DROP TABLE photos")
