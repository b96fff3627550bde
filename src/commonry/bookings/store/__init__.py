"""Every SQL statement of the bookings service: `bookings` (the row that is the saga), `quotes`, `reviews`, `lists`.

Nothing outside this folder knows a table's name. Functions take an open transaction and return contract types.
"""
