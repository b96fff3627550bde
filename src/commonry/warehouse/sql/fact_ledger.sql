-- An entry of the ledger in one currency: what it moved in each kind of account, in minor units.
SELECT CAST(l.booking_id AS UUID) AS booking, l.kind, l.made_at, l.currency, l.borrowers, l.owners, l.platform, l.rentals,
    l.deposits, l.held, l.limits
FROM source.ledger l;

-- check: every entry balances
SELECT booking FROM fact_ledger
WHERE borrowers + owners + platform + rentals + deposits <> 0 OR held + limits <> 0;
