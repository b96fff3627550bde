"""What an export has of payments: payments, refunds and the whole ledger, in minor units.

No means of payment, and nothing of the sandbox's own book. The provider's reference is there, to find a payment again
in the provider's statements; it moves no money.
"""

from commonry.kit.tables import Table

TABLES = (
    Table(
        "payments",
        "What was set aside and taken, a row for each booking and purpose.",
        """
        SELECT id, booking_id, purpose, status, amount, captured, refunded, currency, paid_out, payer, payee, provider,
            provider_ref, created_at, updated_at
        FROM payments ORDER BY id""",
        {
            "id": "The payment.",
            "booking_id": "For which booking.",
            "purpose": "`rental`, `deposit`, `late_fee` or `extension`.",
            "status": "`authorising`, `authorised`, `captured`, `voided` or `declined`.",
            "amount": "What was or is set aside, in minor units.",
            "captured": "What was taken of it.",
            "refunded": "What was given back of that.",
            "currency": "Of which currency.",
            "paid_out": "Whether the owner has their share.",
            "payer": "Who pays; none where it was given up before it began.",
            "payee": "Who is paid.",
            "provider": "The payment provider.",
            "provider_ref": "What the provider calls it.",
            "created_at": "When it began.",
            "updated_at": "When this was last changed.",
        },
        refers={"booking_id": "bookings.id", "payer": "members.id", "payee": "members.id"},
    ),
    Table(
        "refunds",
        "What was given back, and why.",
        """
        SELECT r.booking_id, r.purpose, r.reason, r.amount, p.currency, r.from_payee, r.asked_at, r.done_at
        FROM refunds r JOIN payments p ON p.booking_id = r.booking_id AND p.purpose = r.purpose
        ORDER BY r.booking_id, r.purpose, r.reason""",
        {
            "booking_id": "Of which booking.",
            "purpose": "Of which of its payments.",
            "reason": "Why.",
            "amount": "How much, in minor units.",
            "currency": "Of which currency.",
            "from_payee": "Whether the owner gave it, and not the platform.",
            "asked_at": "When it was asked for.",
            "done_at": "When the provider had done it.",
        },
        key=("booking_id", "purpose", "reason"),
        refers={"booking_id": "bookings.id"},
    ),
    Table(
        "ledger",
        "The double-entry ledger: every line of every entry. The lines of an entry sum to zero in each currency.",
        """
        SELECT e.id AS entry_id, e.booking_id, e.kind, e.cause, e.made_at, p.account, p.currency, p.amount
        FROM entries e JOIN postings p ON p.entry_id = e.id
        ORDER BY e.id, p.account, p.currency""",
        {
            "entry_id": "The entry that the line is of.",
            "booking_id": "For which booking, if for one.",
            "kind": "What the entry is about.",
            "cause": "What brought it about; no two entries have the same.",
            "made_at": "When it was made.",
            "account": "Which account: `borrower:…` and `owner:…` are members'.",
            "currency": "Of which currency.",
            "amount": "What goes into the account, in minor units; out of it when negative.",
        },
        key=("entry_id", "account", "currency"),
        refers={"booking_id": "bookings.id"},
    ),
)
