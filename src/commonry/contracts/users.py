"""What others may know of the users service."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from commonry.contracts.words import Body, Email, Label, Message, Nothing, Text
from commonry.kit.auth import Caller
from commonry.kit.peers import Client

Password = Annotated[str, Meta(min_length=10, max_length=200, description="10 to 200 characters.")]
Role = Literal["member", "manager"]
MemberStatus = Literal["active", "suspended", "erased"]
LONGEST_TOKEN = 4096
"""Ours have 43 characters; a longer one belongs to nobody, which is an answer and not a mistake."""


class Registration(Body, kw_only=True):
    """POST /auth/register."""

    email: Email
    password: Password
    display_name: Label


class Credentials(Body, kw_only=True):
    """POST /auth/login."""

    email: Annotated[str, Meta(max_length=254)]
    password: Annotated[str, Meta(max_length=200)]


class TokenQuestion(Body, kw_only=True):
    """POST /auth/validate-token."""

    token: Annotated[str, Meta(max_length=LONGEST_TOKEN)]


class Member(Message, kw_only=True):
    """A member as they and managers see them."""

    id: UUID
    email: str | None
    display_name: str
    about: str = ""
    roles: list[str] = []
    status: MemberStatus = "active"
    created_at: datetime
    updated_at: datetime


class PublicMember(Message, kw_only=True):
    """A member as anyone sees them."""

    id: UUID
    display_name: str
    about: str = ""
    member_since: datetime


class MemberChanges(Body, kw_only=True):
    """PATCH /members/me."""

    display_name: Label | UnsetType = UNSET
    about: Text | UnsetType = UNSET
    email: Email | UnsetType = UNSET
    password: Password | UnsetType = UNSET
    current_password: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET


class ManagedChanges(Body, kw_only=True):
    """PATCH /members/{id}, by a manager."""

    display_name: Label | UnsetType = UNSET
    about: Text | UnsetType = UNSET
    roles: list[Role] | UnsetType = UNSET
    status: Literal["active", "suspended"] | UnsetType = UNSET


class Session(Message, kw_only=True):
    """The answer to a login."""

    access_token: str
    expires_at: datetime
    member: Member
    token_type: str = "bearer"  # noqa: S105 why: a scheme's name, not a secret


class TokenAnswer(Message, omit_defaults=True, kw_only=True):
    """Who a token belongs to; only `active: false` when to nobody."""

    active: bool
    member_id: UUID | None = None
    roles: list[str] = []
    expires_at: datetime | None = None


class SessionRecord(Message, kw_only=True):
    """A session as it is told to its member: when, never with which token."""

    created_at: datetime
    expires_at: datetime
    ended: bool = False


class FailedLogins(Message, kw_only=True):
    """Failed logins in a row for one account, as far as they are still remembered."""

    count: int
    last_at: datetime
    blocked_until: datetime


class MemberExport(Message, kw_only=True):
    """GET /members/me/export: everything the platform knows of a member, but for the password's hash."""

    member: Member
    password_set_at: datetime
    sessions: list[SessionRecord]
    failed_logins: FailedLogins | None = None
    items: list[Any] = []
    bookings: list[Any] = []
    messages: list[Any] = []
    payments: list[Any] = []


class Users(Client):
    """The users service."""

    async def validate(self, token: str) -> Caller | None:
        """Who a token belongs to, None if to nobody."""
        if len(token) > LONGEST_TOKEN:
            return None
        asked = TokenQuestion(token=token)
        a = await self.ask("POST", "/api/v1/auth/validate-token", TokenAnswer, asked, repeatable=True)
        if not a.active or a.member_id is None or a.expires_at is None:
            return None
        return Caller(a.member_id, tuple(a.roles), token, a.expires_at)

    async def member(self, member: UUID) -> PublicMember:
        """The public part of a member. Raises NotFound."""
        return await self.ask("GET", f"/api/v1/members/{member}", PublicMember)

    async def tell(self, topic: str, event_id: str, event: object) -> None:
        """Deliver an event."""
        await self.ask("POST", f"/internal/events/{topic}/{event_id}", Nothing | None, event)  # pyright: ignore[reportArgumentType]
