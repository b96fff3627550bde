"""Money that moved, in numbers: what this process has written into the ledger, by what it meant.

Counted when the entry is committed, from its own lines, so that the metric and the ledger cannot disagree.
"""

from prometheus_client import Counter

from commonry.payments.rules import Draft

money_moved = Counter(
    "commonry_money_minor_total", "Money that moved, in minor units, by what the ledger calls it.", ["currency", "kind"]
)

KINDS = {
    ("authorise", "held"): "authorised",
    ("capture", "booking"): "captured",
    ("capture", "deposit"): "deposit_kept",
    ("release", "limit"): "released",
    ("refund", "borrower"): "refunded",
    ("payout", "owner"): "paid_out",
    ("payout", "platform"): "fee",
}
"""What it means when an entry of this kind gives to an account of this sort. Nothing else is counted."""


def seen_from_the_start(currency: str) -> None:
    """The counters are there before any money moves, in the currency that is usual here."""
    for kind in KINDS.values():
        money_moved.labels(currency, kind)


def count(*written: Draft) -> None:
    """These entries have been written."""
    for draft in written:
        for account, amount in draft.lines:
            kind = KINDS.get((draft.kind, account.partition(":")[0]))
            if kind and amount > 0:
                money_moved.labels(draft.currency, kind).inc(amount)
