-- An item: on how many of the days on which it was offered it was lent, in all and over the last 90 days, and how it fared.
-- Days on which its owner did not lend it are no days on which it was offered.
-- order: days_lent DESC, item
SELECT i.item, i.title, i.category, i.place, i.units, i.offered, i.listed_on, i.removed_on,
    i.units * GREATEST(s.days - COALESCE(c.closed, 0), 0) AS days_offered,
    COALESCE(l.days_lent, 0) AS days_lent,
    CASE WHEN i.units * (s.days - COALESCE(c.closed, 0)) > 0
        THEN ROUND(LEAST(1.0, COALESCE(l.days_lent, 0) / (1.0 * i.units * (s.days - COALESCE(c.closed, 0)))), 4) END AS utilisation,
    COALESCE(l.days_lent_90, 0) AS days_lent_90,
    COALESCE(b.loans, 0) AS loans, b.last_lent_on, COALESCE(b.late, 0) AS late, COALESCE(b.damaged, 0) AS damaged,
    CASE WHEN i.rating_count > 0 THEN ROUND(i.rating_sum / (1.0 * i.rating_count), 2) END AS average_stars, i.rating_count
FROM dim_item i
JOIN (
    SELECT item, GREATEST(
        DATE_DIFF('day', listed_on, COALESCE(removed_on, (SELECT CAST(as_of AS DATE) FROM build))) + 1, 0) AS days
    FROM dim_item) AS s ON s.item = i.item
LEFT JOIN (
    SELECT o.item, COUNT(DISTINCT d.day) AS closed
    FROM fact_blackout x
    JOIN dim_item o ON o.item = x.item
    JOIN dim_date d ON d.day >= x.first_on AND d.day <= x.last_on
    WHERE d.day >= o.listed_on AND d.day <= COALESCE(o.removed_on, (SELECT CAST(as_of AS DATE) FROM build))
    GROUP BY o.item) AS c ON c.item = i.item
LEFT JOIN (
    SELECT f.item, SUM(LEAST(f.units_lent, GREATEST(u.units, 1))) AS days_lent,
        SUM(CASE WHEN f.day > (SELECT CAST(as_of AS DATE) - INTERVAL '90' DAY FROM build)
            THEN LEAST(f.units_lent, GREATEST(u.units, 1)) ELSE 0 END) AS days_lent_90
    FROM fact_item_day f
    JOIN dim_item u ON u.item = f.item
    WHERE f.day <= (SELECT CAST(as_of AS DATE) FROM build) GROUP BY f.item) AS l ON l.item = i.item
LEFT JOIN (
    SELECT item, COUNT(1) AS loans, MAX(starts_on) AS last_lent_on,
        SUM(CASE WHEN days_late > 0 OR overdue THEN 1 ELSE 0 END) AS late,
        SUM(CASE WHEN is_damaged THEN 1 ELSE 0 END) AS damaged
    FROM fact_booking WHERE is_loan GROUP BY item) AS b ON b.item = i.item;

-- check: an item is there once
SELECT item FROM mart_utilisation GROUP BY item HAVING COUNT(1) > 1;

-- check: nothing is lent more than all the time
SELECT item FROM mart_utilisation WHERE utilisation < 0 OR utilisation > 1;
