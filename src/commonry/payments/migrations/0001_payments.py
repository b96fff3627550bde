"""Payments, refunds, the ledger, and the sandbox provider's own book.

A payment is one row per booking and purpose; the ledger is only ever added to. `due`, `holder`, `lease_until`,
`attempts` and `trouble` make a payment a due row (kit/due.py): abandoned authorisations, renewals and unfinished
refunds are looked after so.
"""

from alembic import op

from commonry.kit.migrate import baseline

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    op.execute(baseline(1))
    op.execute("""
        CREATE TABLE payments (
            id uuid NOT NULL UNIQUE,
            booking_id uuid NOT NULL,
            purpose text NOT NULL,
            status text NOT NULL,
            amount bigint NOT NULL,
            currency text NOT NULL,
            captured bigint NOT NULL DEFAULT 0,
            refunded bigint NOT NULL DEFAULT 0,
            paid_out boolean NOT NULL DEFAULT false,
            method text NOT NULL,
            payer uuid,
            payee uuid,
            provider text NOT NULL,
            provider_ref text,
            charge integer NOT NULL DEFAULT 0,
            charges integer NOT NULL DEFAULT 0,
            renewing boolean NOT NULL DEFAULT false,
            renew_before timestamptz,
            due timestamptz,
            holder text,
            lease_until timestamptz,
            attempts integer NOT NULL DEFAULT 0,
            trouble text,
            created_at timestamptz NOT NULL DEFAULT app_now(),
            updated_at timestamptz NOT NULL DEFAULT app_now(),
            PRIMARY KEY (booking_id, purpose),
            CONSTRAINT purpose_is_known CHECK (purpose IN ('rental', 'deposit', 'late_fee', 'extension')),
            CONSTRAINT status_is_known CHECK (
                status IN ('authorising', 'authorised', 'captured', 'voided', 'declined')),
            CONSTRAINT only_a_tombstone_is_about_nothing CHECK (
                amount > 0 AND payer IS NOT NULL AND payee IS NOT NULL OR status = 'voided' AND amount = 0),
            CONSTRAINT captured_is_within_the_amount CHECK (captured BETWEEN 0 AND amount),
            CONSTRAINT refunds_are_within_what_was_captured CHECK (refunded BETWEEN 0 AND captured),
            CONSTRAINT captured_means_money_was_taken CHECK ((status = 'captured') = (captured > 0)),
            CONSTRAINT only_captured_money_is_paid_out CHECK (status = 'captured' OR NOT paid_out),
            CONSTRAINT the_charge_in_use_was_asked_for CHECK (charge BETWEEN 0 AND charges),
            CONSTRAINT what_is_undecided_is_due CHECK (status <> 'authorising' OR due IS NOT NULL)
        );
        CREATE INDEX payments_by_due ON payments (due) WHERE due IS NOT NULL;
        CREATE INDEX payments_by_payer ON payments (payer, created_at DESC);
        CREATE INDEX payments_by_payee ON payments (payee, created_at DESC);

        CREATE TABLE refunds (
            booking_id uuid NOT NULL,
            purpose text NOT NULL,
            reason text NOT NULL,
            amount bigint NOT NULL,
            from_payee boolean NOT NULL,
            asked_at timestamptz NOT NULL DEFAULT app_now(),
            done_at timestamptz,
            CONSTRAINT one_refund_a_reason UNIQUE (booking_id, purpose, reason),
            CONSTRAINT a_refund_is_of_a_payment FOREIGN KEY (booking_id, purpose)
                REFERENCES payments (booking_id, purpose),
            CONSTRAINT a_refund_gives_something_back CHECK (amount > 0)
        );

        CREATE TABLE entries (
            id uuid PRIMARY KEY,
            booking_id uuid,
            kind text NOT NULL,
            cause text NOT NULL,
            made_at timestamptz NOT NULL DEFAULT app_now(),
            CONSTRAINT each_cause_is_written_once UNIQUE (cause)
        );
        CREATE INDEX entries_by_booking ON entries (booking_id, id);

        CREATE TABLE postings (
            entry_id uuid NOT NULL REFERENCES entries (id),
            account text NOT NULL,
            currency text NOT NULL,
            amount bigint NOT NULL,
            PRIMARY KEY (entry_id, account, currency),
            CONSTRAINT a_posting_moves_something CHECK (amount <> 0)
        );
        CREATE INDEX postings_by_account ON postings (account, entry_id);
    """)
    op.execute("""
        CREATE FUNCTION refuse_an_unbalanced_entry() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (
                SELECT FROM postings WHERE entry_id = NEW.entry_id GROUP BY currency HAVING sum(amount) <> 0
            ) THEN
                RAISE EXCEPTION 'entry % does not balance', NEW.entry_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'every_entry_balances';
            END IF;
            RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER every_entry_balances AFTER INSERT ON postings
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_an_unbalanced_entry();

        CREATE FUNCTION refuse_an_empty_entry() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NOT EXISTS (SELECT FROM postings WHERE entry_id = NEW.id) THEN
                RAISE EXCEPTION 'entry % has no postings', NEW.id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'every_entry_posts_something';
            END IF;
            RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER every_entry_posts_something AFTER INSERT ON entries
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_an_empty_entry();

        CREATE FUNCTION refuse_to_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the ledger is only ever added to: % refused', TG_OP
                USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME;
        END $$;
        CREATE TRIGGER entries_are_never_rewritten BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite();
        CREATE TRIGGER postings_are_never_rewritten BEFORE UPDATE OR DELETE OR TRUNCATE ON postings
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite();
    """)
    op.execute("""
        CREATE TABLE sandbox_charges (
            key text PRIMARY KEY,
            ref uuid NOT NULL,
            status text NOT NULL,
            method text NOT NULL,
            amount bigint NOT NULL,
            currency text,
            captured bigint NOT NULL DEFAULT 0,
            refunded bigint NOT NULL DEFAULT 0,
            CONSTRAINT sandbox_knows_the_status CHECK (status IN ('declined', 'authorised', 'captured', 'voided')),
            CONSTRAINT sandbox_captures_within_the_amount CHECK (captured BETWEEN 0 AND amount),
            CONSTRAINT sandbox_refunds_what_it_took CHECK (refunded BETWEEN 0 AND captured)
        );

        CREATE TABLE sandbox_refunds (
            key text PRIMARY KEY,
            charge_key text NOT NULL REFERENCES sandbox_charges (key),
            amount bigint NOT NULL,
            CONSTRAINT sandbox_gives_something_back CHECK (amount > 0)
        );
    """)


def downgrade() -> None:
    """There is nothing before this."""
    raise NotImplementedError("the first migration cannot be undone: drop the database instead")
