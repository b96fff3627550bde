"""Commonry: a self-hosted platform on which a community shares things.

Start reading at `run.py` (which services run where), then follow a booking: `gateway` → `bookings/api.py` →
`bookings/saga.py` → `bookings/store.py` → `bookings/migrations`.
"""
