-- What was asked for in an hour, and how often in vain. Nobody knows by whom.
SELECT s.hour, s.words, s.category, s.dated, s.asked, s.unanswered
FROM source.searches s;

-- check: no more in vain than asked
SELECT words FROM fact_search WHERE unanswered > asked;
