-- An item, also one that was taken away; without its owner.
SELECT CAST(i.id AS UUID) AS item, i.title, i.category,
    CONCAT(CAST(ROUND(i.lat, 2) AS VARCHAR), ',', CAST(ROUND(i.lon, 2) AS VARCHAR)) AS place,
    i.condition, i.price_amount, i.price_currency, i.price_per, i.booking_mode, i.handover, i.offered,
    i.rating_sum, i.rating_count, CAST(i.created_at AS DATE) AS listed_on, CAST(i.deleted_at AS DATE) AS removed_on,
    COALESCE(u.units, 0) AS units
FROM source.items i
LEFT JOIN (
    SELECT item_id, COUNT(1) AS units FROM source.units WHERE retired_at IS NULL GROUP BY item_id) AS u ON u.item_id = i.id;

-- check: an item is there once
SELECT item FROM dim_item GROUP BY item HAVING COUNT(1) > 1;

-- check: every item is there
SELECT id FROM source.items WHERE CAST(id AS UUID) NOT IN (SELECT item FROM dim_item);
