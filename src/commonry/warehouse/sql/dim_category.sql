-- A category, and the one at the top of its branch.
SELECT c.slug AS category, c.name, c.parent, COALESCE(p.slug, c.slug) AS top
FROM source.categories c
LEFT JOIN source.categories p ON p.slug = c.parent;

-- check: a category is there once
SELECT category FROM dim_category GROUP BY category HAVING COUNT(1) > 1;
