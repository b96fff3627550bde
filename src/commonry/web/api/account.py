"""Joining, signing in and out, and one's own settings."""

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from commonry.contracts.users import Credentials, Member, Registration, Session
from commonry.kit.problems import NotValid, Problem, TooManyRequests
from commonry.web.forms import Form, filled_in
from commonry.web.visit import Visit, inside


@get("/login", include_in_schema=False)
async def login_page(visit: Visit) -> Response[str]:
    if visit.caller:
        return await visit.page("login.html", here="login", form=None, next=_next(visit), already=True)
    return await visit.page("login.html", here="login", form=None, next=_next(visit), already=False)


@post("/login", include_in_schema=False, status_code=303)
async def login(visit: Visit) -> Response[str] | Response[None]:
    form = await filled_in(visit)
    email = form.text("email", needed="Write your e-mail address.")
    password = form.said.get("password", "")
    if not password:
        form.wrong("password", "Write your password.")
    if not form.mistakes:
        session = await _session(visit, form, email, password)
        if session:
            return visit.sign_in(session, inside(form.said.get("next")))
    return await visit.page(
        "login.html", status=422, here="login", form=form, next=form.said.get("next", ""), already=False
    )


async def _session(visit: Visit, form: Form, email: str, password: str) -> Session | None:
    try:
        return await visit.ask(
            "users", "POST", "/api/v1/auth/login", Session, Credentials(email=email, password=password), timeout=10
        )
    except TooManyRequests as e:
        form.wrong("", f"That was tried too often. Wait {e.retry_after or 60} seconds, then try again.")
    except NotValid as e:
        form.place(e)
    except Problem as e:
        if e.status != 401:
            raise
        form.wrong("", "E-mail address and password do not belong together. Look at both once more.")
    return None


@get("/register", include_in_schema=False)
async def register_page(visit: Visit) -> Response[str]:
    return await visit.page("register.html", here="register", form=None, next=_next(visit))


@post("/register", include_in_schema=False, status_code=303)
async def register(visit: Visit) -> Response[str] | Response[None]:
    form = await filled_in(visit)
    email = form.text("email", needed="Write your e-mail address.")
    name = form.text("display_name", needed="Write the name others shall see.")
    password = form.said.get("password", "")
    if len(password) < 10:
        form.wrong("password", "Choose at least 10 characters. A few words in a row are easy to remember.")
    if not form.mistakes:
        asked = Registration(email=email, password=password, display_name=name)
        try:
            await visit.ask("users", "POST", "/api/v1/auth/register", Member, asked, timeout=10)
        except NotValid as e:
            form.place(e)
        except Problem as e:
            if e.status >= 500:
                raise
            form.wrong("email" if e.slug == "email-taken" else "", e.detail)
        else:
            session = await _session(visit, form, email, password)
            if session:
                return visit.sign_in(session, inside(form.said.get("next")))
    return await visit.page("register.html", status=422, here="register", form=form, next=form.said.get("next", ""))


@post("/logout", include_in_schema=False, status_code=303)
async def logout(visit: Visit) -> Response[None]:
    await filled_in(visit)
    if visit.caller:
        await visit.ask("users", "POST", "/api/v1/auth/logout", type(None))
    return visit.sign_out("/")


def _next(visit: Visit) -> str:
    return inside(visit.request.query_params.get("next"))


routes: list[HTTPRouteHandler] = [login_page, login, register_page, register, logout]
