"""What the warehouse may read of users: how many, since when, in which state. Nothing that names a person.

Expand only: a release that does not know the column leaves it to the trigger.
"""

from alembic import op

from commonry.kit.migrate import published

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Date changes, remember deletes, publish."""
    op.execute(published(1))
    op.execute("""
        ALTER TABLE members ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now();
        -- squawk-ignore require-concurrent-index-creation
        CREATE INDEX members_by_change ON members USING brin (changed_at) WITH (autosummarize = on); -- one quick pass
        CREATE TRIGGER changes_are_dated BEFORE INSERT OR UPDATE ON members
            FOR EACH ROW EXECUTE FUNCTION note_change();
        CREATE TRIGGER deletes_are_remembered AFTER DELETE ON members
            FOR EACH ROW EXECUTE FUNCTION note_gone('members', 'id');
    """)
    op.execute("""
        CREATE VIEW published.members AS
        SELECT id, status, 'manager' = ANY (roles) AS manages, created_at, erased_at, changed_at
        FROM members
    """)
    op.execute("SELECT admit_reader()")


def downgrade() -> None:
    """Publish nothing."""
    op.execute("DROP SCHEMA published CASCADE")
    op.execute("DROP TRIGGER changes_are_dated ON members")
    op.execute("DROP TRIGGER deletes_are_remembered ON members")
    op.execute("ALTER TABLE members DROP COLUMN changed_at")
    op.execute("DROP FUNCTION admit_reader(), note_change(), note_gone()")
    op.execute("DROP TABLE gone")
