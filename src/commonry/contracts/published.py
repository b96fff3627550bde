"""What each service publishes for the warehouse: its views, their columns, and what names a row.

The services' migrations make the views, their tests hold them against this, and the warehouse reads by it. Views only
ever gain columns. Every view has `changed_at`: when the row was last written, by the clock on the wall.
"""

from typing import Literal, NamedTuple, cast

ColumnType = Literal["text", "uuid", "integer", "bigint", "boolean", "double", "date", "timestamptz"]


class View(NamedTuple):
    """One view. The database has it in the schema `published`."""

    service: str
    name: str
    key: str
    columns: dict[str, ColumnType]


def _columns(**kinds: str) -> dict[str, ColumnType]:
    """Names by type, in the order written."""
    every = [*kinds.items(), ("timestamptz", "changed_at")]
    return {name: cast("ColumnType", kind) for kind, names in every for name in names.split()}


VIEWS = (
    View(
        "users",
        "members",
        "id",
        _columns(uuid="id", text="status", boolean="manages", timestamptz="created_at erased_at"),
    ),
    View("inventory", "categories", "slug", _columns(text="slug name parent")),
    View(
        "inventory",
        "items",
        "id",
        _columns(
            uuid="id owner_id",
            text="title category condition place_label time_zone price_currency price_per booking_mode handover"
            " cancellation",
            double="lat lon",
            bigint="price_amount day_price deposit_amount",
            integer="rating_sum rating_count",
            boolean="offered",
            timestamptz="created_at deleted_at",
        ),
    ),
    View("inventory", "units", "id", _columns(uuid="id item_id", timestamptz="retired_at")),
    View("inventory", "blackouts", "id", _columns(uuid="id item_id", timestamptz="starts_at ends_at")),
    View(
        "inventory",
        "searches",
        "id",
        _columns(text="id words category", timestamptz="hour", boolean="dated", integer="asked unanswered"),
    ),
    View(
        "bookings",
        "bookings",
        "id",
        _columns(
            uuid="id item_id borrower_id owner_id",
            date="starts_on last_on",
            integer="days quantity",
            text="state ending problem total_currency deposit_state",
            bigint="total_amount refund_amount deposit_amount claim_amount",
            boolean="overdue disputed",
            timestamptz="starts_at ends_at created_at requested_at confirmed_at picked_up_at returned_at completed_at"
            " ended_at",
        ),
    ),
    View(
        "bookings",
        "reviews",
        "id",
        _columns(
            uuid="id booking_id item_id",
            text="side",
            integer="rating",
            boolean="published",
            timestamptz="created_at",
        ),
    ),
    View(
        "payments",
        "payments",
        "id",
        _columns(
            uuid="id booking_id payer payee",
            text="purpose status currency",
            bigint="amount captured refunded",
            boolean="paid_out",
            timestamptz="created_at",
        ),
    ),
    View(
        "payments",
        "ledger",
        "id",
        _columns(
            text="id kind currency",
            uuid="booking_id",
            bigint="borrowers owners platform rentals deposits held limits",
            timestamptz="made_at",
        ),
    ),
)
GONE = _columns(bigint="id", text="view key")
"""Columns of `published.gone`, which every service has: rows that were deleted from one of its views."""
