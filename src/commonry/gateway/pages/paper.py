"""Templates become pages: rendered once loaded, escaped always, sent with a policy that runs no script."""

import functools
from importlib import resources
from typing import TYPE_CHECKING, Any

from commonry.kit.asgi import Reply, Scope

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

PACKAGE = "commonry.gateway.pages"
HERE = resources.files(PACKAGE)
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def page_reply(template: str, *, status: int = 200, **told: Any) -> Reply:
    """A page from a template of `templates/`."""
    body = _environment().get_template(template).render(**told)
    return Reply(body.encode(), "text/html; charset=utf-8", status, {"content-security-policy": POLICY})


async def style(_: Scope) -> Reply:
    """The stylesheet."""
    return Reply(_stylesheet(), "text/css; charset=utf-8", headers={"cache-control": "max-age=300"})


@functools.cache
def _stylesheet() -> bytes:
    return HERE.joinpath("style.css").read_bytes()


@functools.cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader(PACKAGE, "templates")
    made = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters["prose"] = _prose  # pyright: ignore[reportUnknownMemberType]
    return made


def _prose(text: str) -> "Markup":
    """What stands between backticks becomes code; everything is escaped."""
    from markupsafe import Markup

    pieces = text.split("`")
    shown = [Markup("<code>{}</code>").format(p) if number % 2 else Markup.escape(p) for number, p in enumerate(pieces)]
    return Markup("").join(shown)
