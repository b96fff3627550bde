-- What every service's database needs before its first published view: changes that are dated, deletes that are
-- remembered, and a role that may read the views and nothing else. A published version of this file never changes.

CREATE SCHEMA published;

-- Rows that are no more. Without them a reader who asks "what has changed since" would keep them for ever.
CREATE TABLE gone (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    view text NOT NULL,
    key text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX gone_by_change ON gone (changed_at);

-- The clock on the wall when the row was written, not when its transaction began, nor the present that a demo pretends
-- (app_now): of two writers of one row the later has the later date.
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END $$;

-- Arguments: the published view, and its column that names a row.
CREATE FUNCTION note_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO gone (view, key) VALUES (TG_ARGV[0], to_jsonb(OLD) ->> TG_ARGV[1]);
    RETURN NULL;
END $$;

CREATE VIEW published.gone AS SELECT id, view, key, changed_at FROM gone;

-- Lets the role `{database}_reader` read all views that are published by now, if the server has one; also one that
-- Zalando's operator made, which has a namespace and a dot before. Whoever makes the role later calls this again; a
-- migration that adds a view does so at its end.
CREATE FUNCTION admit_reader() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    reader text;
BEGIN
    FOR reader IN
        SELECT rolname FROM pg_roles WHERE regexp_replace(rolname, '^.*[.]', '') = current_database() || '_reader'
    LOOP
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), reader);
        EXECUTE format('GRANT USAGE ON SCHEMA published TO %I', reader);
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA published TO %I', reader);
    END LOOP;
    RETURN reader IS NOT NULL;
END $$;
