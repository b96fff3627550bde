-- A period in which an owner did not or does not lend an item, in days.
SELECT CAST(b.id AS UUID) AS blackout, CAST(b.item_id AS UUID) AS item, CAST(b.starts_at AS DATE) AS first_on, CAST(b.ends_at AS DATE) AS last_on
FROM source.blackouts b;

-- check: a blackout is there once
SELECT blackout FROM fact_blackout GROUP BY blackout HAVING COUNT(1) > 1;
