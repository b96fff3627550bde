-- One row: all of it, as of now.
SELECT b.as_of,
    (SELECT COUNT(1) FROM dim_member WHERE status = 'active') AS members,
    (SELECT COUNT(1) FROM dim_item WHERE offered) AS items_offered,
    (SELECT COALESCE(SUM(units), 0) FROM dim_item WHERE offered) AS units_offered,
    (SELECT COUNT(1) FROM fact_booking) AS bookings,
    (SELECT COUNT(1) FROM fact_booking WHERE is_loan) AS loans,
    (SELECT COUNT(1) FROM fact_booking WHERE state = 'in_use') AS out_now,
    (SELECT COUNT(DISTINCT borrower) FROM fact_booking WHERE is_loan) AS borrowers,
    (SELECT COUNT(DISTINCT lender) FROM fact_booking WHERE is_loan) AS lenders,
    (SELECT COUNT(DISTINCT item) FROM fact_booking WHERE is_loan) AS items_lent,
    (SELECT COALESCE(SUM(days * quantity), 0) FROM fact_booking WHERE is_loan) AS days_lent
FROM build b;

-- check: it is one row
SELECT COUNT(1) AS n FROM mart_totals HAVING COUNT(1) <> 1;
