"""The service behind every proxy that is measured: 2 kB of JSON about an item, as cheap as Python can answer.

What may be kept is said by the item's id: `u…` by nobody, `c…` by every cache. `n` tells how often the service has been
asked, which is how one sees from outside what came out of a cache. To run it: `python -m benchmarks._upstream PORT`.
"""

import sys
from typing import Any

PATH = "/api/v1/items/"
SIZE = 2048
_WORDS = b"A sturdy thing that has seen some summers, lent with its case and a page on how to hold it. " * 24
_HEAD = [(b"content-type", b"application/json"), (b"content-length", b"%d" % SIZE)]
_NOT_KEPT = [*_HEAD, (b"cache-control", b"no-store")]
_KEPT = [*_HEAD, (b"cache-control", b"public, s-maxage=600")]
_asked = 0


async def app(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    """GET /api/v1/items/ID."""
    global _asked
    item = scope["path"].removeprefix(PATH).encode()
    if item == b"n":
        body = b"%d" % _asked
        headers = [(b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store")]
    else:
        _asked += 1
        begun = b'{"id":"' + item + b'","version":1,"category":"other","description":"'
        body = begun + _WORDS[: SIZE - 2 - len(begun)] + b'"}'
        headers = [*_KEPT, (b"etag", b'"' + item + b'.1"')] if item[:1] == b"c" else _NOT_KEPT
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Serve until told to stop."""
    import uvicorn

    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        http="httptools",
        loop="uvloop",
        lifespan="off",
        ws="none",
        access_log=False,
        proxy_headers=False,
        log_level="warning",
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    main()
