"""Items, their units, and the calendar: blackouts, reservations and the claims they lay on units.

The calendar's rules live here as one constraint (`one_borrower_at_a_time`) and three small SQL functions that every
question about free time goes through: `engagements`, `free_units`, `room`.
"""

from alembic import op

from commonry.kit.migrate import baseline

revision = "0001"
down_revision = None

CATEGORIES = [
    ("tools", "Tools & DIY", None),
    ("power-tools", "Power tools", "tools"),
    ("hand-tools", "Hand tools", "tools"),
    ("sewing", "Sewing & crafts", "tools"),
    ("garden", "Garden & balcony", None),
    ("camping", "Camping & travel", None),
    ("bikes", "Bikes & transport", None),
    ("cargo-bikes", "Cargo bikes & trailers", "bikes"),
    ("cameras", "Photo & film", None),
    ("music", "Music & sound", None),
    ("kitchen", "Kitchen & home", None),
    ("cleaning", "Cleaning", "kitchen"),
    ("party", "Parties & events", None),
    ("kids", "Babies & children", None),
    ("sports", "Sport & water", None),
    ("electronics", "Electronics & office", None),
    ("books-games", "Books & games", None),
    ("other", "Everything else", None),
]


def upgrade() -> None:
    """Create everything."""
    op.execute(baseline(1))
    for step in (EXTENSIONS, WORDS, CATEGORIES_TABLE, ITEMS, ITEMS_INDEXES, CALENDAR, CLAIMS, QUESTIONS):
        op.execute(step)
    categories = op.get_bind().exec_driver_sql
    for position, (slug, name, parent) in enumerate(CATEGORIES):
        categories(
            "INSERT INTO categories (slug, name, parent, position) VALUES (%s, %s, %s, %s)",
            (slug, name, parent, position),
        )


# All three are trusted: the database's owner may create them.
EXTENSIONS = """
    CREATE EXTENSION IF NOT EXISTS btree_gist;
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE EXTENSION IF NOT EXISTS unaccent;
"""

WORDS = """
    -- Text as it is compared: without accents and capitals. unaccent() is only STABLE because someone could edit its
    -- dictionary; an index needs IMMUTABLE, and the dictionary named in full, because indexes build with an empty path.
    CREATE FUNCTION folded(words text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN lower(public.unaccent('public.unaccent'::regdictionary, words));

    -- English stems, so that "drills" finds a drill, beside the words as they are, for every other language.
    CREATE FUNCTION lexemes(words text) RETURNS tsvector LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN to_tsvector('pg_catalog.english'::regconfig, folded(words))
        || to_tsvector('pg_catalog.simple'::regconfig, folded(words));

    -- What someone typed, as a query that matches `lexemes`; understands "phrases", or, and -without.
    CREATE FUNCTION asked(words text) RETURNS tsquery LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN websearch_to_tsquery('pg_catalog.english'::regconfig, folded(words))
        || websearch_to_tsquery('pg_catalog.simple'::regconfig, folded(words));
"""

CATEGORIES_TABLE = """
    CREATE TABLE categories (
        slug text PRIMARY KEY,
        name text NOT NULL,
        parent text REFERENCES categories,
        position integer NOT NULL
    );
"""

ITEMS = """
    CREATE TABLE items (
        id uuid PRIMARY KEY,
        owner_id uuid NOT NULL,
        owner_suspended boolean NOT NULL DEFAULT false,
        status text NOT NULL DEFAULT 'listed',
        deleted_at timestamptz,
        version integer NOT NULL DEFAULT 1,
        source_ref text,
        title text NOT NULL,
        description text NOT NULL DEFAULT '',
        category text NOT NULL REFERENCES categories,
        condition text NOT NULL,
        lat double precision NOT NULL,
        lon double precision NOT NULL,
        place_label text NOT NULL,
        address text,
        time_zone text NOT NULL,
        price_amount bigint,
        price_currency text,
        price_per text,
        deposit_amount bigint,
        deposit_currency text,
        buffer_minutes integer NOT NULL,
        min_hours integer NOT NULL,
        max_hours integer NOT NULL,
        notice_hours integer NOT NULL,
        horizon_days integer NOT NULL,
        booking_mode text NOT NULL,
        handover text NOT NULL,
        cancellation text NOT NULL,
        rating_sum integer NOT NULL DEFAULT 0,
        rating_count integer NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT app_now(),
        updated_at timestamptz NOT NULL DEFAULT app_now(),

        -- Whether it can be found and booked: the only place that says so.
        offered boolean NOT NULL
            GENERATED ALWAYS AS (status = 'listed' AND deleted_at IS NULL AND NOT owner_suspended) STORED,
        -- What others see and what distances are measured from, to about 100 m: many exact distances would give the
        -- exact place away.
        place point NOT NULL GENERATED ALWAYS AS (point(
            round(lon::numeric, 3)::double precision, round(lat::numeric, 3)::double precision)) STORED,
        -- Makes prices per hour, day and week comparable.
        day_price bigint NOT NULL GENERATED ALWAYS AS (CASE price_per
            WHEN 'hour' THEN price_amount * 24
            WHEN 'day' THEN price_amount
            WHEN 'week' THEN (price_amount + 6) / 7
            ELSE 0 END) STORED,
        search tsvector NOT NULL GENERATED ALWAYS AS (
            setweight(lexemes(title), 'A') || setweight(lexemes(description), 'C')) STORED,

        CONSTRAINT one_item_per_row_of_an_import UNIQUE (owner_id, source_ref),
        CONSTRAINT status_is_known CHECK (status IN ('listed', 'unlisted')),
        CONSTRAINT a_price_is_whole CHECK (num_nulls(price_amount, price_currency, price_per) IN (0, 3)),
        CONSTRAINT a_deposit_is_whole CHECK (num_nulls(deposit_amount, deposit_currency) IN (0, 2)),
        CONSTRAINT the_shortest_is_not_the_longer CHECK (min_hours <= max_hours),
        CONSTRAINT buffers_are_not_negative CHECK (buffer_minutes >= 0)
    );

    CREATE TABLE units (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        item_id uuid NOT NULL REFERENCES items,
        label text NOT NULL,
        retired_at timestamptz
    );
    CREATE INDEX units_of_item ON units (item_id, id) WHERE retired_at IS NULL;
"""

ITEMS_INDEXES = """
    CREATE INDEX items_by_age ON items (created_at, id) WHERE offered;
    CREATE INDEX items_by_price ON items (day_price, id) WHERE offered;
    CREATE INDEX items_by_category ON items (category, created_at, id) WHERE offered;
    CREATE INDEX items_by_owner ON items (owner_id, created_at, id) WHERE deleted_at IS NULL;
    CREATE INDEX items_by_place ON items USING gist (place) WHERE offered;
    CREATE INDEX items_by_words ON items USING gin (search) WHERE offered;
    CREATE INDEX items_by_title ON items USING gin (folded(title) gin_trgm_ops) WHERE offered;
"""

CALENDAR = """
    CREATE TABLE blackouts (
        id uuid PRIMARY KEY,
        item_id uuid NOT NULL REFERENCES items,
        period tstzrange NOT NULL,
        note text NOT NULL DEFAULT '',
        CONSTRAINT blackouts_take_time CHECK (NOT isempty(period))
    );
    CREATE INDEX blackouts_by_time ON blackouts USING gist (item_id, period);

    -- The id is the booking's. A row that was released before anything was held has no item and no period: a tombstone.
    CREATE TABLE reservations (
        id uuid PRIMARY KEY,
        item_id uuid REFERENCES items,
        period tstzrange,
        quantity integer NOT NULL DEFAULT 1,
        state text NOT NULL,
        expires_at timestamptz, -- of a held one; kept when it has expired, to tell that from a release
        in_use_since timestamptz,
        released_at timestamptz,
        CONSTRAINT state_is_known CHECK (state IN ('held', 'confirmed', 'in_use', 'released')),
        CONSTRAINT only_tombstones_are_of_nothing
            CHECK (state = 'released' OR (item_id IS NOT NULL AND period IS NOT NULL)),
        CONSTRAINT reservations_take_time CHECK (NOT isempty(period)),
        CONSTRAINT holds_expire CHECK (state <> 'held' OR expires_at IS NOT NULL),
        CONSTRAINT the_released_know_when CHECK ((state = 'released') = (released_at IS NOT NULL))
    );
    CREATE INDEX reservations_by_expiry ON reservations (expires_at) WHERE state = 'held';
    CREATE INDEX reservations_alive ON reservations (item_id) WHERE state <> 'released';
"""

CLAIMS = """
    -- What a reservation lays on each of its units. `period` is what was booked, `occupied` is that and the buffer
    -- after it (rule 7), both as they were when booked. A claim is `reserved` until pickup, then `out`; when the thing
    -- comes back it is `cooling` for the rest of the buffer, then `over`. Until pickup it may move to another unit.
    CREATE TABLE claims (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        reservation_id uuid NOT NULL REFERENCES reservations,
        unit_id uuid NOT NULL REFERENCES units,
        period tstzrange NOT NULL,
        occupied tstzrange NOT NULL,
        state text NOT NULL DEFAULT 'reserved',
        live boolean NOT NULL GENERATED ALWAYS AS (state <> 'over') STORED,
        CONSTRAINT state_is_known CHECK (state IN ('reserved', 'out', 'cooling', 'over')),
        CONSTRAINT one_borrower_at_a_time EXCLUDE USING gist (unit_id WITH =, occupied WITH &&) WHERE (live)
    );
    CREATE INDEX claims_of_reservation ON claims (reservation_id);
    CREATE INDEX claims_cooling ON claims (upper(occupied)) WHERE state = 'cooling';
"""

QUESTIONS = """
    -- What keeps a unit from being lent for `wanted`, and how long it is occupied by that. The one predicate of the
    -- calendar: half-open; the gap between two loans is the greater of the buffer that the earlier one was booked with
    -- and the item's present one, counted once; a thing that is out and late is occupied until now.
    -- Being a plain query that is STABLE, it is inlined and uses the constraint's index.
    CREATE FUNCTION engagements(of_unit uuid, wanted tstzrange, buffer interval)
        RETURNS TABLE (claim_id bigint, reservation_id uuid, state text, span tstzrange)
        LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT c.id, c.reservation_id, c.state, e.span
        FROM claims c
        CROSS JOIN LATERAL (SELECT tstzrange(lower(c.occupied), greatest(
            upper(c.occupied),
            upper(c.period) + buffer,
            CASE WHEN c.state = 'out' THEN app_now() + buffer END)) AS span) e
        WHERE c.unit_id = of_unit AND c.live
            -- What the index can answer: a superset. Only what touches the present may be late, however old it is.
            AND c.occupied && tstzrange(
                CASE WHEN lower(wanted) > app_now() + buffer THEN lower(wanted) - buffer END, upper(wanted) + buffer)
            AND e.span && tstzrange(lower(wanted), upper(wanted) + buffer);
    END;

    -- Units that are free for all of `wanted`.
    CREATE FUNCTION free_units(of_item uuid, wanted tstzrange, buffer interval) RETURNS TABLE (unit_id uuid)
        LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT u.id FROM units u
        WHERE u.item_id = of_item AND u.retired_at IS NULL
            AND NOT EXISTS (SELECT FROM engagements(u.id, wanted, buffer));
    END;

    -- How many units can be lent for all of `wanted`, if need be after moving other reservations between units: all,
    -- but for the most that are ever occupied at once.
    CREATE FUNCTION room(of_item uuid, wanted tstzrange, buffer interval) RETURNS TABLE (units bigint)
        LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT (SELECT count(u.id) FROM units u WHERE u.item_id = of_item AND u.retired_at IS NULL)
            - coalesce(max(depth.units), 0)
        FROM (
            SELECT sum(edge.step) OVER (ORDER BY edge.at, edge.step) AS units
            FROM (
                -- A unit counts once, also where a longer buffer makes two of its loans overlap.
                SELECT unnest(range_agg(e.span)) AS span
                FROM units u CROSS JOIN LATERAL engagements(u.id, wanted, buffer) e
                WHERE u.item_id = of_item AND u.retired_at IS NULL
                GROUP BY u.id) AS taken
            CROSS JOIN LATERAL (VALUES (lower(taken.span), 1), (upper(taken.span), -1)) AS edge (at, step)) AS depth;
    END;

    -- Great-circle distance in kilometres.
    CREATE FUNCTION km_between(a point, b point) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 12742.0176 * asin(sqrt(least(1,
        sin(radians(b[1] - a[1]) / 2) ^ 2
        + cos(radians(a[1])) * cos(radians(b[1])) * sin(radians(b[0] - a[0]) / 2) ^ 2)));
"""


def downgrade() -> None:
    """There is nothing before this."""
    raise NotImplementedError
