"""A stand-in for S3, which is not ours: a bucket in memory that takes, gives, removes and lists, for whoever signs."""

import re
from datetime import UTC, datetime
from xml.sax.saxutils import escape, unescape

from aiohttp import web
from aiohttp.test_utils import TestServer

KEY = "the-key-of-the-bucket"


class Bucket:
    """What is in it: name → content. Runs while it is entered; `url` is its endpoint."""

    def __init__(self, name: str) -> None:
        self.name, self.there = name, dict[str, bytes]()
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", f"/{name}", self._all)
        app.router.add_route("*", f"/{name}/{{file:.+}}", self._one)
        self._server = TestServer(app)

    async def __aenter__(self) -> "Bucket":
        await self._server.start_server()
        self.url = str(self._server.make_url("")).rstrip("/")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    async def _one(self, request: web.Request) -> web.Response:
        _is_signed(request)
        file = request.match_info["file"]
        if request.method == "PUT":
            self.there[file] = await request.read()
            return web.Response(headers={"ETag": '"e"'})
        if file not in self.there:
            return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>")
        return web.Response(body=self.there[file], headers={"ETag": '"e"', "Last-Modified": _http(datetime.now(UTC))})

    async def _all(self, request: web.Request) -> web.Response:
        _is_signed(request)
        if "delete" in request.query:
            names = re.findall("<Key>(.+?)</Key>", await request.text())
            for name in names:
                self.there.pop(unescape(name), None)
            told = "".join(f"<Deleted><Key>{name}</Key></Deleted>" for name in names)
            return web.Response(text=f"<DeleteResult>{told}</DeleteResult>", content_type="application/xml")
        assert request.query["list-type"] == "2"
        found = sorted(name for name in self.there if name.startswith(request.query.get("prefix", "")))
        listed = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{len(self.there[name])}</Size><ETag>e</ETag>"
            f"<LastModified>{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z}</LastModified></Contents>"
            for name in found
        )
        whole = (
            f"<ListBucketResult><Name>{self.name}</Name><KeyCount>{len(found)}</KeyCount>{listed}</ListBucketResult>"
        )
        return web.Response(text=whole, content_type="application/xml")


def _is_signed(request: web.Request) -> None:
    if f"Credential={KEY}/" not in request.headers.get("Authorization", ""):
        raise web.HTTPForbidden


def _http(at: datetime) -> str:
    return f"{at:%a, %d %b %Y %H:%M:%S} GMT"
