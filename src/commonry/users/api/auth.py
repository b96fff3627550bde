"""Routes of signing in and out.

The answers of this router hold tokens or speak of them, so nothing between us and the caller may store one.
"""

from typing import Any

from litestar import Request, Response, Router, post
from litestar.datastructures import ResponseHeader, State

from commonry.contracts.users import Credentials, Member, Registration, Session, TokenAnswer, TokenQuestion
from commonry.kit.auth import Caller
from commonry.kit.service import Once
from commonry.users.logins import Logins
from commonry.users.membership import Membership
from commonry.users.sessions import Sessions

NEEDS_TOKEN: list[dict[str, list[str]]] = [{"bearer": []}]


def client_address(request: Request[Any, Any, State]) -> str:
    """Where the request comes from: what the gateway says (it drops what others claim), else who is connected."""
    return request.headers.get("commonry-client") or (request.client.host if request.client else "")


@post("/register", tags=["auth"], summary="Become a member", operation_id="register")
async def register(data: Registration, once: Once, membership: Membership) -> Response[Member]:
    """A password has 10 to 200 characters, any you like."""
    return await membership.register(data, once)


@post("/login", tags=["auth"], status_code=200, summary="Sign in", operation_id="login")
async def login(data: Credentials, request: Request[Any, Any, State], logins: Logins) -> Session:
    """Five failures in a row make an account wait: 429 says how long, and it doubles with each further one."""
    return await logins.login(data, client_address(request))


@post(
    "/validate-token", tags=["auth"], status_code=200, summary="Whom a token belongs to", operation_id="validate_token"
)
async def validate_token(data: TokenQuestion, sessions: Sessions) -> TokenAnswer:
    """A token that ended, expired or never was is `{"active": false}`."""
    return await sessions.who(data.token)


@post(
    "/logout",
    tags=["auth"],
    status_code=204,
    summary="Sign out: the token ends",
    operation_id="logout",
    security=NEEDS_TOKEN,
)
async def logout(caller: Caller, sessions: Sessions) -> None:
    await sessions.end(caller.token)


@post(
    "/refresh",
    tags=["auth"],
    status_code=200,
    summary="A new token for this one",
    operation_id="refresh",
    security=NEEDS_TOKEN,
)
async def refresh(caller: Caller, sessions: Sessions) -> Session:
    """The old one ends at once."""
    return await sessions.renew(caller.token, caller.id)


routes = Router(
    "/api/v1/auth",
    route_handlers=[register, login, validate_token, logout, refresh],
    response_headers=[ResponseHeader(name="cache-control", value="no-store")],
)
