"""The gateway's own HTTP, spoken to in raw bytes: strict, in order, in time, and the same by whichever way."""

import asyncio
import re
import time
from contextlib import suppress

import pytest

from commonry.gateway import heads, lane, limits, strict
from commonry.gateway.heads import head_of
from commonry.kit.asgi import answer, json_reply, problem_reply
from commonry.kit.peers import Far, Near
from commonry.kit.problems import MethodNotAllowed, NotFound, Unavailable
from commonry.kit.tags import kept
from commonry.kit.telemetry import refused
from tests.gateway.conftest import SERVICES, opened, until

HOST = b"host: x\r\n"
LONG = 300_000


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch):
    monkeypatch.setattr(lane, "SWEEP_SECONDS", 0.05)


class Town:
    """All four services: what they are asked is noted, what they answer depends on the path's last word."""

    def __init__(self):
        self.seen, self.bodies, self.left = [], [], 0
        self.go, self.begun = asyncio.Event(), asyncio.Event()

    @property
    def paths(self):
        return [path for _, path in self.seen]

    async def __call__(self, scope, receive, send):
        path = scope["path"]
        if path == "/internal/openapi.json":
            here = {"get": {"responses": {}}, "put": {"responses": {}}}
            return await answer(send, json_reply({"paths": {"/api/v1/items/{id}": here}}))
        if path == "/healthz":
            return await answer(send, json_reply({}))
        self.seen.append((scope["method"], path))
        self.begun.set()
        word = path.rpartition("/")[2]
        try:
            await getattr(self, word, self.plain)(scope, receive, send)
        except asyncio.CancelledError:
            self.left += 1
            raise

    async def plain(self, scope, receive, send):
        body = await read(receive)
        self.bodies.append(body)
        fields = {n.decode(): v.decode("latin-1") for n, v in scope["headers"]}
        told = {"method": scope["method"], "path": scope["path"], "query": scope["query_string"].decode()}
        told |= {"size": len(body), "fields": sorted(set(fields) - {"x-request-id", "traceparent", "host"})}
        await answer(send, json_reply(told))

    async def kept(self, scope, receive, send):
        headers = kept("items", seconds=60, everyone=True) | {"etag": '"1"'}
        await answer(send, json_reply({"kept": True})._replace(headers=headers))

    async def strangers(self, scope, receive, send):
        await answer(send, json_reply({"kept": "for strangers"})._replace(headers=kept("items", seconds=60)))

    async def odd(self, scope, receive, send):
        """Kept, and says itself what the edge would say."""
        headers = {
            "commonry-cache-control": "public, max-age=60",
            "x-request-id": "the service's",
            "content-security-policy": "default-src 'self'",
            "x-frame-options": "SAMEORIGIN",
        }
        await answer(send, json_reply({"kept": True})._replace(headers=headers))

    async def private(self, scope, receive, send):
        await answer(send, json_reply({})._replace(headers={"cache-control": "private, max-age=9", "x-a": "1"}))

    async def missing(self, scope, receive, send):
        await answer(send, problem_reply(NotFound()))

    async def gone(self, scope, receive, send):
        headers = {"cache-control": "max-age=60"}
        await answer(send, problem_reply(NotFound())._replace(headers=headers))

    async def wrong(self, scope, receive, send):
        await answer(send, problem_reply(MethodNotAllowed()))

    async def away(self, scope, receive, send):
        await answer(send, problem_reply(Unavailable(retry_after=7)))

    async def nothing(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": [(b"x-a", b"1")]})
        await send({"type": "http.response.body", "body": b""})

    async def moved(self, scope, receive, send):
        headers = [(b"location", b"/elsewhere"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def cookies(self, scope, receive, send):
        headers = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"cache-control", b"max-age=60")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x"})

    async def streamed(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1")]})
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def long(self, scope, receive, send):
        headers = [(b"content-length", b"%d" % LONG)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * LONG})

    async def broken(self, scope, receive, send):
        raise RuntimeError("password=hunter2")

    async def slow(self, scope, receive, send):
        await self.go.wait()
        await self.plain(scope, receive, send)

    async def split(self, scope, receive, send):
        """Tries to say more than its own fields."""
        headers = [(b"x-a", b"1\r\nset-cookie: stolen=1"), (b"cache-control", b"max-age=60")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x"})

    async def splituncached(self, scope, receive, send):
        headers = [(b"x-a", b"1\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x"})


async def read(receive):
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise asyncio.CancelledError
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


@pytest.fixture(params=["near", "far"])
async def town(request, served):
    """The services, near or far: `async with opened(town.peers())`."""
    made = Town()
    url = await served(made) if request.param == "far" else None

    def peers():
        return {name: Far(name, [url]) if url else Near(name, made) for name in SERVICES}

    made.peers, made.is_far = peers, bool(url)
    yield made
    made.go.set()


@pytest.fixture
async def near():
    made = Town()
    made.peers = lambda: {name: Near(name, made) for name in SERVICES}
    yield made
    made.go.set()


def get(path, more=b""):
    return b"GET %b HTTP/1.1\r\n%b%b\r\n" % (path, HOST, more)


ITEM = b"/api/v1/items/"
EITHER = (b"", b"authorization: Bearer x\r\n", b"connection: keep-alive, x\r\n")
"""By the fast lane, by the shortest way, and by the usual one."""


# the usual things


async def test_a_connection_is_kept(town):
    async with opened(town.peers()) as door:
        wire = await door.connect()
        for n in range(20):
            await wire.send(get(ITEM + b"%d" % n))
            assert (await wire.answer()).json["path"] == f"/api/v1/items/{n}"
        assert len(door.lanes) == 1
        wire.close()
        await until(lambda: not door.lanes)


async def test_requests_of_all_kinds_share_a_connection(town):
    post = b"POST /api/v1/items HTTP/1.1\r\n%bcontent-length: 3\r\n\r\nabc" % HOST
    async with opened(town.peers()) as door:
        wire = await door.connect()
        for _ in range(5):
            await wire.send(get(ITEM + b"kept"))
            assert (await wire.answer()).json == {"kept": True}
            await wire.send(post)
            assert (await wire.answer()).json["size"] == 3
            await wire.send(get(ITEM + b"plain", b"authorization: Bearer x\r\n"))
            assert (await wire.answer()).json["method"] == "GET"
            await wire.send(get(b"/healthz"))
            assert (await wire.answer()).json == {"status": "ok"}


async def test_a_request_in_pieces_is_a_request(town):
    whole = get(ITEM + b"7?q=a%20b", b"accept: text/csv\r\n")
    async with opened(town.peers()) as door:
        for cut in range(1, len(whole), 7):
            wire = await door.connect()
            await wire.send(whole[:cut])
            await until(lambda: any(each._in_message for each in door.lanes))
            await wire.send(whole[cut:])
            told = (await wire.answer()).json
            assert (told["path"], told["query"], told["fields"][0]) == ("/api/v1/items/7", "q=a%20b", "accept")
            wire.close()
            await until(lambda: not door.lanes)


@pytest.mark.parametrize("first", [b"slow", b"kept", b"plain", b"streamed", b"long"])
async def test_pipelined_requests_are_answered_in_order(town, first):
    """Also behind a slow one, whichever way that has taken."""
    async with opened(town.peers()) as door:
        wire = await door.connect()
        await wire.send(get(ITEM + first))
        await town.begun.wait()
        for n in range(20):
            await wire.send(get(ITEM + b"%d" % n) if n % 3 else get(ITEM + b"kept"))
        await wire.send(b"POST /api/v1/items/p HTTP/1.1\r\n%bcontent-length: 3\r\n\r\nabc" % HOST)
        town.go.set()
        assert (await wire.answer()).status == 200
        for n in range(20):
            told = (await wire.answer()).json
            assert told.get("path") == (f"/api/v1/items/{n}" if n % 3 else None)
        assert (await wire.answer()).json["size"] == 3


async def test_requests_in_one_packet_are_answered_in_order(town):
    async with opened(town.peers()) as door:
        wire = await door.connect()
        town.go.set()
        await wire.send(b"".join(get(ITEM + b"%d" % n) for n in range(10)) + get(ITEM + b"kept") * 3)
        for n in range(10):
            assert (await wire.answer()).json["path"] == f"/api/v1/items/{n}"
        for _ in range(3):
            assert (await wire.answer()).json == {"kept": True}


async def test_http_1_0_and_connection_close_are_answered_and_closed(town):
    for head in (
        b"GET %bplain HTTP/1.0\r\n\r\n" % ITEM,
        get(ITEM + b"plain", b"connection: close\r\n"),
        get(ITEM + b"kept", b"connection: close\r\n"),
        get(ITEM + b"kept", b"Connection: Close\r\n"),
    ):
        async with opened(town.peers()) as door:
            for _ in range(2):
                wire = await door.connect()
                await wire.send(head)
                got = await wire.answer()
                assert (got.status, got.headers.get("connection")) == (200, "close")
                assert await wire.rest() == b""


@pytest.mark.parametrize("word", [b"kept", b"plain", b"long", b"missing", b"nothing"])
async def test_head_is_get_without_its_body(town, word):
    async with opened(town.peers()) as door:
        wire = await door.connect()
        for _ in range(3):
            await wire.send(get(ITEM + word))
            whole = await wire.answer()
            await wire.send(get(ITEM + word).replace(b"GET", b"HEAD"))
            head = await wire.answer(of_head=True)
            assert head.status == whole.status
            assert head.headers.get("content-type") == whole.headers.get("content-type")
        await wire.send(get(b"/healthz"))
        assert (await wire.answer()).json == {"status": "ok"}  # not a byte of a body was in between


async def test_a_body_is_asked_for_only_when_it_is_wanted(town):
    async with opened(town.peers()) as door:
        wire = await door.connect()
        head = b"POST /api/v1/items HTTP/1.1\r\n%bexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
        await wire.send(head % (HOST, 3))
        assert (await wire.answer()).status == 100
        await wire.send(b"abc")
        assert (await wire.answer()).json["size"] == 3
        await wire.send(head % (HOST, 10**9))
        assert (await wire.answer()).status == 413


async def test_an_upload_in_chunks_arrives_whole(town):
    async with opened(town.peers()) as door:
        wire = await door.connect()
        await wire.send(b"POST /api/v1/items HTTP/1.1\r\n%btransfer-encoding: chunked\r\n\r\n" % HOST)
        for n in range(1, 50):
            await wire.send(b"%x;ext=%d\r\n%b\r\n" % (n * 100, n, b"x" * n * 100))
        await wire.send(b"0\r\n\r\n" + get(ITEM + b"kept"))
        assert (await wire.answer()).json["size"] == sum(n * 100 for n in range(1, 50))
        assert (await wire.answer()).json == {"kept": True}


@pytest.mark.parametrize("whole", [True, False], ids=["in one packet", "in two"])
async def test_trailers_are_no_fields(town, whole):
    head = b"POST /api/v1/items HTTP/1.1\r\n%btransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n" % HOST
    trailers = b"0\r\nauthorization: Bearer stolen\r\nhost: other\r\nx-late: 1\r\n\r\n"
    async with opened(town.peers()) as door:
        got = await door.spoken(*([head + trailers] if whole else [head, trailers]))
        assert (got.status, got.json["size"]) == (200, 3)
        assert not {"authorization", "x-late"} & set(got.json["fields"])


@pytest.mark.parametrize(
    ("target", "status", "path"),
    [
        (b"http://other.test/api/v1/items/7?q=1", 200, "/api/v1/items/7"),
        (b"/api/v1/items/a%20b", 200, "/api/v1/items/a b"),
        (b"/api/v1/%69tems/7", 200, "/api/v1/items/7"),
        (b"/api/v1/items/%E4%B8%AD", 200, "/api/v1/items/中"),
        (b"/api/v1/items/7?", 200, "/api/v1/items/7"),
        (b"/api/v1/items/7?a=?b=?", 200, "/api/v1/items/7"),
        (b"/api/v1/items/7#part", 200, "/api/v1/items/7"),
        (b"/api/v1/items/7%2freviews", 200, "/api/v1/items/7/reviews"),
        (b"//api/v1/items/7", 404, None),
        (b"/api/v1/items/%2e%2e/%2e%2e/%2e%2e/internal/openapi.json", 404, None),
        (b"/api/v1/items/../../../internal/openapi.json", 404, None),
        (b"/api/v1/items/..%2f..%2f..%2finternal/openapi.json", 404, None),
        (b"/internal/openapi.json", 404, None),
        (b"/%69nternal/openapi.json", 404, None),
        (b"*", 404, None),
    ],
)
@pytest.mark.parametrize("more", [b"", b"authorization: Bearer x\r\n", b"connection: close\r\n"])
async def test_targets_mean_the_same_by_every_way(near, target, status, path, more):
    async with opened(near.peers()) as door:
        for _ in range(3):
            got = await door.spoken(get(target, more))
            assert got.status == status
            assert path is None or got.json["path"] == path
        assert set(near.paths) <= {path}


@pytest.mark.parametrize(
    "target", [b"relative", b"http://", b"/a b", b"/\x00", b"/\xff\xfe", b"x:443", b"/%", b"/%zz", b""]
)
async def test_an_odd_target_is_a_problem(near, target):
    async with opened(near.peers()) as door:
        got = await door.spoken(get(target))
        assert 400 <= got.status < 500
        assert got.headers["content-type"] == "application/problem+json"
    assert near.seen == []


@pytest.mark.parametrize("method", [b"CONNECT", b"TRACE", b"OPTIONS", b"PRI", b"BREW", b"get"])
async def test_an_odd_method_harms_nobody(near, method):
    async with opened(near.peers()) as door:
        got = await door.spoken(method + get(ITEM + b"7")[3:])
        assert got.status < 500
        wire = await door.connect()
        await wire.send(get(b"/healthz"))
        assert (await wire.answer()).status == 200


async def test_an_upgrade_is_not_taken_up(near):
    async with opened(near.peers()) as door:
        wire = await door.connect()
        await wire.send(
            get(ITEM + b"7", b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMA\r\n")
        )
        got = await wire.answer()
        assert (got.status, got.json["path"]) == (200, "/api/v1/items/7")


# the same by whichever way


async def sequence(door, requests, *, split):
    """The answers to these requests, on one connection; each sent whole, or in two packets."""
    wire, found = await door.connect(), []
    for request in requests:
        if split:
            await wire.send(request[:9])
            await until(lambda: any(each._in_message for each in door.lanes))
            request = request[9:]
        await wire.send(request)
        got = await wire.answer()
        found.append((got.status, comparable(got.headers.pairs), got.body))
    wire.close()
    return found


def comparable(pairs):
    told = []
    for name, value in pairs:
        if name in ("transfer-encoding", "content-length"):
            continue  # a short answer that came in chunks may go on whole
        if name in ("date", "age", "x-request-id"):
            value = "*"
        told.append((name, re.sub(r"ttl=\d+", "ttl=*", value)))
    return sorted(told)


WORDS = "kept strangers odd private missing gone wrong away nothing moved cookies streamed long plain plain?q=1".split()
WAYS = {
    "anyone": b"",
    "signed in": b"authorization: Bearer x\r\n",
    "has it": b'if-none-match: "1"\r\n',
    "insists": b"cache-control: no-cache\r\n",
    "only cached": b"cache-control: only-if-cached\r\n",
    "keeps nothing": b"cache-control: no-store\r\n",
    "a part": b"range: bytes=0-1\r\n",
    "with an id": b"x-request-id: mine\r\naccept-language: de\r\n",
}


@pytest.mark.parametrize("word", WORDS)
async def test_an_answer_is_the_same_by_the_fast_lane_and_the_usual_way(town, word, monkeypatch):
    took, real = [], lane.Lane._took
    monkeypatch.setattr(lane.Lane, "_took", lambda self, data: took.append(real(self, data)) or took[-1])
    requests = [get(ITEM + word.encode(), more) for more in WAYS.values() for _ in range(3)]
    async with opened(town.peers()) as door:
        fast = await sequence(door, requests, split=False)
    assert took.count(True) == len(requests)
    async with opened(town.peers()) as door:
        usual = await sequence(door, requests, split=True)
    assert len(took) == len(requests)
    for request, one, other in zip(requests, fast, usual, strict=True):
        assert one == other, request


@pytest.mark.parametrize("target", [b"/healthz", b"/nothing", b"/problems", b"/api/v1/nothing"])
async def test_the_gateways_own_answers_are_the_same_too(near, target):
    requests = [get(target, more) for more in WAYS.values()]
    async with opened(near.peers()) as door:
        assert await sequence(door, requests, split=False) == await sequence(door, requests, split=True)


async def test_no_field_is_said_twice(town):
    """But those that may be."""
    async with opened(town.peers()) as door:
        for word in WORDS:
            for _ in range(3):
                for more in (b"", b"authorization: Bearer x\r\n"):
                    got = await door.spoken(get(ITEM + word.encode(), more))
                    names = [name for name, _ in got.headers.pairs if name not in ("set-cookie", "vary")]
                    assert len(names) == len(set(names)), (word, got.headers.pairs)
                    assert not [name for name in names if name.startswith("commonry-")]


async def test_a_405_says_what_would_do(town):
    async with opened(town.peers()) as door:
        for more in (b"", b"authorization: Bearer x\r\n", b"connection: close\r\n"):
            for _ in range(3):
                got = await door.spoken(get(ITEM + b"wrong", more))
                assert (got.status, got.headers["allow"]) == (405, "GET, HEAD, PUT")


async def test_a_service_that_breaks_is_a_500_problem(near):
    async with opened(near.peers()) as door:
        for more in EITHER:
            got = await door.spoken(get(ITEM + b"broken", more))
            assert (got.status, got.json["type"]) == (500, "/problems/internal-error")
            assert b"hunter2" not in got.body


@pytest.mark.parametrize("word", [b"split", b"splituncached"])
@pytest.mark.parametrize("more", [b"", b"authorization: Bearer x\r\n", b"connection: close\r\n"])
async def test_a_line_break_in_an_answers_field_never_reaches_the_client(near, word, more):
    async with opened(near.peers()) as door:
        for _ in range(3):
            wire = await door.connect()
            await wire.send(get(ITEM + word, more))
            await wire.send(get(b"/healthz", b"connection: close\r\n"))
            got = await wire.rest()
            assert b"\nset-cookie:" not in got
            assert b"\r\n\r\nstolen" not in got
            assert got.count(b"HTTP/1.1 ") <= 2


# what two programs could understand differently

SMUGGLED = get(ITEM + b"smuggled")
CHUNKED = b"transfer-encoding: chunked\r\n"
FORGED = {
    "length and chunks": (b"content-length: 5\r\n" + CHUNKED, b"0\r\n\r\n" + SMUGGLED),
    "chunks and length": (CHUNKED + b"content-length: 5\r\n", b"0\r\n\r\n" + SMUGGLED),
    "two lengths": (b"content-length: 5\r\ncontent-length: 5\r\n", b"abcde" + SMUGGLED),
    "two other lengths": (b"content-length: 5\r\ncontent-length: 0\r\n", b"abcde" + SMUGGLED),
    "a list of lengths": (b"content-length: 1, 1\r\n", b"a" + SMUGGLED),
    "negative length": (b"content-length: -1\r\n", SMUGGLED),
    "signed length": (b"content-length: +5\r\n", b"abcde" + SMUGGLED),
    "hex length": (b"content-length: 0x5\r\n", b"abcde" + SMUGGLED),
    "length with a space in it": (b"content-length: 1 0\r\n", b"abcde" + SMUGGLED),
    "huge length": (b"content-length: 99999999999999999999\r\n", SMUGGLED),
    "empty length": (b"content-length: \r\n", SMUGGLED),
    "other digits": ("content-length: ٣\r\n".encode(), b"abc" + SMUGGLED),
    "xchunked": (b"transfer-encoding: xchunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "chunked, identity": (b"transfer-encoding: chunked, identity\r\n", b"0\r\n\r\n" + SMUGGLED),
    "identity": (b"transfer-encoding: identity\r\n", SMUGGLED),
    "gzip, chunked": (b"transfer-encoding: gzip, chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "chunked twice": (CHUNKED * 2, b"0\r\n\r\n" + SMUGGLED),
    "chunked, then identity": (CHUNKED + b"transfer-encoding: identity\r\n", b"0\r\n\r\n" + SMUGGLED),
    "chunked in a list twice": (b"transfer-encoding: chunked, chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "quoted chunked": (b'transfer-encoding: "chunked"\r\n', b"0\r\n\r\n" + SMUGGLED),
    "chunked with a tail": (b"transfer-encoding: chunked;x=1\r\n", b"0\r\n\r\n" + SMUGGLED),
    "chunked after a tab": (b"transfer-encoding:\x0bchunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "empty coding": (b"transfer-encoding:\r\n", SMUGGLED),
    "folded coding": (b"transfer-encoding:\r\n chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "folded length": (b"content-length:\r\n 5\r\n", b"abcde" + SMUGGLED),
    "folded field": (b"x-a: 1\r\n continued\r\n", SMUGGLED),
    "folded with a tab": (b"x-a: 1\r\n\tcontent-length: 5\r\n", SMUGGLED),
    "fold at once": (b" x-a: 1\r\n", SMUGGLED),
    "space before the colon": (b"content-length : 5\r\n", b"abcde" + SMUGGLED),
    "space before chunked's colon": (b"transfer-encoding : chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "space in a name": (b"x a: 1\r\n", SMUGGLED),
    "no colon": (b"content-length\r\n", SMUGGLED),
    "no name": (b": 5\r\n", SMUGGLED),
    "odd name": (b"x\x00a: 1\r\n", SMUGGLED),
    "nul in a value": (b"x-a: 1\x002\r\n", SMUGGLED),
    "cr in a value": (b"x-a: 1\rcontent-length: 5\r\n", SMUGGLED),
    "lf in a value": (b"x-a: 1\ncontent-length: 5\r\n", b"abcde" + SMUGGLED),
    "a bare lf at the end": (b"x-a: 1\n", SMUGGLED),
    "a bare cr at the end": (b"x-a: 1\r", SMUGGLED),
    "two hosts": (b"host: y\r\n", SMUGGLED),
    "chunk size with a sign": (CHUNKED, b"-1\r\na\r\n0\r\n\r\n" + SMUGGLED),
    "chunk size in 0x": (CHUNKED, b"0x1\r\na\r\n0\r\n\r\n" + SMUGGLED),
    "chunk size with a space": (CHUNKED, b"1 \r\na\r\n0\r\n\r\n" + SMUGGLED),
    "chunk size after a space": (CHUNKED, b" 1\r\na\r\n0\r\n\r\n" + SMUGGLED),
    "huge chunk size": (CHUNKED, b"fffffffffffffffff1\r\na\r\n0\r\n\r\n" + SMUGGLED),
    "no chunk size": (CHUNKED, b"\r\na\r\n0\r\n\r\n" + SMUGGLED),
    "chunk size with a bare lf": (CHUNKED, b"1\na\r\n0\r\n\r\n" + SMUGGLED),
    "chunk with a bare lf": (CHUNKED, b"1\r\na\n0\r\n\r\n" + SMUGGLED),
    "chunk longer than said": (CHUNKED, b"1\r\nab\r\n0\r\n\r\n" + SMUGGLED),
    "bare lf in an extension": (CHUNKED, b"1;x\na\r\n0\r\n\r\n" + SMUGGLED),
    "last chunk with a bare lf": (CHUNKED, b"0\n\n" + SMUGGLED),
    "length among the trailers": (CHUNKED, b"0\r\ncontent-length: 60\r\n\r\n" + SMUGGLED),
    "folded trailer": (CHUNKED, b"0\r\nx-a: 1\r\n b\r\n\r\n" + SMUGGLED),
}


@pytest.mark.parametrize("pieces", ["at once", "head first", "byte by byte"])
async def test_what_could_be_understood_in_two_ways_is_refused_and_the_connection_closed(near, pieces):
    async with opened(near.peers()) as door:
        for how, (fields, body) in FORGED.items():
            head = b"POST /api/v1/items/forged HTTP/1.1\r\n%b%b\r\n" % (HOST, fields)
            whole = [head + body]
            sent = {"at once": whole, "head first": [head, body], "byte by byte": bytes_of(whole[0])}[pieces]
            got = await said_to(door, *sent)
            assert_refused(got, why=how)
            assert near.bodies == [], how
    assert "/api/v1/items/smuggled" not in near.paths


async def said_to(door, *pieces):
    """All that a connection answers to these pieces until it is closed."""
    wire = await door.connect()
    got = asyncio.ensure_future(wire.rest())
    for piece in pieces:
        if not wire.writer.transport.is_closing():
            wire.writer.write(piece)
        await asyncio.sleep(0)
    return await got


def bytes_of(data):
    return (data[n : n + 1] for n in range(len(data)))


def assert_refused(got, *statuses, why=""):
    """One answer, a problem document that says that it is the last one; and nothing after it."""
    assert got.startswith(b"HTTP/1.1 4"), (why, got)
    head, _, body = got.partition(b"\r\n\r\n")
    status = int(head[9:12])
    assert status in (statuses or range(400, 500)), (why, got)
    assert b"\r\ncontent-type: application/problem+json" in head
    assert b"\r\nconnection: close" in head
    assert b"\r\nx-content-type-options: nosniff" in head
    length = int(re.search(rb"content-length: (\d+)", head)[1])
    assert len(body) == length
    assert b'"status":%d' % status in body


@pytest.mark.parametrize(
    "head",
    [
        b"GET /api/v1/items/forged HTTP/1.1\r\n\r\n",
        b"GET /api/v1/items/forged HTTP/1.1\r\naccept: */*\r\n\r\n",
        b"GET /api/v1/items/forged HTTP/1.1\nhost: x\n\n",
        b"GET /api/v1/items/forged HTTP/1.1\r\nhost: x\n\r\n",
        b"GET\t/api/v1/items/forged HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /api/v1/items/forged HTTP/1.1 \r\nhost: x\r\n\r\n",
        b"GET /api/v1/items/forged HTTP/1.10\r\nhost: x\r\n\r\n",
        b"GET /api/v1/items/forged HTTP/01.1\r\nhost: x\r\n\r\n",
        b"GET /api/v1/items/forged HTTP/2.0\r\n\r\n",
        b"GET /api/v1/items/forged HTTP/0.9\r\n\r\n",
        b"GET /api/v1/items/forged http/1.1\r\nhost: x\r\n\r\n",
        b"GET /api/v1/items/forged\r\n\r\n",
        b"GET /api/v1/items/forged HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b" GET /api/v1/items/forged HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_what_is_not_http_1_1_is_refused(near, head):
    async with opened(near.peers()) as door:
        assert_refused(await said_to(door, head + SMUGGLED))
    assert near.seen == []


async def test_a_refusal_never_overtakes_the_answer_of_a_request_before_it(near):
    async with opened(near.peers()) as door:
        for first in (get(ITEM + b"slow"), get(ITEM + b"slow", b"connection: keep-alive, x\r\n")):
            near.go.clear()
            near.begun.clear()
            wire = await door.connect()
            await wire.send(first)
            await near.begun.wait()
            await wire.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n")
            await asyncio.sleep(0.05)
            near.go.set()
            got = await wire.rest()
            assert not got.startswith(b"HTTP/1.1 4")


async def test_a_get_with_a_body_does_not_leave_it_for_the_next(near):
    async with opened(near.peers()) as door:
        wire = await door.connect()
        body = get(ITEM + b"smuggled")
        await wire.send(get(ITEM + b"7", b"content-length: %d\r\n" % len(body)) + body)
        assert (await wire.answer()).json["size"] == len(body)
        await wire.send(
            get(ITEM + b"8", b"transfer-encoding: chunked\r\n") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        )
        assert (await wire.answer()).json["size"] == len(body)
        await wire.send(get(b"/healthz"))
        assert (await wire.answer()).json == {"status": "ok"}
    assert near.paths == ["/api/v1/items/7", "/api/v1/items/8"]


async def test_a_refused_body_is_not_read_as_a_request(near, monkeypatch):
    """Too large: whatever comes after the refusal is the rest of the body."""
    monkeypatch.setattr(limits, "DRAIN_SECONDS", 0.2)
    async with opened(near.peers(), max_body=1024) as door:
        for fields, before in ((b"content-length: 2000\r\n", b""), (CHUNKED, b"800\r\n" + b"x" * 2048 + b"\r\n")):
            wire = await door.connect()
            await wire.send(b"POST /api/v1/items/forged HTTP/1.1\r\n%b%b\r\n%b" % (HOST, fields, before))
            assert (await wire.answer()).status == 413
            wire.writer.write(SMUGGLED * 20)
            got = await wire.rest()
            assert b"HTTP/1.1" not in got
    assert "/api/v1/items/smuggled" not in near.paths


@pytest.mark.parametrize(
    "more", [b"", b"connection: close\r\n", b"upgrade: h2c\r\n", b"nonsense\r\n", b"x-a: 1\r\n b\r\n"]
)
@pytest.mark.parametrize("name", [b"authorization", b"Authorization", b"COOKIE", b"authorization "])
def test_no_token_is_remembered(name, more):
    """Heads are, so that they need not be parsed again; those that say who asks are not, be they good or bad."""
    head_of(HOST + name + b": secret\r\n" + more + b"\r\n")
    head_of(HOST + more + b"x-test: remembered\r\n\r\n")
    assert not any(b"secret" in block for block in heads._known)
    assert any(b"remembered" in block for block in heads._known)


# sizes


async def test_ten_thousand_fields_are_refused_in_bounded_memory(near):
    async with opened(near.peers()) as door:
        for line in (b"x-%d: %b\r\n", b"X%d:%.1b\r\n"):
            flood = b"".join(line % (n, b"y" * 40) for n in range(10_000))
            assert_refused(await said_to(door, b"GET / HTTP/1.1\r\n" + HOST + flood + b"\r\n"), 431)
            await until(lambda: not door.lanes)
    assert near.seen == []


@pytest.mark.parametrize("pieces", [1, 2, 10, 400])
@pytest.mark.parametrize("where", ["fields", "one value", "one name", "target"])
async def test_a_head_of_forty_kilobytes_is_refused(near, where, pieces):
    big = b"y" * 40_000
    head = {
        "fields": b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"x-%d: %b\r\n" % (n, b"y" * 1000) for n in range(40)),
        "one value": b"GET / HTTP/1.1\r\n" + HOST + b"x-a: " + big + b"\r\n",
        "one name": b"GET / HTTP/1.1\r\n" + HOST + big + b": 1\r\n",
        "target": b"GET /api/v1/items/" + big + b" HTTP/1.1\r\n" + HOST,
    }[where] + b"\r\n"
    size = len(head) // pieces + 1
    async with opened(near.peers()) as door:
        assert_refused(await said_to(door, *(head[n * size : (n + 1) * size] for n in range(pieces))), 431)
    assert near.seen == []


async def test_a_head_of_thirty_kilobytes_is_fine(near):
    async with opened(near.peers()) as door:
        got = await door.spoken(get(ITEM + b"7", b"x-a: " + b"y" * 30_000 + b"\r\n"))
        assert got.status == 200


@pytest.mark.parametrize("what", ["trailers", "one trailer", "chunk extension"])
async def test_what_never_ends_beside_a_body_is_refused(near, what):
    endless = {
        "trailers": (b"1\r\na\r\n0\r\n", b"x-a: " + b"y" * 1000 + b"\r\n"),
        "one trailer": (b"1\r\na\r\n0\r\nx-a: ", b"y" * 1000),
        "chunk extension": (b"1;x=", b"y" * 1000),
    }
    begin, more = endless[what]
    async with opened(near.peers()) as door:
        wire = await door.connect()
        await wire.send(b"POST /api/v1/items/7 HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n" + begin)
        sent = 0
        try:
            while sent < 50_000_000:
                await wire.send(more * 20)
                sent += len(more) * 20
                await asyncio.sleep(0)
        except ConnectionError:
            pass
        assert sent < 50_000_000
        await until(lambda: not door.lanes)


# time


async def test_a_header_that_drips_is_refused_in_time(near):
    async with opened(near.peers(), header_seconds=0.3) as door:
        for whole in (get(ITEM + b"7", b"x-a: " + b"y" * 1000 + b"\r\n"), b"GET / HTTP/1.1\r\n", b"G"):
            began = time.monotonic()  # before it is connected: from then on the gateway counts
            wire = await door.connect()
            got = asyncio.ensure_future(wire.rest())
            for byte in bytes_of(whole):
                if not wire.writer.transport.is_closing():
                    wire.writer.write(byte)
                await asyncio.wait((got,), timeout=0.01)
                if got.done():
                    break
            assert_refused(await got, 408)
            assert 0.3 <= time.monotonic() - began < 5


async def test_a_second_header_that_drips_is_refused_too(near):
    async with opened(near.peers(), header_seconds=0.2) as door:
        for first in (get(ITEM + b"7"), get(ITEM + b"7", b"connection: keep-alive, x\r\n")):
            wire = await door.connect()
            await wire.send(first)
            assert (await wire.answer()).status == 200
            await wire.send(b"GET / HT")
            assert_refused(await wire.rest(), 408)


async def test_a_connection_may_be_idle_longer_than_a_header_may_take(near):
    async with opened(near.peers(), header_seconds=0.1) as door:
        wire = await door.connect()
        await asyncio.sleep(0.3)
        await wire.send(get(ITEM + b"7"))
        assert (await wire.answer()).status == 200
        await asyncio.sleep(0.3)
        await wire.send(get(ITEM + b"7"))
        assert (await wire.answer()).status == 200


async def test_an_idle_connection_is_closed_in_the_end(near, monkeypatch):
    monkeypatch.setattr(strict, "KEPT_ALIVE", 0.2)
    async with opened(near.peers()) as door:
        silent, spoke = await door.connect(), await door.connect()
        await spoke.send(get(ITEM + b"7"))
        assert (await spoke.answer()).status == 200
        assert await silent.rest(2) == b""
        assert await spoke.rest(2) == b""


def posted(length):
    return b"POST " + ITEM + b"7 HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % length


async def test_a_body_that_does_not_come_is_not_waited_for(near):
    async with opened(near.peers(), header_seconds=0.2) as door:
        wire = await door.connect()
        await wire.send(posted(1000))
        assert_refused(await wire.rest(5), 408)


async def test_a_body_that_trickles_is_not_waited_for(near, monkeypatch):
    monkeypatch.setattr(strict, "SLOWEST", 10_000)
    async with opened(near.peers(), header_seconds=0.3) as door:
        wire = await door.connect()
        await wire.send(posted(100_000))
        sending = asyncio.ensure_future(_dripped(wire))
        assert_refused(await wire.rest(8), 408)
        sending.cancel()


async def _dripped(wire):
    with suppress(ConnectionError, OSError):
        while True:
            await wire.send(b"x")
            await asyncio.sleep(0.05)


async def test_what_is_refused_unread_is_counted_and_logged(near, monkeypatch):
    logged = []
    monkeypatch.setattr("commonry.gateway.strict.access.request", lambda *told: logged.append(told[:3]))
    before = refused.labels("bad-request")._value.get()
    async with opened(near.peers()) as door:
        wire = await door.connect()
        await wire.send(b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n")
        assert_refused(await wire.rest(), 400)
    assert refused.labels("bad-request")._value.get() == before + 1
    assert logged == [("-", "unread", 400)]


@pytest.mark.parametrize("more", EITHER, ids=["from memory", "signed in", "the usual way"])
async def test_every_answer_to_a_limited_client_says_what_is_left(town, more):
    async with opened(town.peers(), limit_reads="1/h,50") as door:
        wire, left = await door.connect(), []
        for _ in range(6):
            await wire.send(get(ITEM + b"7", more))
            left.append((await wire.answer()).headers["ratelimit"].split(";")[1])
        assert left == [f"r={n}" for n in range(49, 43, -1)]


ANSWER = 20_000_000


BIG = {"whole": (1, []), "pieces": (100, []), "big": (1, [(b"cache-control", b"public, max-age=60")])}
SLOWLY = [(word, more) for word in BIG for more in (b"", b"connection: keep-alive, x\r\n")]
"""By the fast lane, and by the usual way."""


async def poured(scope, receive, send):
    """A big answer: in one piece, in many, or to be kept."""
    pieces, more = BIG[scope["path"].rpartition("/")[2]]
    headers = [(b"content-length", b"%d" % ANSWER), *more]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for n in range(1, pieces + 1):
        await send({"type": "http.response.body", "body": b"x" * (ANSWER // pieces), "more_body": n < pieces})


@pytest.fixture
async def pouring(near):
    near.whole = near.pieces = near.big = poured
    return near


async def test_who_does_not_read_is_cut_off(pouring):
    async def one(door, word, more):
        wire = await door.connect(receive_buffer=4096)
        wire.writer.transport.pause_reading()
        await wire.send(get(ITEM + word.encode(), more))
        return wire

    async with opened(pouring.peers(), send_seconds=0.3, cache_bytes=ANSWER * 10) as door:
        for _ in range(2):
            began = time.monotonic()
            wires = await asyncio.gather(*(one(door, *how) for how in SLOWLY))
            await until(lambda: len(door.lanes) == len(SLOWLY))
            await until(lambda: not door.lanes)
            assert 0.3 <= time.monotonic() - began < 5
            for wire in wires:
                wire.close()


async def test_who_reads_slowly_gets_everything(pouring):
    """Longer than `send_seconds` in all, but never so long without taking anything."""

    async def one(door, word, more):
        wire = await door.connect(receive_buffer=300_000, limit=2**16)
        await wire.send(get(ITEM + word.encode(), more))
        await wire.reader.readuntil(b"\r\n\r\n")
        got, began = 0, time.monotonic()
        while got < ANSWER:
            got += len(await asyncio.wait_for(wire.reader.readexactly(min(500_000, ANSWER - got)), 5))
            await asyncio.sleep(0.03)
        assert time.monotonic() - began > 1

    async with opened(pouring.peers(), send_seconds=0.7, cache_bytes=ANSWER * 10) as door:
        await asyncio.gather(*(one(door, *how) for how in SLOWLY))


@pytest.mark.parametrize("word", [b"kept", b"plain"])
async def test_who_asks_and_asks_without_reading_fills_no_memory(near, word):
    body = b"x" * 500_000

    async def large(scope, receive, send):
        headers = [(b"cache-control", b"public, max-age=60")] if word == b"kept" else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    setattr(near, word.decode(), large)
    async with opened(near.peers(), cache_bytes=2**26) as door:
        await door.spoken(get(ITEM + word))
        wire = await door.connect(receive_buffer=4096)
        wire.writer.transport.pause_reading()
        most = 0
        for _ in range(200):
            wire.writer.write(get(ITEM + word))
            await asyncio.sleep(0.001)
            most = max([most, *(each.transport.get_write_buffer_size() for each in door.lanes)])
        assert 0 < most <= 3 * len(body)


async def test_a_service_that_never_answers_is_a_503_in_time(town):
    async def one(door, more):
        wire = await door.connect()
        for _ in range(2):
            began = time.monotonic()
            await wire.send(get(ITEM + b"slow", more))
            got = await wire.answer()
            assert (got.status, got.json["type"]) == (503, "/problems/unavailable")
            assert int(got.headers["retry-after"]) >= 1
            assert time.monotonic() - began < 4

    async with opened(town.peers(), answer_seconds=0.4) as door:
        await asyncio.gather(*(one(door, more) for more in EITHER))


async def test_all_who_wait_for_a_service_that_never_answers_get_a_503(town):
    async with opened(town.peers(), answer_seconds=0.4) as door:
        began = time.monotonic()
        found = await asyncio.gather(*(door.spoken(get(ITEM + b"slow")) for _ in range(20)))
        assert [got.status for got in found] == [503] * 20
        assert time.monotonic() - began < 4


async def test_an_answer_that_has_begun_may_take_its_time(town):
    async def begins(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.3)
        await send({"type": "http.response.body", "body": b"late", "more_body": True})
        await asyncio.sleep(0.1)
        await send({"type": "http.response.body", "body": b" and later"})

    async def one(door, more):
        wire = await door.connect()
        for _ in range(2):
            await wire.send(get(ITEM + b"begins", more))
            got = await wire.answer()
            assert (got.status, got.body) == (200, b"late and later")

    town.begins = begins
    async with opened(town.peers(), answer_seconds=0.15 if not town.is_far else 0.5) as door:
        await asyncio.gather(*(one(door, more) for more in EITHER))


@pytest.mark.parametrize("more", [b"", b"authorization: Bearer x\r\n"])
async def test_who_goes_on_sending_stretches_nothing(near, more):
    async with opened(near.peers(), answer_seconds=0.4) as door:
        wire = await door.connect()
        await wire.send(get(ITEM + b"slow", more))
        got = asyncio.ensure_future(wire.answer())
        while not got.done():
            wire.writer.write(b"G" if near.paths.count("x") else b"\r\n")
            await asyncio.wait((got,), timeout=0.03)
        assert (await got).status == 503


# leaving


@pytest.mark.parametrize("more", EITHER)
async def test_a_client_that_leaves_takes_its_request_along(town, more):
    async def waits(scope, receive, send):
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            gone.append(scope)

    town.waits, gone = waits, []
    async with opened(town.peers()) as door:
        await door.spoken(get(ITEM + b"plain", more))
        for n in range(1, 4):
            town.begun.clear()
            wire = await door.connect()
            await wire.send(get(ITEM + b"waits", more))
            await town.begun.wait()
            wire.close()
            await until(lambda n=n: len(gone) == n)
        await until(lambda: not door.app.edge.under_way)
        assert door.app.edge.under_way == 0


async def test_a_client_that_leaves_a_long_answer_ends_it(near):
    written = [0]

    async def pours(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(2000):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            written[0] += 1
        await send({"type": "http.response.body", "body": b""})

    near.pours = pours
    async with opened(near.peers()) as door:
        for more in (b"", b"authorization: Bearer x\r\n"):
            written[0] = 0
            wire = await door.connect(receive_buffer=65536, limit=65536)
            await wire.send(get(ITEM + b"pours", more))
            await wire.reader.readexactly(100_000)
            wire.close()
            await until(lambda: not door.lanes)
            before = written[0]
            await asyncio.sleep(0.05)
            assert written[0] <= before + 1 < 2000


async def test_a_graceful_stop_finishes_what_is_under_way(town):
    async with opened(town.peers()) as door:
        for more in EITHER:
            await door.spoken(get(ITEM + b"plain", more))
        *busy, idle = [await door.connect() for _ in range(len(EITHER) + 1)]
        for wire, more in zip(busy, EITHER, strict=True):
            await wire.send(get(ITEM + b"slow", more))
        await until(lambda: len([each for each in door.lanes if each._quick or each._is_answering()]) == len(busy))
        door.stop()
        assert await idle.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            await door.connect()
        town.go.set()
        for wire in busy:
            got = await wire.answer()
            assert (got.status, got.json["path"]) == (200, "/api/v1/items/slow")
            assert await wire.rest() == b""
        await asyncio.wait_for(door.serving, 5)


# the relay


CUT = b"<and then it hangs up>"


class Wild:
    """A far service in raw bytes: `script` has what is said to the next requests."""

    def __init__(self):
        self.script, self.requests = [], []

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def _serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b" /healthz " in head:
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    continue
                self.requests.append(head)
                what = self.script.pop(0) if self.script else b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
                writer.write(what.removesuffix(CUT))
                if what.endswith(CUT):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def wild():
    made = await Wild().start()
    made.peers = lambda: {name: Far(name, [made.url]) for name in SERVICES}
    yield made
    made.server.close()


MINE = b"authorization: Bearer x\r\n"


async def test_a_connection_that_has_become_old_is_not_the_clients_trouble(wild):
    async with opened(wild.peers()) as door:
        wire = await door.connect()
        for n in range(5):
            await wire.send(get(ITEM + b"%d" % n, MINE))
            assert (await wire.answer()).body == b"ok"
            wild.script = [CUT] if n % 2 else []
        assert len(wild.requests) == 7


async def test_a_read_that_fails_is_made_again(wild):
    async with opened(wild.peers()) as door:
        other = await Wild().start()
        door.app.protocol.services["inventory"].replicas.all.append(
            door.app.protocol.services["inventory"].replicas._replica(other.url)
        )
        wire = await door.connect()
        for _ in range(4):
            await wire.send(get(ITEM + b"7", MINE))
            assert (await wire.answer()).body == b"ok"
        wild.script = [b"HTTP/1.1 200 OK\r\ncontent-le" + CUT, b"nonsense\r\n\r\n"]
        for _ in range(6):
            await wire.send(get(ITEM + b"7", MINE))
            assert (await wire.answer()).body == b"ok"
        other.server.close()


async def test_a_failure_that_stays_is_a_503(wild):
    async with opened(wild.peers()) as door:
        wire = await door.connect()
        await wire.send(get(ITEM + b"7", MINE))
        assert (await wire.answer()).body == b"ok"
        wild.script = [b"nonsense\r\n\r\n"] * 5
        await wire.send(get(ITEM + b"7", MINE))
        got = await wire.answer()
        assert (got.status, got.json["type"]) == (503, "/problems/unavailable")
        assert "retry-after" in got.headers


async def test_a_long_answer_of_a_far_service_is_streamed(wild):
    body = bytes(range(256)) * 1000
    async with opened(wild.peers()) as door:
        wire = await door.connect()
        for n in range(6):
            wild.script = [b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body] if n % 2 else []
            await wire.send(get(ITEM + b"7", MINE))
            assert (await wire.answer()).body == (body if n % 2 else b"ok")
        chunks = b"".join(b"%x\r\n%b\r\n" % (1000, body[:1000]) for _ in range(200)) + b"0\r\nx-late: 1\r\n\r\n"
        wild.script = [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks]
        await wire.send(get(ITEM + b"7", MINE))
        got = await wire.answer()
        assert (len(got.body), "x-late" in got.headers) == (200_000, False)


async def test_a_long_answer_that_breaks_off_is_not_taken_for_whole(wild):
    async with opened(wild.peers()) as door:
        for head in (b"content-length: 200000\r\n", b"transfer-encoding: chunked\r\n"):
            wire = await door.connect()
            await wire.send(get(ITEM + b"7", MINE))
            assert (await wire.answer()).body == b"ok"
            begin = b"30d40\r\n" if head.startswith(b"t") else b""
            wild.script = [b"HTTP/1.1 200 OK\r\n%b\r\n%b" % (head, begin) + b"x" * 100_000 + CUT]
            await wire.send(get(ITEM + b"7", MINE))
            got = await wire.rest()
            assert len(got) < 200_000
            assert not got.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    "answer_",
    [
        b"HTTP/1.1 200 OK\r\nx-a: 1\r\n set-cookie: stolen\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nx-a: 1\rset-cookie: stolen\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nx-a: 1\nset-cookie: stolen\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\nstolen",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nset-cookie: stolen\r\n\r\nstolen",
    ],
)
@pytest.mark.parametrize("more", [b"", MINE])
async def test_a_far_service_cannot_say_more_than_one_answer(wild, answer_, more):
    async with opened(wild.peers()) as door:
        wire = await door.connect()
        for n in range(6):
            wild.script = [answer_] if n % 2 else []
            await wire.send(get(ITEM + b"7", more))
            got = await wire.answer()
            assert got.status in (200, 503)
            assert b"stolen" not in got.body
            assert "set-cookie" not in got.headers


async def test_hop_by_hop_fields_go_no_further_either_way(wild):
    async with opened(wild.peers()) as door:
        wire = await door.connect()
        for _ in range(3):
            hop = b"connection: keep-alive, x-hop\r\nkeep-alive: timeout=1\r\nx-hop: 1\r\nserver: s\r\ndate: never\r\n"
            wild.script = [b"HTTP/1.1 200 OK\r\n%bcontent-length: 2\r\n\r\nok" % hop]
            await wire.send(get(ITEM + b"7", MINE + b"te: trailers\r\nkeep-alive: 1\r\ncommonry-service: x\r\n"))
            got = await wire.answer()
            assert not {"x-hop", "keep-alive", "server"} & set(got.headers)
            assert got.headers["date"] != "never"
        for head in wild.requests:
            assert b"te:" not in head
            assert b"commonry-service" not in head
            assert head.count(b"\r\nhost: ") == head.count(b"\r\ncommonry-client: 127.0.0.1\r\n") == 1
            assert re.search(rb"\r\ncommonry-deadline: \d+\r\n", head)
            assert re.search(rb"\r\ntraceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-01\r\n", head)
