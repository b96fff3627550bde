"""Bookings, their timeline, quotes, handover reports and reviews.

The booking row is the saga: `step` is where it stands, `due` when it is to be looked at, `holder` and `lease_until`
who is at it. `state` is what people see.
"""

from alembic import op

from commonry.kit.migrate import baseline

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    op.execute(baseline(1))
    op.execute("""
        CREATE TABLE quotes (
            id uuid PRIMARY KEY,
            item_id uuid NOT NULL,
            starts_at timestamptz NOT NULL,
            ends_at timestamptz NOT NULL,
            quantity integer NOT NULL,
            lines jsonb NOT NULL,
            total jsonb,
            deposit jsonb,
            terms jsonb NOT NULL,
            hash text NOT NULL,
            expires_at timestamptz NOT NULL
        );
        CREATE INDEX quotes_by_expiry ON quotes (expires_at);

        CREATE TABLE bookings (
            id uuid PRIMARY KEY,
            item_id uuid NOT NULL,
            borrower_id uuid NOT NULL,
            owner_id uuid NOT NULL,
            starts_at timestamptz NOT NULL,
            ends_at timestamptz NOT NULL,
            quantity integer NOT NULL,
            terms jsonb NOT NULL,
            tiers jsonb NOT NULL,
            lines jsonb NOT NULL,
            total jsonb,
            deposit jsonb,
            payment_method text,
            message text NOT NULL DEFAULT '',
            state text NOT NULL DEFAULT 'pending',
            step text NOT NULL DEFAULT 'hold',
            ending text,
            problem jsonb,
            refund jsonb,
            claim jsonb,
            deposit_state text NOT NULL DEFAULT 'none',
            overdue boolean NOT NULL DEFAULT false,
            disputed boolean NOT NULL DEFAULT false,
            at_risk boolean NOT NULL DEFAULT false,
            answer_by timestamptz,
            picked_up_at timestamptz,
            returned_at timestamptz,
            completed_at timestamptz,
            due timestamptz,
            holder text,
            lease_until timestamptz,
            attempts integer NOT NULL DEFAULT 0,
            trouble text,
            created_at timestamptz NOT NULL DEFAULT app_now(),
            updated_at timestamptz NOT NULL DEFAULT app_now(),
            CONSTRAINT a_period_is_positive CHECK (starts_at < ends_at),
            CONSTRAINT nobody_books_their_own_item CHECK (borrower_id <> owner_id),
            CONSTRAINT state_is_known CHECK (state IN ('pending', 'requested', 'confirmed', 'in_use', 'returned',
                'completed', 'failed', 'declined', 'expired', 'cancelled', 'no_show')),
            CONSTRAINT what_is_over_is_not_due CHECK (step <> 'over' OR due IS NULL)
        ) WITH (fillfactor = 70);  -- room for the next version of a row on its own page, as no index changes
        CREATE INDEX bookings_by_due ON bookings (due) WHERE due IS NOT NULL;
        CREATE INDEX bookings_by_borrower ON bookings (borrower_id, id DESC);
        CREATE INDEX bookings_by_owner ON bookings (owner_id, id DESC);

        CREATE TABLE timeline (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            booking_id uuid NOT NULL REFERENCES bookings (id),
            at timestamptz NOT NULL DEFAULT app_now(),
            event text NOT NULL,
            text text NOT NULL,
            by_id uuid,
            state text NOT NULL
        );
        CREATE INDEX timeline_by_booking ON timeline (booking_id, id);

        CREATE TABLE handovers (
            booking_id uuid NOT NULL REFERENCES bookings (id),
            kind text NOT NULL CHECK (kind IN ('pickup', 'return')),
            by_id uuid NOT NULL,
            condition text NOT NULL,
            note text NOT NULL,
            photos jsonb NOT NULL,
            at timestamptz NOT NULL DEFAULT app_now(),
            PRIMARY KEY (booking_id, kind, by_id)
        );

        CREATE TABLE reviews (
            id uuid PRIMARY KEY,
            booking_id uuid NOT NULL REFERENCES bookings (id),
            side text NOT NULL CHECK (side IN ('borrower', 'owner')),
            item_id uuid NOT NULL,
            author_id uuid NOT NULL,
            subject_id uuid NOT NULL,
            rating smallint NOT NULL CHECK (rating BETWEEN 1 AND 5),
            text text NOT NULL,
            publish_at timestamptz NOT NULL,
            published boolean NOT NULL DEFAULT false,
            created_at timestamptz NOT NULL DEFAULT app_now(),
            CONSTRAINT one_review_a_side UNIQUE (booking_id, side)
        );
        CREATE INDEX reviews_by_subject ON reviews (subject_id, id DESC) WHERE published;
        CREATE INDEX reviews_to_publish ON reviews (publish_at) WHERE NOT published;
    """)


def downgrade() -> None:
    """There is nothing before this."""
    raise NotImplementedError("the first migration cannot be undone: drop the database instead")
