-- An entry of the ledger in one currency: what it moved in each kind of account, in minor units.
SELECT l.id AS entry, l.booking_id AS booking, l.kind, l.made_at, l.currency, l.borrowers, l.owners, l.platform,
    l.rentals, l.deposits, l.held, l.limits
FROM source.ledger l;

-- check: every entry balances
SELECT entry FROM fact_ledger
WHERE borrowers + owners + platform + rentals + deposits <> 0 OR held + limits <> 0;

-- check: an entry is there once
SELECT entry FROM fact_ledger GROUP BY entry HAVING COUNT(1) > 1;
