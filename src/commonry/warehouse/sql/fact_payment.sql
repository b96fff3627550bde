-- A payment: one for each booking and purpose.
SELECT p.id AS payment, p.booking_id AS booking, p.purpose, p.status, p.amount, p.captured, p.refunded, p.currency,
    p.paid_out, p.created_at
FROM source.payments p;

-- check: no more is given back than was taken
SELECT payment FROM fact_payment WHERE refunded > captured OR captured > amount;
