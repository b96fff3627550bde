-- An entry of the ledger in one currency: what it moved in each kind of account, in minor units.
SELECT CAST(l.booking_id AS UUID) AS booking, l.kind, l.made_at, l.currency, l.borrowers, l.owners, l.platform, l.rentals,
    l.deposits, l.held, l.limits
FROM source.ledger l;

-- check: every entry balances
SELECT booking FROM fact_ledger
WHERE borrowers + owners + platform + rentals + deposits <> 0 OR held + limits <> 0;

-- check: an entry is there once
SELECT id FROM source.ledger GROUP BY id HAVING COUNT(1) > 1;

-- check: every entry is there
SELECT 'entries' AS what FROM (SELECT COUNT(1) AS here FROM fact_ledger) AS f
CROSS JOIN (SELECT COUNT(1) AS there FROM source.ledger) AS s WHERE f.here <> s.there;
