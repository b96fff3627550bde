-- Loans that began in a month, by category: late and damaged. Where fewer than five people borrowed, only how many loans.
-- order: month DESC, category
SELECT month, category, loans, CASE WHEN people >= 5 THEN late END AS late,
    CASE WHEN people >= 5 THEN days_late END AS days_late, CASE WHEN people >= 5 THEN damaged END AS damaged
FROM (
    SELECT CAST(DATE_TRUNC('month', CAST(b.starts_on AS DATE)) AS DATE) AS month, i.category, COUNT(1) AS loans,
        COUNT(DISTINCT b.borrower) AS people,
        SUM(CASE WHEN b.days_late > 0 OR b.overdue THEN 1 ELSE 0 END) AS late, SUM(b.days_late) AS days_late,
        SUM(CASE WHEN b.is_damaged THEN 1 ELSE 0 END) AS damaged
    FROM fact_booking b
    JOIN dim_item i ON i.item = b.item
    WHERE b.is_loan
    GROUP BY CAST(DATE_TRUNC('month', CAST(b.starts_on AS DATE)) AS DATE), i.category) AS counted;

-- check: no more late or damaged than lent
SELECT month FROM mart_late WHERE late > loans OR damaged > loans;
