-- A month: who joined, what was listed, asked for, lent and brought back. Bookings count in the month they were made in.
-- order: month DESC
SELECT d.month,
    COALESCE(m.joined, 0) AS members_joined,
    COALESCE(i.listed, 0) AS items_listed,
    COALESCE(b.bookings, 0) AS bookings,
    COALESCE(b.loans, 0) AS loans,
    COALESCE(b.cancelled, 0) AS cancelled,
    COALESCE(b.unanswered, 0) AS declined_or_expired,
    COALESCE(b.failed, 0) AS failed,
    COALESCE(b.no_show, 0) AS no_show,
    COALESCE(b.days_lent, 0) AS days_lent,
    COALESCE(b.items_lent, 0) AS items_lent,
    CASE WHEN b.borrowers >= 5 THEN b.borrowers END AS borrowers,
    CASE WHEN b.lenders >= 5 THEN b.lenders END AS lenders,
    r.stars AS average_stars
FROM (SELECT DISTINCT month FROM dim_date WHERE day <= (SELECT CAST(as_of AS DATE) FROM build)) AS d
LEFT JOIN (SELECT joined_in AS month, COUNT(1) AS joined FROM dim_member GROUP BY joined_in) AS m ON m.month = d.month
LEFT JOIN (
    SELECT CAST(DATE_TRUNC('month', CAST(listed_on AS DATE)) AS DATE) AS month, COUNT(1) AS listed
    FROM dim_item GROUP BY CAST(DATE_TRUNC('month', CAST(listed_on AS DATE)) AS DATE)) AS i ON i.month = d.month
LEFT JOIN (
    SELECT CAST(DATE_TRUNC('month', CAST(created_at AS DATE)) AS DATE) AS month, COUNT(1) AS bookings,
        SUM(CASE WHEN is_loan THEN 1 ELSE 0 END) AS loans,
        SUM(CASE WHEN state = 'cancelled' THEN 1 ELSE 0 END) AS cancelled,
        SUM(CASE WHEN state IN ('declined', 'expired') THEN 1 ELSE 0 END) AS unanswered,
        SUM(CASE WHEN state = 'failed' THEN 1 ELSE 0 END) AS failed,
        SUM(CASE WHEN state = 'no_show' THEN 1 ELSE 0 END) AS no_show,
        SUM(CASE WHEN is_loan THEN days * quantity ELSE 0 END) AS days_lent,
        COUNT(DISTINCT CASE WHEN is_loan THEN item END) AS items_lent,
        COUNT(DISTINCT CASE WHEN is_loan THEN borrower END) AS borrowers,
        COUNT(DISTINCT CASE WHEN is_loan THEN lender END) AS lenders
    FROM fact_booking GROUP BY CAST(DATE_TRUNC('month', CAST(created_at AS DATE)) AS DATE)) AS b ON b.month = d.month
LEFT JOIN (
    SELECT CAST(DATE_TRUNC('month', CAST(created_at AS DATE)) AS DATE) AS month, ROUND(AVG(rating), 2) AS stars
    FROM fact_review WHERE published
    GROUP BY CAST(DATE_TRUNC('month', CAST(created_at AS DATE)) AS DATE) HAVING COUNT(1) >= 5) AS r ON r.month = d.month;

-- check: no booking is left out
SELECT 'bookings' AS what FROM (SELECT COALESCE(SUM(bookings), 0) AS here FROM mart_overview) AS o
CROSS JOIN (SELECT COUNT(1) AS there FROM fact_booking) AS f WHERE o.here <> f.there;
