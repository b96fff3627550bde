-- A review, without its words and without who wrote it.
SELECT r.id AS review, r.booking_id AS booking, r.item_id AS item, r.side, r.rating, r.published, r.created_at
FROM source.reviews r;

-- check: stars are one to five
SELECT review FROM fact_review WHERE rating < 1 OR rating > 5;
