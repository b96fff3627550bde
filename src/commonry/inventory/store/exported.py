"""What an export has of inventory: items as the API shows them to their owners, their units, and the calendar.

Deleted items are among them, because bookings speak of them; `for_import` has only those that are still there.
"""

from typing import LiteralString

from commonry.kit.tables import Table

_ITEM: LiteralString = """
    SELECT i.id, i.owner_id, i.source_ref, i.title, i.description, i.category, i.condition,
        json_build_object('lat', i.lat, 'lon', i.lon, 'label', i.place_label, 'address', i.address) AS location,
        i.time_zone,
        CASE WHEN i.price_amount IS NOT NULL THEN json_build_object(
            'amount', i.price_amount, 'currency', i.price_currency, 'per', i.price_per) END AS price,
        CASE WHEN i.deposit_amount IS NOT NULL THEN json_build_object(
            'amount', i.deposit_amount, 'currency', i.deposit_currency) END AS deposit,
        (SELECT count(u.id) FROM units u WHERE u.item_id = i.id AND u.retired_at IS NULL) AS quantity,
        i.buffer_minutes, i.min_hours, i.max_hours, i.notice_hours, i.horizon_days, i.booking_mode, i.handover,
        i.cancellation, i.status, i.owner_suspended, i.version, i.rating_sum, i.rating_count,
        i.created_at, i.updated_at, i.deleted_at
    FROM items i"""

ITEMS = Table(
    "items",
    "Everything that is or was shared, as its owner sees it.",
    _ITEM + " ORDER BY i.id",
    {
        "id": "The item.",
        "owner_id": "Whose it is.",
        "source_ref": "Its name in its owner's own list, if it was imported from one.",
        "title": "What it is called.",
        "description": "What its owner says of it.",
        "category": "The category's slug.",
        "condition": "`new`, `good` or `worn`.",
        "location": "Where it is: `lat`, `lon`, `label`, and `address` for who has booked it.",
        "time_zone": "The IANA time zone in which its days are counted.",
        "price": "`amount` in minor units of `currency` for each started `per`; none if it is free.",
        "deposit": "`amount` in minor units of `currency`, if any.",
        "quantity": "How many there are of it.",
        "buffer_minutes": "How long it rests between two loans.",
        "min_hours": "The shortest loan.",
        "max_hours": "The longest loan.",
        "notice_hours": "How long before its begin a loan must be booked.",
        "horizon_days": "How many days ahead it can be booked.",
        "booking_mode": "`instant`, or `request` when its owner is asked.",
        "handover": "`in_person` or `self_service`.",
        "cancellation": "`flexible`, `moderate` or `strict`.",
        "status": "`listed`, or `unlisted` when its owner has taken it out for now.",
        "owner_suspended": "Whether it is hidden because its owner is suspended.",
        "version": "How often it has been changed.",
        "rating_sum": "The stars of all published reviews together.",
        "rating_count": "How many reviews that is.",
        "created_at": "When it was listed first.",
        "updated_at": "When it was last changed.",
        "deleted_at": "When its owner took it away for good.",
    },
    refers={"owner_id": "members.id", "category": "categories.slug"},
)
FOR_IMPORT: LiteralString = _ITEM + " WHERE i.deleted_at IS NULL ORDER BY i.owner_id, i.id"
"""The items that are there. Their columns are a superset of `contracts.inventory.Item`'s."""
REFS_OF_SEVERAL: LiteralString = """
    SELECT source_ref AS ref FROM items WHERE deleted_at IS NULL AND source_ref IS NOT NULL
    GROUP BY source_ref HAVING count(1) > 1"""
"""Names in their owners' lists that several owners use: in one list of all they would mean the same item."""

PHOTOS = Table(
    "photos",
    "Photos of items; the pictures are in the folder `files`.",
    """
    SELECT id, item_id, position, alt, width, height, added_at
    FROM photos WHERE gone_at IS NULL ORDER BY item_id, position""",
    {
        "id": "The photo: its files are `files/items/` and this, one for each size.",
        "item_id": "Of which item.",
        "position": "Its place among them; the lowest is shown in lists.",
        "alt": "What it shows, in words.",
        "width": "Pixels of the largest size.",
        "height": "Pixels of the largest size.",
        "added_at": "When it was added.",
    },
    refers={"item_id": "items.id"},
)
TABLES = (
    Table(
        "categories",
        "The categories of items.",
        "SELECT slug, name, parent, position FROM categories ORDER BY position, slug",
        {
            "slug": "The category, as items name it.",
            "name": "What people read.",
            "parent": "The category above it, if any.",
            "position": "Its place in lists.",
        },
        key=("slug",),
        refers={"parent": "categories.slug"},
    ),
    ITEMS,
    PHOTOS,
    Table(
        "units",
        "The single things of an item: one that has three copies has three units.",
        "SELECT id, item_id, label, retired_at FROM units ORDER BY id",
        {
            "id": "The unit.",
            "item_id": "Of which item it is one.",
            "label": "What tells it from the others.",
            "retired_at": "Since when it is not lent any more.",
        },
        refers={"item_id": "items.id"},
    ),
    Table(
        "blackouts",
        "Periods in which an owner does not lend an item.",
        """
        SELECT id, item_id, lower(period) AS starts_at, upper(period) AS ends_at, note FROM blackouts ORDER BY id""",
        {
            "id": "The blackout.",
            "item_id": "Of which item.",
            "starts_at": "Its begin.",
            "ends_at": "Its end, which is the first free moment.",
            "note": "Why, if the owner said.",
        },
        refers={"item_id": "items.id"},
    ),
    Table(
        "reservations",
        "The calendar: what is or was kept for a booking. One that came to nothing has no item and no period.",
        """
        SELECT id, item_id, lower(period) AS starts_at, upper(period) AS ends_at, quantity, state, expires_at,
            in_use_since, released_at
        FROM reservations ORDER BY id""",
        {
            "id": "The booking that it is for.",
            "item_id": "Of which item.",
            "starts_at": "Begin of the loan.",
            "ends_at": "Its end, which is the first moment after it.",
            "quantity": "How many units.",
            "state": "`held`, `confirmed`, `in_use` or `released`.",
            "expires_at": "Until when it is or was held without being confirmed.",
            "in_use_since": "When it was picked up.",
            "released_at": "When it was over, or given up.",
        },
        refers={"id": "bookings.id", "item_id": "items.id"},
    ),
    Table(
        "claims",
        "Which units a reservation has or had. No unit has two at once that are not over.",
        """
        SELECT id, reservation_id, unit_id, lower(period) AS starts_at, upper(period) AS ends_at,
            upper(occupied) AS occupied_until, state
        FROM claims ORDER BY id""",
        {
            "id": "The claim.",
            "reservation_id": "Of which reservation, and so of which booking.",
            "unit_id": "On which unit.",
            "starts_at": "Begin of the loan.",
            "ends_at": "Its end.",
            "occupied_until": "That, and the rest after it.",
            "state": "`reserved`, `out`, `cooling` or `over`.",
        },
        refers={"reservation_id": "reservations.id", "unit_id": "units.id"},
    ),
)
