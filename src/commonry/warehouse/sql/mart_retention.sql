-- Of the members whose first loan was in a month, how many borrowed again so many months later. No group of fewer than five.
-- order: cohort DESC, months_later
SELECT c.cohort, c.borrowers, a.months_later, CASE WHEN a.active >= 5 THEN a.active END AS active,
    CASE WHEN a.active >= 5 THEN ROUND(a.active / (1.0 * c.borrowers), 4) END AS share
FROM (
    SELECT cohort, COUNT(1) AS borrowers
    FROM (
        SELECT borrower, CAST(DATE_TRUNC('month', CAST(MIN(starts_on) AS DATE)) AS DATE) AS cohort
        FROM fact_booking WHERE is_loan AND borrower IS NOT NULL GROUP BY borrower) AS firsts
    GROUP BY cohort HAVING COUNT(1) >= 5) AS c
JOIN (
    SELECT f.cohort, DATE_DIFF('month', f.cohort, CAST(DATE_TRUNC('month', CAST(b.starts_on AS DATE)) AS DATE)) AS months_later,
        COUNT(DISTINCT b.borrower) AS active
    FROM fact_booking b
    JOIN (
        SELECT borrower, CAST(DATE_TRUNC('month', CAST(MIN(starts_on) AS DATE)) AS DATE) AS cohort
        FROM fact_booking WHERE is_loan AND borrower IS NOT NULL GROUP BY borrower) AS f ON f.borrower = b.borrower
    WHERE b.is_loan
    GROUP BY f.cohort, DATE_DIFF('month', f.cohort, CAST(DATE_TRUNC('month', CAST(b.starts_on AS DATE)) AS DATE))) AS a
    ON a.cohort = c.cohort;

-- check: no group is smaller than five, and nobody is active who was never there
SELECT cohort FROM mart_retention WHERE borrowers < 5 OR active < 5 OR active > borrowers;
