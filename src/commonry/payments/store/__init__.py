"""Every SQL statement of payments: `payments` moves a payment from state to state, `ledger` writes and lists entries.

Whoever moves a payment says what it was moved from; a row that has meanwhile become something else is left alone, and
the answer is None. The entry that belongs to a movement is written in the same transaction.
"""
