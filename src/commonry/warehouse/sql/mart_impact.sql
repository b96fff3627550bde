-- A month and category: purchases that lending has made needless, what they would have cost and weighed on the climate.
-- Someone who borrows from a category counts once a year, in the month of their first loan, times the share of such
-- people who would have bought: factors and their sources are in impact.csv.
-- order: month DESC, category
SELECT l.month, l.category, l.loans,
    ROUND(COALESCE(n.people, 0) * f.share_who_would_buy, 2) AS purchases_avoided,
    CAST(ROUND(COALESCE(n.people, 0) * f.share_who_would_buy * f.price_minor) AS BIGINT) AS price_minor,
    f.currency, l.spent_minor,
    ROUND(COALESCE(n.people, 0) * f.share_who_would_buy * f.kg_co2e, 2) AS kg_co2e
FROM (
    SELECT CAST(DATE_TRUNC('month', CAST(b.starts_on AS DATE)) AS DATE) AS month, i.category, COUNT(1) AS loans,
        SUM(CASE WHEN b.total_currency = (SELECT MIN(currency) FROM factors)
            THEN COALESCE(b.total_amount, 0) - COALESCE(b.refund_amount, 0) ELSE 0 END) AS spent_minor
    FROM fact_booking b
    JOIN dim_item i ON i.item = b.item
    WHERE b.is_loan GROUP BY CAST(DATE_TRUNC('month', CAST(b.starts_on AS DATE)) AS DATE), i.category) AS l
JOIN dim_category c ON c.category = l.category
JOIN factors f ON f.category = CASE
    WHEN c.category IN (SELECT category FROM factors) THEN c.category
    WHEN c.top IN (SELECT category FROM factors) THEN c.top
    ELSE 'other' END
LEFT JOIN (
    SELECT month, category, COUNT(1) AS people
    FROM (
        SELECT b.borrower, i.category, CAST(DATE_TRUNC('month', CAST(MIN(b.starts_on) AS DATE)) AS DATE) AS month
        FROM fact_booking b
        JOIN dim_item i ON i.item = b.item
        WHERE b.is_loan AND b.borrower IS NOT NULL
        GROUP BY b.borrower, i.category, EXTRACT(YEAR FROM CAST(b.starts_on AS DATE))) AS firsts
    GROUP BY month, category) AS n ON n.month = l.month AND n.category = l.category;

-- check: no loan is left out
SELECT 'loans' AS what FROM (SELECT COALESCE(SUM(loans), 0) AS here FROM mart_impact) AS m
CROSS JOIN (
    SELECT COUNT(1) AS there FROM fact_booking b JOIN dim_item i ON i.item = b.item WHERE b.is_loan) AS f
WHERE m.here <> f.there;
