"""Services in other processes: streamed, balanced, cancelled, and away."""

import asyncio
import time

import pytest

from commonry.kit.asgi import answer, json_reply
from commonry.kit.peers import Far
from tests.gateway.conftest import ask, echo, over
from tests.platform import free_port


def away() -> str:
    return f"http://127.0.0.1:{free_port()}"


def inventory(*urls):
    return {"inventory": Far("inventory", urls)}


async def test_everything_is_passed_on(served):
    async with over(inventory(await served(echo("far one")))) as app:
        sent = {"x-own": "tÃ¤g", "commonry-service": "stolen", "host": "example.org", "content-length": "6"}
        got = await ask(app, "POST", "/api/v1/items/7%2F8?q=a%20b&q=c", sent, [b"abc", b"def"])
    told = got.json
    headers = dict(told["headers"])
    assert (told["service"], told["method"], told["query"], told["size"]) == ("far one", "POST", "q=a%20b&q=c", 6)
    assert told["path"] == "/api/v1/items/7/8"
    assert headers["x-own"] == "tÃ¤g"  # the bytes, whatever they mean
    assert headers["commonry-client"] == "192.0.2.7"
    assert headers["host"].startswith("127.0.0.1")
    assert "commonry-service" not in headers
    assert got.headers["x-request-id"] == headers["x-request-id"]
    assert "server" not in got.headers


async def test_hop_by_hop_headers_stay_here(served):
    async def answers(scope, receive, send):
        got = dict(scope["headers"])
        mark = b",".join(n for n in (b"te", b"x-hop", b"keep-alive", b"upgrade", b"expect") if n in got) or b"none"
        headers = [(b"x-seen", mark), (b"keep-alive", b"timeout=5"), (b"connection", b"x-secret"), (b"x-secret", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async with over(inventory(await served(answers))) as app:
        sent = {"connection": "keep-alive, X-Hop", "x-hop": "1", "te": "trailers", "keep-alive": "1", "upgrade": "h2c"}
        got = await ask(app, "GET", "/api/v1/items", sent)
    assert got.headers["x-seen"] == "none"
    assert not {"keep-alive", "x-secret"} & set(got.headers)


async def test_replicas_take_turns(served):
    urls = [await served(echo(name)) for name in ("one", "two", "three")]
    async with over(inventory(*urls)) as app:
        answered = [(await ask(app, "GET", "/api/v1/items")).json["service"] for _ in range(6)]
    assert sorted(answered) == ["one", "one", "three", "three", "two", "two"]


async def test_a_refused_connection_goes_to_the_next_replica_even_for_a_post(served):
    async with over(inventory(away(), await served(echo("there")))) as app:
        for _ in range(4):
            got = await ask(app, "POST", "/api/v1/items", {"content-length": "3"}, [b"abc"])
            assert (got.status, got.json["size"]) == (200, 3)


async def test_chunks_survive_a_refused_first_replica(served):
    async with over(inventory(away(), await served(echo("there")))) as app:
        for _ in range(2):
            got = await ask(app, "POST", "/api/v1/items", {"transfer-encoding": "chunked"}, [b"abc", b"def"])
            assert (got.status, got.json["size"]) == (200, 6)


@pytest.mark.parametrize("count", [1, 2])
async def test_a_service_that_is_away_is_a_503_problem(count):
    async with over(inventory(*[away() for _ in range(count)])) as app:
        got = await ask(app, "GET", "/api/v1/items")
    assert (got.status, got.json["type"], got.headers["retry-after"]) == (503, "/problems/unavailable", "1")
    assert got.headers["content-type"] == "application/problem+json"


async def test_a_request_that_was_sent_is_not_sent_again(served):
    seen = []

    async def cuts(reader, writer):
        request = await reader.read(65536)
        if request.startswith(b"GET /healthz"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        else:
            seen.append(request)
        writer.close()

    server = await asyncio.start_server(cuts, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    other = await served(echo("other"))
    async with over(inventory(url, other)) as app:
        statuses = [(await ask(app, "POST", "/api/v1/items", {"content-length": "1"}, [b"x"])).status for _ in range(2)]
    server.close()
    assert sorted(statuses) == [200, 503]
    assert len(seen) == 1


async def test_a_service_that_hangs_is_a_503_problem(served):
    async def hangs(scope, receive, send):
        await asyncio.sleep(30)

    async with over(inventory(await served(hangs)), answer_seconds=0.2) as app:
        got = await ask(app, "GET", "/api/v1/items")
    assert (got.status, got.json["type"]) == (503, "/problems/unavailable")


async def test_a_client_that_leaves_takes_its_request_along(served):
    begun, left = asyncio.Event(), asyncio.Event()

    async def waits(scope, receive, send):
        await receive()
        begun.set()
        assert (await receive())["type"] == "http.disconnect"
        left.set()

    leave = asyncio.Event()
    async with over(inventory(await served(waits))) as app:
        call = asyncio.ensure_future(ask(app, "GET", "/api/v1/items", leave=leave))
        await asyncio.wait_for(begun.wait(), 5)
        leave.set()
        assert (await asyncio.wait_for(call, 5)).status == 0
        await asyncio.wait_for(left.wait(), 5)


async def test_a_cancelled_request_is_cancelled_there_too(served):
    begun, left = asyncio.Event(), asyncio.Event()

    async def waits(scope, receive, send):
        await receive()
        begun.set()
        await receive()
        left.set()

    async with over(inventory(await served(waits))) as app:
        call = asyncio.ensure_future(ask(app, "GET", "/api/v1/items"))
        await asyncio.wait_for(begun.wait(), 5)
        call.cancel()
        await asyncio.wait([call])
        await asyncio.wait_for(left.wait(), 5)


async def test_an_answer_is_streamed_as_it_comes(served):
    go_on = asyncio.Event()

    async def two_pieces(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"second"})

    arrived = []
    async with over(inventory(await served(two_pieces))) as app:

        async def through(scope, receive, send):
            async def watched(message):
                arrived.append(message.get("body"))
                if message.get("body") == b"first":
                    go_on.set()
                await send(message)

            await app(scope, receive, watched)

        got = await asyncio.wait_for(ask(through, "GET", "/api/v1/items"), 5)
    assert got.body == b"firstsecond"
    assert arrived[1] == b"first"


async def test_a_slow_reader_slows_the_service_down(served):
    """Backpressure: the gateway holds a bounded part of a large answer, not all of it."""
    sent = [0]
    piece = b"x" * 65536

    async def pours(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            sent[0] += 1
        await send({"type": "http.response.body", "body": b""})

    stuck = asyncio.Event()
    async with over(inventory(await served(pours))) as app:

        async def reluctant(scope, receive, send):
            async def slow(message):
                if message.get("body"):
                    await stuck.wait()

            await app(scope, receive, slow)

        call = asyncio.ensure_future(ask(reluctant, "GET", "/api/v1/items"))
        await asyncio.sleep(0.5)
        poured = sent[0]
        call.cancel()
        await asyncio.wait([call])
    assert 0 < poured < 500


async def test_a_large_body_is_not_held_whole(served):
    arrived = []

    async def measures(scope, receive, send):
        more = True
        while more:
            message = await receive()
            arrived.append(time.monotonic())
            more = message.get("more_body", False)
        await answer(send, json_reply({"pieces": len(arrived)}))

    pieces = [b"x" * 65536] * 40
    async with over(inventory(await served(measures))) as app:
        got = await ask(app, "POST", "/api/v1/items", {"content-length": str(65536 * 40)}, pieces)
    assert got.status == 200
    assert got.json["pieces"] > 10


async def test_chunks_over_the_limit_are_refused_on_the_way(served):
    async with over(inventory(await served(echo("far"))), max_body=1024) as app:
        pieces = [b"x" * 1000, b"x" * 1000, b"x"]
        got = await ask(app, "POST", "/api/v1/items", {"transfer-encoding": "chunked"}, pieces)
    assert (got.status, got.json["type"]) == (413, "/problems/too-large")


async def test_a_compressed_answer_is_passed_on_as_it_is(served):
    async def zipped(scope, receive, send):
        headers = [(b"content-encoding", b"gzip"), (b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"\x1f\x8b\x08\x00"})

    async with over(inventory(await served(zipped))) as app:
        got = await ask(app, "GET", "/api/v1/items")
    assert (got.headers["content-encoding"], got.body) == ("gzip", b"\x1f\x8b\x08\x00")


async def test_a_redirect_is_the_clients_to_follow(served):
    async def moved(scope, receive, send):
        await send({"type": "http.response.start", "status": 303, "headers": [(b"location", b"/elsewhere")]})
        await send({"type": "http.response.body", "body": b""})

    async with over(inventory(await served(moved))) as app:
        got = await ask(app, "GET", "/api/v1/items")
    assert (got.status, got.headers["location"]) == (303, "/elsewhere")
