-- What the warehouse may read of inventory: its data contract. Columns are only ever added.
CREATE SCHEMA IF NOT EXISTS published;

CREATE OR REPLACE VIEW published.categories AS
SELECT slug, name, parent FROM categories;

CREATE OR REPLACE VIEW published.items AS
SELECT id, owner_id, title, category, condition, place[1] AS lat, place[0] AS lon, time_zone,
    price_amount, price_currency, price_per, day_price, deposit_amount, deposit_currency,
    booking_mode, handover, cancellation, offered, rating_sum, rating_count, created_at, updated_at, deleted_at
FROM items;

CREATE OR REPLACE VIEW published.units AS
SELECT id, item_id, label, retired_at FROM units;

CREATE OR REPLACE VIEW published.blackouts AS
SELECT id, item_id, lower(period) AS starts_at, upper(period) AS ends_at FROM blackouts;

CREATE OR REPLACE VIEW published.reservations AS
SELECT id, item_id, lower(period) AS starts_at, upper(period) AS ends_at, quantity, state, in_use_since, released_at
FROM reservations;
