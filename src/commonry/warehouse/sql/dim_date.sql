-- A day, from the first that anything happened on to a year ahead, or the last that is booked.
SELECT CAST(d AS DATE) AS day, CAST(DATE_TRUNC('month', CAST(d AS DATE)) AS DATE) AS month,
    EXTRACT(YEAR FROM CAST(d AS DATE)) AS year
FROM (
    SELECT UNNEST(GENERATE_SERIES(first_day, last_day, INTERVAL '1' DAY)) AS d
    FROM (
        SELECT LEAST(
                COALESCE((SELECT MIN(starts_on) FROM source.bookings), CAST(as_of AS DATE)),
                COALESCE((SELECT CAST(MIN(created_at) AS DATE) FROM source.members), CAST(as_of AS DATE)),
                COALESCE((SELECT CAST(MIN(created_at) AS DATE) FROM source.items), CAST(as_of AS DATE)),
                CAST(as_of AS DATE)) AS first_day,
            GREATEST(
                COALESCE((SELECT MAX(last_on) FROM source.bookings), CAST(as_of AS DATE)),
                CAST(CAST(as_of AS DATE) + INTERVAL '366' DAY AS DATE)) AS last_day
        FROM build) AS bounds) AS days;

-- check: no day is missing
SELECT MIN(day) AS first_day FROM dim_date
HAVING DATE_DIFF('day', MIN(day), MAX(day)) + 1 <> COUNT(1);
