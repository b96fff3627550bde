"""Routes of members: one's own profile, the public part of others, all of everyone for managers.

Who may call is decided before the body is looked at, so that nobody learns from a 422 what they may not do.
"""

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, Router, delete, get, patch
from litestar.connection import ASGIConnection
from litestar.datastructures import ResponseHeader, State
from litestar.params import Parameter

from commonry.contracts.users import (
    ManagedChanges,
    Member,
    MemberChanges,
    MemberExport,
    MemberStatus,
    PublicMember,
)
from commonry.kit.auth import Caller
from commonry.kit.db import Database
from commonry.kit.pages import Cursor, Limit, Page, decode, page
from commonry.kit.problems import NotAllowed
from commonry.users import rules
from commonry.users.api.auth import NEEDS_TOKEN, client_address
from commonry.users.membership import Membership
from commonry.users.store import members

Connection = ASGIConnection[Any, Any, Any, Any]
Words = Annotated[str | None, Parameter(max_length=200, description="Part of a name or an e-mail address.")]
StatusIs = Annotated[MemberStatus | None, Parameter(description="Only members in this state.")]


async def signed_in(connection: Connection, _: Any) -> Caller:
    """Guard: 401 without a valid token."""
    return await connection.app.state.door.someone(connection.headers.get("authorization"))


async def manages(connection: Connection, _: Any) -> None:
    """Guard: 401 without a valid token, 403 for everyone but managers."""
    caller = await signed_in(connection, _)
    if not caller.manages:
        raise NotAllowed


MINE: dict[str, Any] = {"guards": [signed_in], "security": NEEDS_TOKEN}
MANAGERS: dict[str, Any] = {"guards": [manages], "security": NEEDS_TOKEN}


@get("/me", tags=["members"], summary="My profile", operation_id="my_profile", **MINE)
async def my_profile(caller: Caller, db: Database) -> Member:
    async with db.read() as tx:
        return await members.read(tx, caller.id)


@patch("/me", tags=["members"], summary="Change my profile", operation_id="change_my_profile", **MINE)
async def change_my_profile(
    data: MemberChanges, caller: Caller, request: Request[Any, Any, State], membership: Membership
) -> Member:
    """Another password or e-mail address needs `current_password`, and ends all other sessions."""
    return await membership.change_own(caller, data, client_address(request))


@delete("/me", tags=["members"], summary="Leave: erase who I was", operation_id="erase_me", **MINE)
async def erase_me(caller: Caller, membership: Membership) -> None:
    """Refused while you have a thing out, one lent, or money open. What you did is kept, without your name."""
    await membership.erase(caller.id)


@get("/me/export", tags=["members"], summary="Everything that is known of me", operation_id="export_me", **MINE)
async def export_me(caller: Caller, membership: Membership) -> Response[MemberExport]:
    as_file = {"content-disposition": 'attachment; filename="commonry-member.json"'}
    return Response(await membership.export(caller.id, caller.token), headers=as_file)


@get(
    "/{member_id:uuid}", tags=["members"], summary="A member: the public part, all for managers", operation_id="member"
)
async def member(member_id: UUID, visitor: Caller | None, db: Database) -> Member | PublicMember:
    async with db.read() as tx:
        found = await members.read(tx, member_id)
    return found if visitor and visitor.manages else public_part(found)


@get("", tags=["members"], summary="All members, newest first", operation_id="list_members", **MANAGERS)
async def list_members(
    db: Database, q: Words = None, status: StatusIs = None, limit: Limit = 20, cursor: Cursor = None
) -> Page[Member]:
    before = decode("members", cursor, tuple[UUID])
    async with db.read() as tx:
        found = await members.newest(tx, q and rules.containing(q), status, before and before[0], limit + 1)
    return page(found, limit, "members", lambda m: (m.id,))


@patch("/{member_id:uuid}", tags=["members"], summary="Change a member", operation_id="manage_member", **MANAGERS)
async def manage_member(member_id: UUID, data: ManagedChanges, membership: Membership) -> Member:
    """Everyone keeps the role `member`. Suspending somebody ends all their sessions at once."""
    return await membership.manage(member_id, data)


@delete("/{member_id:uuid}", tags=["members"], summary="Erase a member", operation_id="erase_member", **MANAGERS)
async def erase_member(member_id: UUID, membership: Membership) -> None:
    await membership.erase(member_id)


def public_part(of: Member) -> PublicMember:
    """What anyone may know."""
    return PublicMember(id=of.id, display_name=of.display_name, about=of.about, member_since=of.created_at)


routes = Router(
    "/api/v1/members",
    route_handlers=[
        my_profile,
        change_my_profile,
        erase_me,
        export_me,
        member,
        list_members,
        manage_member,
        erase_member,
    ],
    response_headers=[ResponseHeader(name="cache-control", value="no-store")],
)
