-- A day on which an item was or will be lent, and how many of it. Days are those of the item's own time zone.
SELECT b.item, d.day, SUM(b.quantity) AS units_lent, COUNT(1) AS loans
FROM fact_booking b
JOIN dim_date d ON d.day >= b.starts_on AND d.day <= b.last_on
WHERE b.is_booked
GROUP BY b.item, d.day;

-- check: as many unit-days as the bookings have
SELECT 'days' AS what
FROM (SELECT COALESCE(SUM(units_lent), 0) AS here FROM fact_item_day) AS f
CROSS JOIN (
    SELECT COALESCE(SUM(quantity * (DATE_DIFF('day', starts_on, last_on) + 1)), 0) AS there
    FROM fact_booking WHERE is_booked) AS b
WHERE f.here <> b.there;
