-- About a square kilometre in which items are.
SELECT place, MIN(label) AS label, COUNT(1) AS items
FROM (
    SELECT CONCAT(CAST(ROUND(lat, 2) AS VARCHAR), ',', CAST(ROUND(lon, 2) AS VARCHAR)) AS place, place_label AS label
    FROM source.items) AS placed
GROUP BY place;

-- check: every item is somewhere
SELECT item FROM dim_item WHERE place NOT IN (SELECT place FROM dim_place);
