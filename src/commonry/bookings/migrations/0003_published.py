"""What the warehouse may read of bookings: each with the time of every state, and reviews without their words.

Expand only: a release that does not know the columns leaves them to the triggers. BRIN, because such an index is small,
built in one pass, and (from PostgreSQL 16 on) lets a booking's next version stay on its page.
"""

from alembic import op

from commonry.kit.migrate import published

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Date changes, remember deletes, publish."""
    op.execute(published(1))
    op.execute("""
        ALTER TABLE bookings ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now();
        -- squawk-ignore require-concurrent-index-creation
        CREATE INDEX bookings_by_change ON bookings USING brin (changed_at)
            WITH (pages_per_range = 16, autosummarize = on);
        CREATE TRIGGER changes_are_dated BEFORE INSERT OR UPDATE ON bookings
            FOR EACH ROW EXECUTE FUNCTION note_change();
        CREATE TRIGGER deletes_are_remembered AFTER DELETE ON bookings
            FOR EACH ROW EXECUTE FUNCTION note_gone('bookings', 'id');
        ALTER TABLE reviews ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now();
        -- squawk-ignore require-concurrent-index-creation
        CREATE INDEX reviews_by_change ON reviews USING brin (changed_at)
            WITH (pages_per_range = 16, autosummarize = on);
        CREATE TRIGGER changes_are_dated BEFORE INSERT OR UPDATE ON reviews
            FOR EACH ROW EXECUTE FUNCTION note_change();
        CREATE TRIGGER deletes_are_remembered AFTER DELETE ON reviews
            FOR EACH ROW EXECUTE FUNCTION note_gone('reviews', 'id');
    """)
    op.execute(BOOKINGS)
    op.execute("""
        CREATE VIEW published.reviews AS
        SELECT id, booking_id, side, item_id, rating::integer AS rating, published, created_at, changed_at
        FROM reviews
    """)
    op.execute("SELECT admit_reader()")


BOOKINGS = """
    -- Days are those of the item's own zone. `last_on` is the last day that the loan touches; `days` is what is charged
    -- for (rule 3), at least one.
    CREATE VIEW published.bookings AS
    SELECT b.id, b.item_id, b.borrower_id, b.owner_id, b.starts_at, b.ends_at,
        (b.starts_at AT TIME ZONE (b.terms ->> 'time_zone'))::date AS starts_on,
        ((b.ends_at - interval '1 microsecond') AT TIME ZONE (b.terms ->> 'time_zone'))::date AS last_on,
        greatest(1, (b.ends_at AT TIME ZONE (b.terms ->> 'time_zone'))::date
            - (b.starts_at AT TIME ZONE (b.terms ->> 'time_zone'))::date) AS days,
        b.quantity, b.state, b.ending, b.problem ->> 'type' AS problem,
        (b.total ->> 'amount')::bigint AS total_amount, b.total ->> 'currency' AS total_currency,
        (b.refund ->> 'amount')::bigint AS refund_amount,
        (b.deposit ->> 'amount')::bigint AS deposit_amount, b.deposit_state,
        (b.claim ->> 'amount')::bigint AS claim_amount,
        b.overdue, b.disputed, b.created_at, t.requested_at, t.confirmed_at, b.picked_up_at, b.returned_at,
        b.completed_at, t.ended_at, b.changed_at
    FROM bookings b
    CROSS JOIN LATERAL (
        SELECT min(l.at) FILTER (WHERE l.state = 'requested') AS requested_at,
            min(l.at) FILTER (WHERE l.state = 'confirmed') AS confirmed_at,
            min(l.at) FILTER (WHERE l.state IN
                ('completed', 'failed', 'declined', 'expired', 'cancelled', 'no_show')) AS ended_at
        FROM timeline l WHERE l.booking_id = b.id) t
"""


def downgrade() -> None:
    """Publish nothing."""
    op.execute("DROP SCHEMA published CASCADE")
    op.execute("DROP TRIGGER changes_are_dated ON bookings")
    op.execute("DROP TRIGGER deletes_are_remembered ON bookings")
    op.execute("ALTER TABLE bookings DROP COLUMN changed_at")
    op.execute("DROP TRIGGER changes_are_dated ON reviews")
    op.execute("DROP TRIGGER deletes_are_remembered ON reviews")
    op.execute("ALTER TABLE reviews DROP COLUMN changed_at")
    op.execute("DROP FUNCTION admit_reader(), note_change(), note_gone()")
    op.execute("DROP TABLE gone")
