"""The agreement between a borrower and an owner, from the quote to the reviews.

Owns: quotes (frozen prices), bookings, their timeline, handover reports, reviews.

A booking is one row, and the row is the saga: `step` says where it stands in the table of `rules/transitions.py`,
`due` when it is to be looked at next, `holder` and `lease_until` who is working on it. The request that creates a
booking runs the steps at once; if its process dies, any other process' worker takes the row when the lease has run
out and goes on. Every step is idempotent under the booking's id at the service it calls, and every transition is one
guarded UPDATE.

States people see: pending → requested → confirmed → in_use → returned → completed; or failed, declined, expired,
cancelled, no_show. `overdue`, `disputed` and `at_risk` are flags beside the state.

Invariants: money is undone before the calendar (rule 18); a price is frozen before payment (15); nobody books their
own item (21); one review a side, double blind (19); what is over is never due again.
"""
