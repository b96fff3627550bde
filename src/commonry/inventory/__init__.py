"""Items and the calendar: what can be borrowed, and when.

Owns: categories, items with their terms, units (the physical copies of an item), blackouts, reservations and claims.

A reservation is a booking's claim of some units for a period; its id is the booking's id.

    held → confirmed → in_use → released        held, confirmed → released

Held ones expire by the database's clock. Released is for good: the row stays as a tombstone, so that a hold that
arrives after its own release is refused. What a reservation lays on each unit is a claim: the period and the buffer
after it.

Invariants:
  no unit is claimed twice at a time (`one_borrower_at_a_time`, an exclusion constraint: it alone decides every race);
  what the calendar shows as free can be booked: reservations are moved between units until pickup if that makes room;
  a blackout or a smaller quantity never silently breaks a reservation;
  strangers see free and busy, never why, and a place to about 100 m.

How to read it: `store/calendar.py` is a reservation's life, `store/room.py` makes room, `rules/calendar.py` is the
arithmetic of both; the constraint, and the questions the database answers, are in `migrations/0001_inventory.py`.
"""
