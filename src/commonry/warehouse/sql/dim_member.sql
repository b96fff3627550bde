-- A member who was not erased, by the pseudonym they borrow under.
SELECT borrower, status, manages, CAST(DATE_TRUNC('month', CAST(created_at AS DATE)) AS DATE) AS joined_in
FROM source.members
WHERE erased_at IS NULL;

-- check: a member is there once
SELECT borrower FROM dim_member GROUP BY borrower HAVING COUNT(1) > 1;

-- check: nobody who was erased is there
SELECT m.borrower FROM dim_member m JOIN source.members s ON s.borrower = m.borrower WHERE s.erased_at IS NOT NULL;
