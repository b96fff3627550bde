-- What every service's database needs before its own tables. Applied by each service's first migration.

-- The time business rules see: the transaction's own, or the one a demo loader or test pretends (kit/clock.py).
CREATE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(nullif(current_setting('commonry.now', true), '')::timestamptz, now());

-- Answers already given, by Idempotency-Key (kit/idempotency.py). `answer` stays null while the first call is at work.
CREATE TABLE idempotency_keys (
    scope text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint,
    headers jsonb,
    answer bytea,
    made_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (made_at);

-- Events on their way to other services (kit/outbox.py): one row per event and receiver, gone when delivered.
CREATE TABLE outbox (
    id uuid PRIMARY KEY,
    receiver text NOT NULL,
    topic text NOT NULL,
    event jsonb NOT NULL,
    happened_at timestamptz NOT NULL DEFAULT app_now(),
    due timestamptz NOT NULL DEFAULT now(),
    holder text,
    lease_until timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    trouble text
);
CREATE INDEX outbox_by_due ON outbox (due);

-- Events already applied here, so that a second delivery changes nothing.
CREATE TABLE events_seen (
    id uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT now()
);
