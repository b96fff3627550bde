"""Whoever asks for a page: their session, the other services as they see them, and the answers they get.

The session is a cookie that no script can read. `__Host-` in its name binds it to this host and to HTTPS; plain HTTP,
as on one's own machine, has it without. A form carries a digest that only its own browser's page can have (CSRF).
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode
from uuid import UUID

from litestar import Response
from litestar.datastructures import Cookie

from commonry.contracts.surroundings import Surroundings
from commonry.contracts.users import PublicMember, Session
from commonry.kit.auth import Caller
from commonry.kit.peers import Client
from commonry.kit.problems import NotAllowed, NotFound, NotSignedIn
from commonry.kit.refusals import Req
from commonry.web import paper
from commonry.web.words import DONE

T = TypeVar("T")
SESSION, FORM = "commonry", "commonry-form"
NAMED_FOR = 15.0
"""Seconds for which a member's public part is remembered."""
MOST_NAMED = 5_000


class Members:
    """Members' public parts, remembered a while: every page names some."""

    def __init__(self, around: Surroundings) -> None:
        self._users = around.peers.users
        self._known: dict[UUID, tuple[float, PublicMember]] = {}

    async def named(self, ids: Iterable[UUID]) -> dict[UUID, PublicMember]:
        """Those of these who are there."""
        found: dict[UUID, PublicMember] = {}
        for one in dict.fromkeys(ids):
            if member := await self._one(one):
                found[one] = member
        return found

    async def _one(self, one: UUID) -> PublicMember | None:
        kept = self._known.get(one)
        if kept and kept[0] > time.monotonic():
            return kept[1]
        try:
            member = await self._users.member(one)
        except NotFound:
            return None
        if len(self._known) >= MOST_NAMED:
            self._known.clear()
        self._known[one] = (time.monotonic() + NAMED_FOR, member)
        return member

    def forget(self, one: UUID) -> None:
        """They changed."""
        self._known.pop(one, None)


class Visit:
    """One request for a page, and who makes it."""

    def __init__(self, request: Req, around: Surroundings, members: Members, caller: Caller | None) -> None:
        self.request, self.around, self.caller, self._members = request, around, caller, members
        self.settings = around.settings
        self.is_https = request.headers.get("x-forwarded-proto") == "https"
        self.client = request.headers.get("commonry-client") or (request.client.host if request.client else "")
        self._form_secret = request.cookies.get(self._named(FORM)) or ""
        self._new_secret = "" if self._form_secret else secrets.token_urlsafe(24)

    # --- who it is ---

    @property
    def token(self) -> str | None:
        """The session's token, None when signed out."""
        return self.caller.token if self.caller else None

    @property
    def me(self) -> UUID | None:
        """The member, None when signed out."""
        return self.caller.id if self.caller else None

    @property
    def manages(self) -> bool:
        """Whether this is a manager."""
        return bool(self.caller and self.caller.manages)

    def signed_in(self) -> Caller:
        """Who is here; raises `NotSignedIn`, which leads to the sign-in page and back."""
        if self.caller is None:
            raise NotSignedIn
        return self.caller

    def managing(self) -> Caller:
        """The manager who is here; raises `NotSignedIn`, `NotAllowed`."""
        if not self.signed_in().manages:
            raise NotAllowed("This page is for the managers of the community.")
        return self.signed_in()

    # --- asking ---

    async def ask(self, service: str, method: str, path: str, answer: type[T], body: Any = None, **how: Any) -> T:
        """Ask a service as this visitor; `how` as `Client.ask` has it. Raises its problems."""
        client: Client = getattr(self.around.peers, service)
        return await client.ask(method, path, answer, body, token=self.token, client=self.client, **how)

    async def named(self, *ids: UUID | None) -> dict[UUID, PublicMember]:
        """The members of these ids who are there."""
        return await self._members.named(i for i in ids if i)

    def forget_me(self) -> None:
        """What is remembered of this member is out of date."""
        if self.me:
            self._members.forget(self.me)

    # --- answering ---

    async def page(self, template: str, *, status: int = 200, **told: Any) -> Response[str]:
        """A page from `templates/`, which also knows `visit` and `me`, their public part."""
        mine = (await self.named(self.me)).get(self.me) if self.me else None
        notice = DONE.get(self.request.query_params.get("done", ""))
        shown = {"visit": self, "me": mine, "notice": notice, **told}
        made = paper.page(template, shown, status, tiles_url=self.settings.tiles_url)
        if self._new_secret:
            made.cookies.append(self._cookie(FORM, self._new_secret, None))
        return made

    def go(self, where: str, done: str = "") -> Response[None]:
        """On to another page of ours (303), which says what is done in the words of `DONE`."""
        said = f"{where}{'&' if '?' in where else '?'}{urlencode({'done': done})}" if done else where
        return Response(None, status_code=303, headers={"location": said, "cache-control": "no-store"})

    def sign_in(self, session: Session, where: str) -> Response[None]:
        """On to `where` as the member of this session."""
        left = int((session.expires_at - session.member.updated_at.now(session.expires_at.tzinfo)).total_seconds())
        made = self.go(where)
        made.cookies.append(self._cookie(SESSION, session.access_token, max(60, left)))
        return made

    def sign_out(self, where: str, done: str = "signed-out") -> Response[None]:
        """On to `where` as nobody."""
        made = self.go(where, done)
        made.cookies.append(self._cookie(SESSION, "", 0))
        return made

    # --- forms ---

    @property
    def csrf(self) -> str:
        """What a form of this page carries."""
        secret = self.around.door.secret_for("forms")
        about = f"{self._form_secret or self._new_secret}.{self.token or ''}"
        return hmac.new(secret, about.encode(), hashlib.sha256).hexdigest()[:32]

    @property
    def new_key(self) -> str:
        """An Idempotency-Key for a form to carry: sent twice, it is done once."""
        return secrets.token_urlsafe(16)

    def is_own_form(self, said: str) -> bool:
        """Whether a form with this digest came from a page of ours in this browser."""
        origin, host = self.request.headers.get("origin"), self.request.headers.get("host", "")
        same = origin is None or origin == "null" or origin.partition("://")[2] == host
        return same and bool(self._form_secret) and hmac.compare_digest(said.encode(), self.csrf.encode())

    # --- addresses ---

    @property
    def address(self) -> str:
        """This page's own address, from the root."""
        url = self.request.url
        return f"{url.path}?{url.query}" if url.query else url.path

    @property
    def root(self) -> str:
        """Scheme and host, as the visitor has them."""
        return f"{'https' if self.is_https else 'http'}://{self.request.headers.get('host', 'localhost')}"

    def with_query(self, changed: Mapping[str, Any] | None = None, **more: Any) -> str:
        """This address with some of its query's fields changed; None takes one away."""
        kept: dict[str, Any] = {k: v for k, v in self.request.query_params.items() if k != "done"}
        said = {k: v for k, v in {**kept, **(changed or {}), **more}.items() if v not in (None, "")}
        path = quote(self.request.url.path)
        return f"{path}?{urlencode(said)}" if said else path

    def _named(self, cookie: str) -> str:
        return f"__Host-{cookie}" if self.is_https else cookie

    def _cookie(self, name: str, value: str, seconds: int | None) -> Cookie:
        return Cookie(
            key=self._named(name),
            value=value,
            path="/",
            max_age=seconds,
            httponly=True,
            secure=self.is_https,
            samesite="lax",
        )


def arriving(around: Surroundings) -> Any:
    """What makes the `visit` of each request."""
    members = Members(around)

    async def visit(request: Req) -> Visit:
        name = f"__Host-{SESSION}" if request.headers.get("x-forwarded-proto") == "https" else SESSION
        token = request.cookies.get(name)
        caller = await around.door.who(f"Bearer {token}") if token else None
        return Visit(request, around, members, caller)

    return visit


def inside(where: str | None, otherwise: str = "/") -> str:
    """`where` if it is an address of this site, so that nobody is led elsewhere (open redirect)."""
    if not where or not where.startswith("/") or where.startswith(("//", "/\\")) or not where.isprintable():
        return otherwise
    return otherwise if "\\" in where else where


def query_of(said: Mapping[str, Any]) -> str:
    """As the part of an address after `?`, without what is empty."""
    return urlencode({k: v for k, v in said.items() if v not in (None, "")})
