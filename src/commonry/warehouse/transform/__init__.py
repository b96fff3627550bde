"""From source.duckdb to a new star.duckdb: one SELECT a table, each with its checks, which all hold or nothing changes.

`tables` reads the files in `sql/`, `build` runs them, `dialects` says them in another database's SQL.
"""
