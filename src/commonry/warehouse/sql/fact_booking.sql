-- A booking, with the time of each state. Whoever was erased is nobody: `borrower` or `lender` is empty then.
SELECT CAST(b.id AS UUID) AS booking, CAST(b.item_id AS UUID) AS item, m.borrower, o.lender, b.state, b.ending, b.problem, b.quantity, b.days,
    b.starts_on, b.last_on, b.starts_at, b.ends_at, b.created_at, b.requested_at, b.confirmed_at, b.picked_up_at,
    b.returned_at, b.completed_at, b.ended_at, b.total_amount, b.total_currency, b.refund_amount, b.deposit_amount,
    b.claim_amount, b.overdue,
    b.state IN ('confirmed', 'in_use', 'returned', 'completed') AS is_booked,
    b.state IN ('in_use', 'returned', 'completed') AS is_loan,
    b.disputed OR COALESCE(b.claim_amount, 0) > 0 AS is_damaged,
    CASE WHEN b.returned_at > b.ends_at THEN DATE_DIFF('day', CAST(b.ends_at AS DATE), CAST(b.returned_at AS DATE))
        ELSE 0 END AS days_late
FROM source.bookings b
LEFT JOIN source.members m ON m.borrower = b.borrower AND m.erased_at IS NULL
LEFT JOIN source.members o ON o.lender = b.lender AND o.erased_at IS NULL;

-- check: a booking is there once
SELECT booking FROM fact_booking GROUP BY booking HAVING COUNT(1) > 1;

-- check: every booking is there
SELECT 'bookings' AS what FROM (SELECT COUNT(1) AS here FROM fact_booking) AS f
CROSS JOIN (SELECT COUNT(1) AS there FROM source.bookings) AS s WHERE f.here <> s.there;

-- check: nobody who was erased is named
SELECT f.booking FROM fact_booking f
JOIN source.members s ON s.borrower = f.borrower OR s.lender = f.lender
WHERE s.erased_at IS NOT NULL;
