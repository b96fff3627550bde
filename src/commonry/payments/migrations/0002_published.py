"""What the warehouse may read of payments: amounts and states, no payment method and nothing of the provider's.

Expand only: a release that does not know the columns leaves them to the trigger and the default.
"""

from alembic import op

from commonry.kit.migrate import published

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Date changes, remember deletes, publish. The ledger is only ever added to: a default dates its entries."""
    op.execute(published(1))
    op.execute("""
        ALTER TABLE payments ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now();
        -- squawk-ignore require-concurrent-index-creation
        CREATE INDEX payments_by_change ON payments USING brin (changed_at)
            WITH (pages_per_range = 16, autosummarize = on);
        CREATE TRIGGER changes_are_dated BEFORE INSERT OR UPDATE ON payments
            FOR EACH ROW EXECUTE FUNCTION note_change();
        CREATE TRIGGER deletes_are_remembered AFTER DELETE ON payments
            FOR EACH ROW EXECUTE FUNCTION note_gone('payments', 'id');
        ALTER TABLE entries ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now();
        ALTER TABLE entries ALTER COLUMN changed_at SET DEFAULT clock_timestamp();
        -- squawk-ignore require-concurrent-index-creation
        CREATE INDEX entries_by_change ON entries USING brin (changed_at)
            WITH (pages_per_range = 16, autosummarize = on);
    """)
    op.execute("""
        CREATE VIEW published.payments AS
        SELECT id, booking_id, purpose, status, amount, currency, captured, refunded, paid_out, payer, payee,
            created_at, changed_at
        FROM payments
    """)
    op.execute(LEDGER)
    op.execute("SELECT admit_reader()")


LEDGER = """
    -- A row for each entry and currency, with what it moved in each kind of account (payments/__init__.py), so that a
    -- row sums to zero and names nobody.
    CREATE VIEW published.ledger AS
    SELECT e.id || ':' || p.currency AS id, e.booking_id, e.kind, e.made_at, p.currency,
        sum(CASE WHEN p.account LIKE 'borrower:%' THEN p.amount ELSE 0 END)::bigint AS borrowers,
        sum(CASE WHEN p.account LIKE 'owner:%' THEN p.amount ELSE 0 END)::bigint AS owners,
        sum(CASE WHEN p.account LIKE 'platform:%' THEN p.amount ELSE 0 END)::bigint AS platform,
        sum(CASE WHEN p.account LIKE 'booking:%' THEN p.amount ELSE 0 END)::bigint AS rentals,
        sum(CASE WHEN p.account LIKE 'deposit:%' THEN p.amount ELSE 0 END)::bigint AS deposits,
        sum(CASE WHEN p.account LIKE 'held:%' THEN p.amount ELSE 0 END)::bigint AS held,
        sum(CASE WHEN p.account LIKE 'limit:%' THEN p.amount ELSE 0 END)::bigint AS limits,
        e.changed_at
    FROM entries e JOIN postings p ON p.entry_id = e.id
    GROUP BY e.id, e.booking_id, e.kind, e.made_at, p.currency, e.changed_at
"""


def downgrade() -> None:
    """Publish nothing."""
    op.execute("DROP SCHEMA published CASCADE")
    op.execute("DROP TRIGGER changes_are_dated ON payments")
    op.execute("DROP TRIGGER deletes_are_remembered ON payments")
    op.execute("ALTER TABLE payments DROP COLUMN changed_at")
    op.execute("ALTER TABLE entries DROP COLUMN changed_at")
    op.execute("DROP FUNCTION admit_reader(), note_change(), note_gone()")
    op.execute("DROP TABLE gone")
