"""What an export has of bookings: the agreements with their timelines, handovers and reviews.

No quotes, which are over within the hour; no means of payment; and nothing of how a saga is being worked on.
"""

from commonry.kit.tables import Table

TABLES = (
    Table(
        "bookings",
        "Every booking, with the terms and prices that were agreed.",
        """
        SELECT id, item_id, borrower_id, owner_id, starts_at, ends_at, quantity, state, ending,
            (total ->> 'amount')::bigint AS total_amount, total ->> 'currency' AS total_currency,
            (deposit ->> 'amount')::bigint AS deposit_amount, deposit ->> 'currency' AS deposit_currency,
            deposit_state, lines, terms, tiers, refund, claim, problem, message, step, overdue, disputed, at_risk,
            answer_by, picked_up_at, returned_at, completed_at, created_at, updated_at
        FROM bookings ORDER BY id""",
        {
            "id": "The booking.",
            "item_id": "What was booked.",
            "borrower_id": "By whom.",
            "owner_id": "From whom.",
            "starts_at": "Begin of the loan.",
            "ends_at": "Its end, which is the first moment after it.",
            "quantity": "How many units.",
            "state": "What people see: `pending`, `requested`, `confirmed`, `in_use`, `returned`, `completed`,"
            " `failed`, `declined`, `expired`, `cancelled`, `no_show`.",
            "ending": "The state that it is on its way to while it is being undone.",
            "total_amount": "The price, in minor units; none when it is free.",
            "total_currency": "Of which currency.",
            "deposit_amount": "The deposit, in minor units.",
            "deposit_currency": "Of which currency.",
            "deposit_state": "What has become of it.",
            "lines": "How the price came about, line by line.",
            "terms": "The item's terms as they were when it was booked.",
            "tiers": "What a cancellation gave back, by when.",
            "refund": "What was given back.",
            "claim": "What the owner said of damage, and what came of it.",
            "problem": "Why it failed, if it did.",
            "message": "What the borrower wrote to the owner.",
            "step": "Where its saga stands; `over` when there is nothing left to do.",
            "overdue": "Whether it is late.",
            "disputed": "Whether there is a dispute.",
            "at_risk": "Whether a loan before it is late.",
            "answer_by": "Until when the owner may answer.",
            "picked_up_at": "When it was picked up.",
            "returned_at": "When it came back.",
            "completed_at": "When everything was settled.",
            "created_at": "When it was booked.",
            "updated_at": "When this was last changed.",
        },
        refers={"item_id": "items.id", "borrower_id": "members.id", "owner_id": "members.id"},
    ),
    Table(
        "timeline",
        "What happened to each booking, in order.",
        "SELECT id, booking_id, at, event, text, by_id, state FROM timeline ORDER BY id",
        {
            "id": "Its place in the order.",
            "booking_id": "To which booking.",
            "at": "When.",
            "event": "What.",
            "text": "The same in plain words.",
            "by_id": "Who did it; none when nobody did.",
            "state": "The state of the booking afterwards.",
        },
        refers={"booking_id": "bookings.id", "by_id": "members.id"},
    ),
    Table(
        "handovers",
        "What the parties wrote down when a thing was picked up and brought back.",
        """
        SELECT booking_id, kind, by_id, at, condition, note, photos
        FROM handovers ORDER BY booking_id, kind, by_id""",
        {
            "booking_id": "Of which booking.",
            "kind": "`pickup` or `return`.",
            "by_id": "Who wrote it.",
            "at": "When.",
            "condition": "How the thing was.",
            "note": "What they wrote.",
            "photos": "Names of their pictures, which are files.",
        },
        key=("booking_id", "kind", "by_id"),
        refers={"booking_id": "bookings.id", "by_id": "members.id"},
    ),
    Table(
        "handover_photos",
        "Photos that the parties took at handovers; the pictures are in the folder `files`.",
        "SELECT id, booking_id, by_id, width, height, added_at FROM handover_photos ORDER BY id",
        {
            "id": "The photo: its files are `files/handovers/` and this, one for each size.",
            "booking_id": "Of which booking.",
            "by_id": "Who took it.",
            "width": "Pixels of the largest size.",
            "height": "Pixels of the largest size.",
            "added_at": "When it was added.",
        },
        refers={"booking_id": "bookings.id", "by_id": "members.id"},
    ),
    Table(
        "messages",
        "What the parties of a booking wrote to each other.",
        "SELECT id, booking_id, author_id, at, text FROM messages ORDER BY id",
        {
            "id": "The message.",
            "booking_id": "Of which booking.",
            "author_id": "Who wrote it.",
            "at": "When.",
            "text": "The words; empty if the author was erased.",
        },
        refers={"booking_id": "bookings.id", "author_id": "members.id"},
    ),
    Table(
        "reviews",
        "What the parties wrote of each other, published or not yet.",
        """
        SELECT id, booking_id, side, item_id, author_id, subject_id, rating, text, published, publish_at, created_at
        FROM reviews ORDER BY id""",
        {
            "id": "The review.",
            "booking_id": "Of which booking.",
            "side": "Who wrote it: `borrower` or `owner`.",
            "item_id": "What was lent.",
            "author_id": "Who wrote it.",
            "subject_id": "Of whom.",
            "rating": "One to five stars.",
            "text": "The words.",
            "published": "Whether others see it.",
            "publish_at": "When they see it at the latest.",
            "created_at": "When it was written.",
        },
        refers={
            "booking_id": "bookings.id",
            "item_id": "items.id",
            "author_id": "members.id",
            "subject_id": "members.id",
        },
    ),
)
