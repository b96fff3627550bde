"""Checks of our own, beside ruff, pyright and import-linter; CONTRIBUTING.md lists every rule.

`rules.py` reads the Python of `src/`, `migrations.py` hands the SQL of the migrations to squawk. `tests/lint/` plants a
violation of each.
"""
