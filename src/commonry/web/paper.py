"""What pages are made with: the templates, the icons inside them, and the files they name, each by its content.

Everything is read once. A file's address holds a digest of it, so browsers keep it for good and never use an old one.
"""

import functools
import gzip
import hashlib
import re
from importlib import resources
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Response
from markupsafe import Markup

from commonry.web import words

PACKAGE = "commonry.web"
STATIC = resources.files(PACKAGE).joinpath("static")
KINDS = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "webp": "image/webp",
    "woff2": "font/woff2",
    "txt": "text/plain; charset=utf-8",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self';"
    " connect-src 'self'; manifest-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
"""What a page may load and run: our own files, and nothing written into the page itself."""
HEADERS = {
    "permissions-policy": "camera=(self), geolocation=(self), microphone=()",
    "cache-control": "private, no-cache",
    "vary": "cookie, hx-request",
}


@functools.cache
def policy(tiles_url: str) -> str:
    """The same, where maps have a server's tiles below."""
    if not tiles_url:
        return POLICY
    server = urlsplit(tiles_url)
    return POLICY.replace("img-src 'self'", f"img-src 'self' {server.scheme}://{server.netloc}")


class File(NamedTuple):
    """A file as it is sent; `packed` is empty where packing gains nothing."""

    body: bytes
    packed: bytes
    kind: str
    digest: str


@functools.cache
def file(name: str) -> File | None:
    """One of `static/`, None if there is none of that name."""
    stem, _, ending = name.rpartition(".")
    if ending not in KINDS or not stem.replace("-", "").replace("_", "").isalnum():
        return None
    found = STATIC.joinpath(name)
    if not found.is_file():
        return None
    body = found.read_bytes()
    if ending == "css":
        body = re.sub(rb'url\("([^"/:]+)"\)', lambda m: b'url("%b")' % address(m[1].decode()).encode(), body)
    packed = gzip.compress(body, 9, mtime=0) if ending in ("css", "js", "svg", "txt") else b""
    return File(body, packed if len(packed) < len(body) else b"", KINDS[ending], hashlib.sha256(body).hexdigest()[:12])


def address(name: str) -> str:
    """Where a file of `static/` is. Raises `KeyError` for one that is not there."""
    if (found := file(name)) is None:
        raise KeyError(name)
    return f"/static/{found.digest}/{name}"


def icons() -> list[str]:
    """The names of all icons."""
    return sorted(file.name.removesuffix(".svg") for file in STATIC.joinpath("icons").iterdir())


@functools.cache
def icon(name: str) -> Markup:
    """An icon of `static/icons/` to stand in a line of text; what it means must be said beside it."""
    drawn = STATIC.joinpath("icons", f"{name}.svg").read_text()
    inner = drawn[drawn.index(">", drawn.index("<svg")) + 1 : drawn.rindex("</svg>")]
    shape = " ".join(inner.split())
    return Markup('<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">{}</svg>').format(
        Markup(shape)  # noqa: S704 why: our own file
    )


@functools.cache
def environment() -> Environment:
    """The templates, with our words as filters."""
    made = Environment(
        loader=PackageLoader(PACKAGE, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.do"],
    )
    tables: Any = made
    tables.filters.update(words.FILTERS)
    tables.globals.update(icon=icon, static=address)
    return made


def page(template: str, told: dict[str, Any], status: int = 200, *, tiles_url: str = "") -> Response[str]:
    """A page from a template of `templates/`."""
    body = environment().get_template(template).render(told)
    headers = HEADERS | {"content-security-policy": policy(tiles_url)}
    return Response(body, status_code=status, media_type="text/html; charset=utf-8", headers=headers)


def table(body: bytes, name: str) -> Response[bytes]:
    """A CSV file to keep, called `commonry-…`."""
    headers = {"content-disposition": f'attachment; filename="commonry-{name}"', "cache-control": "no-store"}
    return Response(body, media_type="text/csv", headers=headers)  # the character set is added
