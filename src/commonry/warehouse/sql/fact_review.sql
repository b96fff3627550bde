-- A review, without its words and without who wrote it.
SELECT CAST(r.id AS UUID) AS review, CAST(r.booking_id AS UUID) AS booking, CAST(r.item_id AS UUID) AS item, r.side, r.rating, r.published, r.created_at
FROM source.reviews r;

-- check: stars are one to five
SELECT review FROM fact_review WHERE rating < 1 OR rating > 5;
