"""What pages are made with, and what browsers and search engines ask a site for."""

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from commonry.kit.problems import NotFound
from commonry.kit.refusals import Req
from commonry.web import paper
from commonry.web.visit import Visit

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


routes: list[HTTPRouteHandler] = [static, robots]
