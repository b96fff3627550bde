-- What people searched for in the last 90 days at least five times, and how often there was nothing.
-- order: unanswered DESC, asked DESC, words, category
SELECT words, category, SUM(asked) AS asked, SUM(unanswered) AS unanswered,
    ROUND(SUM(unanswered) / (1.0 * SUM(asked)), 4) AS share_unanswered,
    SUM(CASE WHEN dated THEN asked ELSE 0 END) AS asked_for_dates,
    CAST(MAX(hour) AS DATE) AS last_asked_on
FROM fact_search
WHERE CAST(hour AS DATE) > (SELECT CAST(as_of AS DATE) - INTERVAL '90' DAY FROM build)
GROUP BY words, category
HAVING SUM(asked) >= 5;

-- check: nothing that was asked for less than five times
SELECT words FROM mart_demand WHERE asked < 5;
