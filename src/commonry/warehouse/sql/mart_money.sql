-- A month and currency, in minor units, from the ledger: what each kind of entry moved. Equal to the ledger to the cent.
-- order: month DESC, currency, kind
SELECT CAST(DATE_TRUNC('month', CAST(made_at AS DATE)) AS DATE) AS month, currency, kind, COUNT(1) AS entries,
    SUM(borrowers) AS borrowers, SUM(owners) AS owners, SUM(platform) AS platform, SUM(rentals) AS rentals,
    SUM(deposits) AS deposits, SUM(held) AS held
FROM fact_ledger
GROUP BY CAST(DATE_TRUNC('month', CAST(made_at AS DATE)) AS DATE), currency, kind;

-- check: equal to the ledger, to the cent
SELECT m.currency
FROM (
    SELECT currency, SUM(borrowers) AS borrowers, SUM(owners) AS owners, SUM(platform) AS platform, SUM(entries) AS entries
    FROM mart_money GROUP BY currency) AS m
FULL JOIN (
    SELECT currency, SUM(borrowers) AS borrowers, SUM(owners) AS owners, SUM(platform) AS platform, COUNT(1) AS entries
    FROM source.ledger GROUP BY currency) AS l ON l.currency = m.currency
WHERE m.currency IS NULL OR l.currency IS NULL OR m.borrowers <> l.borrowers OR m.owners <> l.owners
    OR m.platform <> l.platform OR m.entries <> l.entries;

-- check: money neither comes nor goes
SELECT currency FROM mart_money GROUP BY currency
HAVING SUM(borrowers) + SUM(owners) + SUM(platform) + SUM(rentals) + SUM(deposits) <> 0;
