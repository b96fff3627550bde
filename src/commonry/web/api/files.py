"""What pages are made with, and what browsers and search engines ask a site for."""

from xml.sax.saxutils import escape

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import json

from commonry.contracts.inventory import Item
from commonry.kit.pages import Page
from commonry.kit.problems import NotFound
from commonry.kit.refusals import Req
from commonry.web import paper
from commonry.web.visit import Visit

SITEMAPS = "http://www.sitemaps.org/schemas/sitemap/0.9"
LISTED = 2_000
"""Addresses that search engines are told."""
FOR_GOOD = "public, max-age=31536000, immutable"


@get("/static/{digest:str}/{name:str}", include_in_schema=False)
async def static(request: Req, digest: str, name: str) -> Response[bytes]:
    found = paper.file(name)
    if found is None:
        raise NotFound
    kept = FOR_GOOD if digest == found.digest else "public, max-age=60"
    headers = {"cache-control": kept, "etag": f'"{found.digest}"', "vary": "accept-encoding"}
    body = found.body
    if found.packed and "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["content-encoding"] = found.packed, "gzip"
    return Response(body, media_type=found.kind, headers=headers)


@get("/robots.txt", include_in_schema=False)
async def robots(visit: Visit) -> Response[str]:
    private = "borrowing lending inbox me bookings desk insights login register".split()
    lines = ["User-agent: *", *(f"Disallow: /{p}" for p in private), f"Sitemap: {visit.root}/sitemap.xml"]
    return Response("\n".join([*lines, ""]), media_type="text/plain; charset=utf-8")


@get("/favicon.ico", include_in_schema=False)
async def favicon() -> Response[None]:
    headers = {"location": paper.address("logo.svg"), "cache-control": "public, max-age=86400"}
    return Response(None, status_code=301, headers=headers)


@get("/manifest.webmanifest", include_in_schema=False)
async def manifest() -> Response[bytes]:
    told = {
        "name": "Commonry",
        "short_name": "Commonry",
        "description": "Borrow what you need from people nearby, and lend what you have.",
        "start_url": "/",
        "display": "standalone",
        "background_color": "#fbf8f3",
        "theme_color": "#0b6e4f",
        "icons": [
            {"src": paper.address("logo.svg"), "sizes": "any", "type": "image/svg+xml"},
            {"src": paper.address("icon-192.png"), "sizes": "192x192", "type": "image/png"},
            {"src": paper.address("icon-512.png"), "sizes": "512x512", "type": "image/png", "purpose": "any maskable"},
        ],
    }
    headers = {"cache-control": "public, max-age=3600"}
    return Response(json.encode(told), media_type="application/manifest+json", headers=headers)


@get("/sw.js", include_in_schema=False)
async def worker() -> Response[bytes]:
    """The service worker, which belongs to the whole site and so lives at its root."""
    found = paper.file("sw.js")
    body = found.body if found else b""
    kept = [paper.address(name) for name in ("site.css", "figtree.woff2", "logo.svg")]
    told = body.replace(b"KEPT", json.encode(["/offline", *kept]))
    headers = {"cache-control": "no-cache", "content-security-policy": paper.POLICY}  # it fetches, and so has one
    return Response(told, media_type=paper.KINDS["js"], headers=headers)


@get("/offline", include_in_schema=False)
async def offline(visit: Visit) -> Response[str]:
    made = await visit.page("offline.html")
    made.headers["cache-control"] = "public, max-age=3600"
    return made


@get("/sitemap.xml", include_in_schema=False)
async def sitemap(visit: Visit) -> Response[str]:
    """The first page and the newest items."""
    addresses, cursor = [f"{visit.root}/"], None
    while len(addresses) < LISTED:
        query = {"limit": 100, "sort": "newest", "cursor": cursor, "counted": "false"}
        some = await visit.ask("inventory", "GET", "/api/v1/items", Page[Item], query=query)
        addresses += [f"{visit.root}/items/{item.id}" for item in some.data]
        cursor = some.next_cursor
        if cursor is None:
            break
    listed = "".join(f"<url><loc>{escape(address)}</loc></url>" for address in addresses)
    text = f'<?xml version="1.0" encoding="UTF-8"?><urlset xmlns="{SITEMAPS}">{listed}</urlset>'
    return Response(text, media_type="application/xml", headers={"cache-control": "public, max-age=3600"})


routes: list[HTTPRouteHandler] = [static, robots, favicon, manifest, worker, offline, sitemap]
