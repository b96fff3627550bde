"""Mechanisms every service stands on: HTTP, SQL, caching, leases, telemetry.

Nothing here knows what is shared or by whom: a word of the domain in this folder fails `make lint`.
Services import these modules one by one; this file exports nothing.
"""
