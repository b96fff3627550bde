"""The saga: `engine` runs a booking row through the table of `rules/transitions.py`; `steps` is what each step does.

Without two-phase commit: every step is idempotent under the booking's id, every transition is one fenced UPDATE,
every undo leaves a tombstone.
"""
