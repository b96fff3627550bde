"""What the warehouse may read of inventory; and what people search for, counted without who.

Expand only: a release that does not know the columns leaves them to the triggers. Places are the public ones, rounded
to about 100 m.
"""

from alembic import op

from commonry.kit.migrate import published

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Count searches, date changes, remember deletes, publish."""
    op.execute(published(1))
    for step in (SEARCHES, CHANGES, VIEWS):
        op.execute(step)
    op.execute("SELECT admit_reader()")


SEARCHES = """
    -- What was asked for in an hour, and how often in vain.
    CREATE TABLE searches (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        hour timestamptz NOT NULL,
        words text NOT NULL,
        category text NOT NULL,
        dated boolean NOT NULL,
        asked integer NOT NULL,
        unanswered integer NOT NULL,
        changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT one_row_per_question_and_hour UNIQUE (hour, words, category, dated),
        CONSTRAINT no_more_in_vain_than_asked CHECK (unanswered BETWEEN 0 AND asked)
    );
    CREATE TRIGGER changes_are_dated BEFORE INSERT OR UPDATE ON searches
        FOR EACH ROW EXECUTE FUNCTION note_change();
    CREATE TRIGGER deletes_are_remembered AFTER DELETE ON searches
        FOR EACH ROW EXECUTE FUNCTION note_gone('searches', 'id');
"""

CHANGES = """
    ALTER TABLE categories ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now();
    CREATE TRIGGER changes_are_dated BEFORE INSERT OR UPDATE ON categories
        FOR EACH ROW EXECUTE FUNCTION note_change();
    CREATE TRIGGER deletes_are_remembered AFTER DELETE ON categories
        FOR EACH ROW EXECUTE FUNCTION note_gone('categories', 'slug');

    ALTER TABLE items ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now();
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX items_by_change ON items USING brin (changed_at) WITH (pages_per_range = 16, autosummarize = on);
    CREATE TRIGGER changes_are_dated BEFORE INSERT OR UPDATE ON items
        FOR EACH ROW EXECUTE FUNCTION note_change();
    CREATE TRIGGER deletes_are_remembered AFTER DELETE ON items
        FOR EACH ROW EXECUTE FUNCTION note_gone('items', 'id');

    ALTER TABLE units ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now();
    CREATE TRIGGER changes_are_dated BEFORE INSERT OR UPDATE ON units
        FOR EACH ROW EXECUTE FUNCTION note_change();
    CREATE TRIGGER deletes_are_remembered AFTER DELETE ON units
        FOR EACH ROW EXECUTE FUNCTION note_gone('units', 'id');

    ALTER TABLE blackouts ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now();
    CREATE TRIGGER changes_are_dated BEFORE INSERT OR UPDATE ON blackouts
        FOR EACH ROW EXECUTE FUNCTION note_change();
    CREATE TRIGGER deletes_are_remembered AFTER DELETE ON blackouts
        FOR EACH ROW EXECUTE FUNCTION note_gone('blackouts', 'id');
"""

VIEWS = """
    CREATE VIEW published.categories AS SELECT slug, name, parent, changed_at FROM categories;

    CREATE VIEW published.items AS
    SELECT id, owner_id, title, category, condition, place[1] AS lat, place[0] AS lon, place_label, time_zone,
        price_amount, price_currency, price_per, day_price, deposit_amount, booking_mode, handover, cancellation,
        offered, rating_sum, rating_count, created_at, deleted_at, changed_at
    FROM items;

    CREATE VIEW published.units AS SELECT id, item_id, retired_at, changed_at FROM units;

    CREATE VIEW published.blackouts AS
    SELECT b.id, b.item_id, lower(b.period) AS starts_at, upper(b.period) AS ends_at, b.changed_at FROM blackouts b;

    CREATE VIEW published.searches AS
    SELECT id::text AS id, hour, words, category, dated, asked, unanswered, changed_at FROM searches;
"""


def downgrade() -> None:
    """Publish nothing, count nothing."""
    op.execute("DROP SCHEMA published CASCADE")
    op.execute("DROP TABLE searches")
    op.execute("DROP TRIGGER changes_are_dated ON categories")
    op.execute("DROP TRIGGER deletes_are_remembered ON categories")
    op.execute("ALTER TABLE categories DROP COLUMN changed_at")
    op.execute("DROP TRIGGER changes_are_dated ON items")
    op.execute("DROP TRIGGER deletes_are_remembered ON items")
    op.execute("ALTER TABLE items DROP COLUMN changed_at")
    op.execute("DROP TRIGGER changes_are_dated ON units")
    op.execute("DROP TRIGGER deletes_are_remembered ON units")
    op.execute("ALTER TABLE units DROP COLUMN changed_at")
    op.execute("DROP TRIGGER changes_are_dated ON blackouts")
    op.execute("DROP TRIGGER deletes_are_remembered ON blackouts")
    op.execute("ALTER TABLE blackouts DROP COLUMN changed_at")
    op.execute("DROP FUNCTION admit_reader(), note_change(), note_gone()")
    op.execute("DROP TABLE gone")
