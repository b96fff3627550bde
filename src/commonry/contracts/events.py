"""What services tell each other after the fact. Past tense; an event is a message of its own and only ever grows."""

from uuid import UUID

from commonry.contracts.words import Message


class ReviewPublished(Message, kw_only=True):
    """A review of an item by its borrower became visible."""

    item_id: UUID
    rating: int


class MemberErased(Message, kw_only=True):
    """A member is gone: forget who they were, keep what they did."""

    member_id: UUID


class MemberSuspended(Message, kw_only=True):
    """A member may not start anything any more; what is running goes on."""

    member_id: UUID


class MemberReinstated(Message, kw_only=True):
    """A suspended member is welcome again."""

    member_id: UUID


RECEIVERS: dict[type[Message], tuple[str, ...]] = {
    ReviewPublished: ("inventory",),
    MemberErased: ("inventory", "bookings"),
    MemberSuspended: ("inventory",),
    MemberReinstated: ("inventory",),
}
"""Which services each event is delivered to."""

TOPICS: dict[str, type[Message]] = {kind.__name__: kind for kind in RECEIVERS}
