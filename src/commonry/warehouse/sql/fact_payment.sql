-- A payment: one for each booking and purpose.
SELECT CAST(p.id AS UUID) AS payment, CAST(p.booking_id AS UUID) AS booking, p.purpose, p.status, p.amount, p.captured, p.refunded, p.currency,
    p.paid_out, p.created_at
FROM source.payments p;

-- check: no more is given back than was taken
SELECT payment FROM fact_payment WHERE refunded > captured OR captured > amount;
