-- A day on which an item was or will be lent, and how many of it. Days are those of the item's own time zone.
SELECT b.item, CAST(d.day AS DATE) AS day, SUM(b.quantity) AS units_lent, COUNT(1) AS loans
FROM fact_booking b
CROSS JOIN UNNEST(GENERATE_SERIES(b.starts_on, b.last_on, INTERVAL '1' DAY)) AS d(day)
WHERE b.is_booked
GROUP BY b.item, CAST(d.day AS DATE);

-- check: as many unit-days as the bookings have
SELECT 'days' AS what
FROM (SELECT COALESCE(SUM(units_lent), 0) AS here FROM fact_item_day) AS f
CROSS JOIN (
    SELECT COALESCE(SUM(quantity * (DATE_DIFF('day', starts_on, last_on) + 1)), 0) AS there
    FROM fact_booking WHERE is_booked) AS b
WHERE f.here <> b.there;
