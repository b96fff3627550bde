"""One's own settings: the profile, how one signs in, what is known of one, and leaving."""

from typing import Any

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from msgspec import json

from commonry.contracts.users import Member, MemberChanges, MemberExport
from commonry.kit.problems import NotFound, NotSignedIn, NotValid, Problem
from commonry.web.forms import Form, filled_in
from commonry.web.visit import Visit


@get("/me", include_in_schema=False)
async def settings_page(visit: Visit) -> Response[str]:
    visit.signed_in()
    return await _page(visit, None)


async def _page(visit: Visit, form: Form | None, status: int = 200) -> Response[str]:
    mine = await visit.ask("users", "GET", "/api/v1/members/me", Member)
    return await visit.page("settings.html", status=status, here="me", mine=mine, form=form)


@post("/me/{what:str}", include_in_schema=False, status_code=303)
async def change(visit: Visit, what: str) -> Response[str] | Response[None]:
    visit.signed_in()
    form = await filled_in(visit)
    if what == "leave":
        return await _leave(visit, form)
    if what not in ("profile", "access"):
        raise NotFound
    changes = _profile(form) if what == "profile" else _access(form)
    if not form.mistakes:
        try:
            await visit.ask("users", "PATCH", "/api/v1/members/me", Member, changes, timeout=10)
        except NotValid as e:
            form.place(e)
        except Problem as e:
            if e.status >= 500 or (isinstance(e, NotSignedIn) and what == "profile"):
                raise
            _explain(form, e)
        else:
            visit.forget_me()
            return visit.go("/me", "saved")
    return await _page(visit, form, 422)


def _profile(form: Form) -> MemberChanges:
    name = form.text("display_name", needed="Write the name others shall see.")
    return MemberChanges(display_name=name, about=form.text("about"))


def _access(form: Form) -> MemberChanges:
    current = form.said.get("current_password", "")
    if not current:
        form.wrong("current_password", "Write the password you have now.")
    changed: dict[str, Any] = {}
    if email := form.text("email"):
        changed["email"] = email
    if password := form.said.get("password", ""):
        changed["password"] = password
        if len(password) < 10:
            form.wrong("password", "Choose at least 10 characters.")
    if not changed:
        form.wrong("", "Write a new address or a new password.")
    return MemberChanges(current_password=current, **changed)


def _explain(form: Form, problem: Problem) -> None:
    place = {"email-taken": "email", "bad-credentials": "current_password"}.get(problem.slug, "")
    words = {"bad-credentials": "That is not your password."}.get(problem.slug, problem.detail)
    form.wrong(place, words)


async def _leave(visit: Visit, form: Form) -> Response[str] | Response[None]:
    if not form.ticked("sure"):
        form.wrong("sure", "Tick the box if you mean it.")
    else:
        try:
            await visit.ask("users", "DELETE", "/api/v1/members/me", type(None))
        except Problem as e:
            if e.status >= 500:
                raise
            form.wrong("sure", e.detail)
        else:
            visit.forget_me()
            return visit.sign_out("/", "left")
    return await _page(visit, form, 422)


@get("/me/export", include_in_schema=False)
async def export(visit: Visit) -> Response[bytes]:
    visit.signed_in()
    told = await visit.ask("users", "GET", "/api/v1/members/me/export", MemberExport, timeout=20)
    headers = {"content-disposition": 'attachment; filename="commonry-member.json"', "cache-control": "no-store"}
    return Response(json.format(json.encode(told), indent=1), media_type="application/json", headers=headers)


routes: list[HTTPRouteHandler] = [settings_page, change, export]
