"""From the services' published views into source.duckdb: what has changed, and what was deleted.

`rows` reads a view, `people` takes the members out of it, `cursors` knows from where to read on, `load` hands it to
dlt, `reconcile` compares all of it with the services' own counts and sums.
"""
