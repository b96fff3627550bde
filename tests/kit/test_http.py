"""The HTTP client against servers that do as they like: raw bytes, in pieces, too few, too many, or none at all."""

import asyncio
import socket
import time
from contextlib import AsyncExitStack, suppress

import pytest

from commonry.kit.http import pool as pools
from commonry.kit.http.connection import HIGH_WATER, LONGEST_HEAD, TAKEN_WHOLE, Connection
from commonry.kit.http.messages import Fault, Origin, Request, lines
from commonry.kit.http.pool import IDLE_SECONDS, Pool

GET = Request(b"GET", b"/x?y=1", b"accept: */*\r\n", repeatable=True)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
LONG = TAKEN_WHOLE * 4


class Server:
    """Answers by a function of the test's; counts connections, and remembers the ends of them."""

    def __init__(self, handle):
        self.handle, self.met, self.left = handle, 0, asyncio.Event()

    async def __call__(self, reader, writer):
        self.met += 1
        try:
            await self.handle(reader, writer)
            await reader.read()
        except ConnectionError:
            pass
        finally:
            self.left.set()
            writer.close()


@pytest.fixture
async def talk():
    """`pool, server = await talk(handle)`: a pool of connections to a server that does what `handle` does."""
    async with AsyncExitStack() as stack:

        async def start(handle, *, prefix="", receive_buffer=0):
            server = Server(handle)
            listening = socket.create_server(("127.0.0.1", 0))
            if receive_buffer:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            running = await asyncio.start_server(server, sock=listening)
            stack.callback(running.close)
            pool = Pool(Origin.of(f"http://127.0.0.1:{listening.getsockname()[1]}{prefix}"))
            stack.callback(pool.close)
            return pool, server

        yield start


def says(*answers, close=False):
    """A server that answers each request of a connection with the next of these bytes."""

    async def handle(reader, writer):
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        if close:
            writer.close()

    return handle


async def ask(pool, request=GET, seconds=5.0, **how):
    return await asyncio.wait_for(pool.ask(request, time.monotonic() + seconds, **how), 10)


async def fault(pool, request=GET, seconds=5.0):
    """What goes wrong, with the head or with the body."""

    async def asked():
        answered = await ask(pool, request, seconds)
        await asyncio.wait_for(answered.read(), 10)

    with pytest.raises(Fault) as caught:
        await asked()
    return caught.value


async def until(is_so, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not is_so():
            await asyncio.sleep(0.005)


async def steady(number):
    """The number, once it has not grown for a while."""
    before = -1
    while before != number():
        before = number()
        await asyncio.sleep(0.15)
    return before


# what is sent


@pytest.mark.parametrize(
    ("request_", "wire"),
    [
        (GET, b"GET /p/x?y=1 HTTP/1.1\r\nhost: %b\r\naccept: */*\r\n\r\n"),
        (Request(b"POST", b"/", b"", b"abc"), b"POST /p/ HTTP/1.1\r\nhost: %b\r\ncontent-length: 3\r\n\r\nabc"),
        (Request(b"POST", b"/", b"", b"", 0), b"POST /p/ HTTP/1.1\r\nhost: %b\r\ncontent-length: 0\r\n\r\n"),
        (Request(b"DELETE", b"/", b"", b""), b"DELETE /p/ HTTP/1.1\r\nhost: %b\r\n\r\n"),
    ],
)
async def test_a_request_is_these_bytes(talk, request_, wire):
    got = []

    async def listens(reader, writer):
        got.append(await reader.readexactly(len(wire) - 2 + len(pool.origin.authority)))
        writer.write(OK)

    pool, _ = await talk(listens, prefix="/p/")
    assert (await ask(pool, request_)).whole == b"ok"
    assert got == [wire % pool.origin.authority]


async def pieces_of(*pieces):
    for piece in pieces:
        yield piece


async def test_a_streamed_body_of_known_length_goes_as_it_is(talk):
    got = []

    async def listens(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        got.append((b"content-length: 6\r\n" in head, b"chunked" in head, await reader.readexactly(6)))
        writer.write(OK)

    pool, server = await talk(listens)
    await ask(pool, Request(b"PUT", b"/", b"content-length: 6\r\n", pieces_of(b"abc", b"", b"def"), 6))
    assert got == [(True, False, b"abcdef")]
    assert (len(pool.idle), server.met) == (1, 1)


async def test_a_streamed_body_of_unknown_length_goes_in_chunks(talk):
    got = []

    async def listens(reader, writer):
        got.append(await reader.readuntil(b"\r\n0\r\n\r\n"))
        writer.write(OK)

    pool, _ = await talk(listens)
    await ask(pool, Request(b"POST", b"/", b"", pieces_of(b"a" * 17, b"", b"bc")))
    head, _, body = got[0].partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert b"content-length" not in head
    assert body == b"11\r\n" + b"a" * 17 + b"\r\n2\r\nbc\r\n0\r\n\r\n"


def test_origins():
    assert Origin.of("http://a.test:81/p/") == ("a.test", 81, False, b"/p")
    assert Origin.of("https://a.test") == ("a.test", 443, True, b"")
    assert Origin.of("http://[::1]:8000").authority == b"[::1]:8000"
    assert lines([(b"a", b"1"), (b"b", b"2")]) == b"a: 1\r\nb: 2\r\n"


# what is understood

GOOD = {
    "with a length": (OK, 200, b"ok"),
    "empty": (b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n", 201, b""),
    "in chunks": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\n",
        200,
        b"ok",
    ),
    "with a trailer": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-trailer: 1\r\n\r\n",
        200,
        b"ok",
    ),
    "204": (b"HTTP/1.1 204 No Content\r\nx-a: 1\r\n\r\n", 204, b""),
    "304": (b'HTTP/1.1 304 Not Modified\r\netag: "1"\r\n\r\n', 304, b""),
    "304 that says how long it would be": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 70000\r\n\r\n", 304, b""),
    "after 100": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"ok"),
    "after 103": (b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 X\r\n\r\n" + OK, 200, b"ok"),
    "without a reason": (b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
    "odd status": (b"HTTP/1.1 599 What\r\ncontent-length: 2\r\n\r\nok", 599, b"ok"),
}


@pytest.mark.parametrize("kind", GOOD)
async def test_an_answer_is_understood_and_the_connection_kept(talk, kind):
    wire, status, body = GOOD[kind]
    pool, server = await talk(says(wire, wire))
    for _ in range(2):
        got = await ask(pool)
        assert (got.status, await got.read()) == (status, body)
        assert not {b"link", b"x-trailer"} & {name for name, _ in got.headers}
    assert (server.met, len(pool.idle), pool.busy) == (1, 1, set())


class Wire(asyncio.Transport):
    """A transport that goes nowhere."""

    def __init__(self):
        super().__init__()
        self.closed = self.paused = False

    def write(self, data):
        pass

    def close(self):
        self.closed = True

    def abort(self):
        self.closed = True

    def is_closing(self):
        return self.closed

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False


async def fed(*pieces, ended=False):
    """What a connection makes of an answer that comes in these pieces; and whether it would be used again."""
    pool = Pool(Origin.of("http://127.0.0.1:1"))
    connection = Connection(pool)
    connection.connection_made(Wire())
    asked = asyncio.ensure_future(connection.ask(GET, time.monotonic() + 5))
    await asyncio.sleep(0)
    for piece in pieces:
        if not connection.is_closing:
            connection.data_received(piece)
    if ended:
        connection.connection_lost(None)
    got = await asyncio.wait_for(asked, 1)
    return got.status, got.headers, await asyncio.wait_for(got.read(), 1), pool.idle == [connection]


@pytest.mark.parametrize("kind", GOOD)
async def test_it_does_not_matter_where_an_answer_is_cut(kind):
    wire, status, body = GOOD[kind]
    whole = await fed(wire)
    assert (whole[0], whole[2], whole[3]) == (status, body, True)
    for cut in range(1, len(wire)):
        assert await fed(wire[:cut], wire[cut:]) == whole, wire[:cut]
    assert await fed(*[wire[n : n + 1] for n in range(len(wire))]) == whole


async def test_an_answer_may_end_with_its_connection():
    wire = b"HTTP/1.1 200 OK\r\nx-a: 1\r\n\r\nall of it"
    for cut in range(1, len(wire)):
        assert await fed(wire[:cut], wire[cut:], ended=True) == (200, [(b"x-a", b"1")], b"all of it", False)


async def test_an_answer_that_ends_with_its_connection_is_read_to_the_end(talk):
    body = b"x" * LONG
    pool, server = await talk(says(b"HTTP/1.1 200 OK\r\n\r\n" + body, close=True))
    got = await ask(pool)
    assert await got.read() == body
    assert (await ask(pool)).status == 200
    assert server.met == 2


async def test_a_long_answer_is_streamed_and_the_connection_kept(talk):
    body = bytes(range(256)) * (LONG // 256)
    wire = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % LONG + body
    pool, server = await talk(says(wire, wire))
    for _ in range(2):
        got = await ask(pool)
        assert got.whole is None
        assert await got.read() == body
    assert (server.met, len(pool.idle)) == (1, 1)


async def test_a_server_that_wants_to_close_is_not_asked_again(talk):
    wire = OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    pool, server = await talk(says(wire))
    for _ in range(2):
        assert (await ask(pool)).whole == b"ok"
    assert server.met == 2


async def test_http_1_0_is_understood_and_not_kept(talk):
    pool, server = await talk(says(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", close=True))
    for _ in range(2):
        assert (await ask(pool)).whole == b"ok"
    assert server.met == 2


# what is not


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-OpenSSH_9.7\r\n",
        b"\x15\x03\x01\x00\x02\x02",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-a: b\r\n set-cookie: stolen\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-a: b\nset-cookie: stolen\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-a: b\rset-cookie: stolen\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-a: b\0c\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!",
        b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok!\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nok",
    ],
)
async def test_what_is_no_good_answer_is_a_fault_and_the_end_of_the_connection(talk, wire):
    pool, server = await talk(says(wire))
    assert (await fault(pool)).sent
    await asyncio.wait_for(server.left.wait(), 5)
    assert (pool.idle, pool.busy) == ([], set())


@pytest.mark.parametrize(
    "more",
    [
        OK,
        b"HTTP/1.1 200 OK\r\n\r\nstolen",
        b"HTTP/1.1 200 OK\r\nx-half: ",
        b"HTTP/1.1 2",
        b"H",
        b"garbage",
    ],
)
async def test_a_second_answer_is_nobodys(talk, more):
    """The first is good; what comes with it must not become the next one's, nor part of the first."""
    pool, server = await talk(says(OK + more, OK))
    got = await ask(pool)
    assert (got.status, got.headers, got.whole) == (200, [(b"content-length", b"2")], b"ok")
    await asyncio.wait_for(server.left.wait(), 5)
    assert pool.idle == []
    assert (await ask(pool)).whole == b"ok"
    assert server.met == 2


async def test_what_comes_unasked_is_nobodys(talk):
    go_on = asyncio.Event()

    async def talks_on(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await go_on.wait()
        writer.write(OK.replace(b"ok", b"no"))

    pool, server = await talk(talks_on)
    await ask(pool)
    go_on.set()
    await until(lambda: not pool.idle)
    assert (await ask(pool)).whole == b"ok"
    assert server.met == 2


CUT = {
    "before anything": b"",
    "in the head": b"HTTP/1.1 200 OK\r\ncontent-le",
    "before the body": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n",
    "in the body": OK[:-1],
    "in a long body": b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % LONG + b"x" * (LONG - 1),
    "in a chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nok",
    "before the last chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
    "in the last chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
    "after 100": b"HTTP/1.1 100 Continue\r\n\r\n",
}


@pytest.mark.parametrize("where", CUT)
async def test_an_answer_that_breaks_off_is_a_fault(talk, where):
    pool, _ = await talk(says(CUT[where], close=True))
    found = await fault(pool)
    assert (found.sent, found.stale) == (True, False)
    assert (pool.idle, pool.busy) == ([], set())


async def test_an_endless_head_is_cut_off(talk):
    sent = [0]

    async def bombs(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"x-%d: %b\r\n" % (sent[0], b"y" * 1000))
            sent[0] += 1
            await writer.drain()

    pool, server = await talk(bombs)
    assert "endless head" in str(await fault(pool))
    await asyncio.wait_for(server.left.wait(), 5)
    assert sent[0] * 1000 < LONGEST_HEAD + 16 * 2**20  # the rest is what the system's buffers took


async def test_one_endless_field_is_cut_off():
    with pytest.raises(Fault, match="endless head"):
        await fed(b"HTTP/1.1 200 OK\r\nx: ", *[b"y" * 10_000] * 10)


# kept connections


async def test_connections_are_used_again_one_request_at_a_time(talk):
    pool, server = await talk(says(*[OK] * 20))
    for _ in range(10):
        await ask(pool)
    assert server.met == 1
    await asyncio.gather(*(ask(pool) for _ in range(5)))
    assert (server.met, len(pool.idle)) == (5, 5)


async def test_a_kept_connection_that_was_closed_is_not_used(talk):
    pool, server = await talk(says(OK, close=True))
    await ask(pool)
    await until(lambda: not pool.idle)
    await ask(pool)
    assert server.met == 2


async def test_a_kept_connection_that_is_just_being_closed_says_so(talk):
    """Nobody can know whether the server saw the request; but it is likely that only the connection was old."""

    async def once(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    pool, _ = await talk(once)
    await ask(pool)
    assert (found := await fault(pool)).stale
    assert found.sent


async def test_a_kept_connection_that_breaks_off_in_its_answer_is_not_just_old(talk):
    pool, _ = await talk(says(OK, OK[:20], close=True))
    await ask(pool)
    assert not (await fault(pool)).stale


async def test_a_fresh_connection_can_be_asked_for(talk):
    pool, server = await talk(says(OK, OK))
    await ask(pool)
    await ask(pool, fresh=True)
    assert server.met == 2


async def test_a_connection_that_idled_too_long_is_not_used(talk):
    pool, server = await talk(says(OK, OK))
    await ask(pool)
    pool.idle[0].idle_since -= IDLE_SECONDS
    await ask(pool)
    assert server.met == 2


async def test_a_pool_nobody_needs_closes_what_is_idle_and_lets_the_rest_end(talk):
    go_on = asyncio.Event()

    async def slow(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        if server.met > 1:
            await go_on.wait()
        writer.write(OK)

    pool, server = await talk(slow)
    await ask(pool)
    busy = asyncio.ensure_future(ask(pool, fresh=True))
    await until(lambda: pool.busy and server.met == 2)
    pool.retire()
    await until(lambda: not pool.idle)
    go_on.set()
    assert (await busy).whole == b"ok"


async def test_a_closed_pool_ends_what_is_under_way(talk):
    pool, server = await talk(says())
    asked = asyncio.ensure_future(ask(pool))
    await until(lambda: pool.busy)
    pool.close()
    with pytest.raises(Fault):
        await asked
    await asyncio.wait_for(server.left.wait(), 5)


# time


async def test_nobody_there_is_a_fault_before_anything_was_sent():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert not (await fault(Pool(Origin.of(f"http://127.0.0.1:{port}")))).sent


async def test_a_server_that_takes_no_connections_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(pools, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            with suppress(BlockingIOError):
                each.connect(full.getsockname())
        began = time.monotonic()
        found = await fault(Pool(Origin.of(f"http://127.0.0.1:{full.getsockname()[1]}")))
        for each in waiting:
            each.close()
    assert not found.sent
    assert time.monotonic() - began < 3


async def test_a_silent_server_is_a_fault_in_time_and_the_end_of_the_connection(talk):
    pool, server = await talk(says())
    began = time.monotonic()
    assert (await fault(pool, seconds=0.2)).sent
    assert 0.2 <= time.monotonic() - began < 2
    await asyncio.wait_for(server.left.wait(), 5)


async def test_signs_of_life_do_not_stretch_the_time(talk):
    async def drips(reader, writer):
        while True:
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    pool, _ = await talk(drips)
    began = time.monotonic()
    await fault(pool, seconds=0.2)
    assert time.monotonic() - began < 2


async def test_a_body_that_stalls_is_a_fault(talk):
    pool, _ = await talk(says(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\nx" % LONG))
    request = GET._replace(patience=0.2)
    assert (await ask(pool, request)).status == 200
    began = time.monotonic()
    await fault(pool, request)
    assert time.monotonic() - began < 3


async def test_a_slow_reader_is_not_hurried(talk):
    wire = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % LONG + b"x" * LONG
    pool, _ = await talk(says(wire))
    got = await ask(pool, GET._replace(patience=0.1), seconds=0.2)
    await asyncio.sleep(0.5)
    assert len(await got.read()) == LONG


async def test_who_is_cancelled_takes_the_request_along(talk):
    pool, server = await talk(says())
    asked = asyncio.ensure_future(ask(pool))
    await until(lambda: server.met)
    asked.cancel()
    await asyncio.wait((asked,))
    await asyncio.wait_for(server.left.wait(), 5)
    assert (pool.idle, pool.busy) == ([], set())


async def test_who_wants_no_more_of_an_answer_closes_the_connection(talk):
    pool, server = await talk(says(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\nx" % LONG))
    got = await ask(pool)
    got.abandon()
    await asyncio.wait_for(server.left.wait(), 5)
    assert (pool.idle, pool.busy) == ([], set())


async def test_giving_up_a_whole_answer_harms_nobody(talk):
    pool, server = await talk(says(OK, OK))
    (await ask(pool)).abandon()
    await ask(pool)
    assert server.met == 1


async def test_requests_without_an_answer_can_be_given_back(talk):
    pool, _ = await talk(says())
    kept = asyncio.ensure_future(ask(pool, GET._replace(repeatable=False)))
    back = asyncio.ensure_future(ask(pool))
    await until(lambda: len(pool.busy) == 2)
    pool.break_off("is silent", only_repeatable=True)
    with pytest.raises(Fault, match="silent"):
        await back
    assert not kept.done()
    pool.break_off("is gone")
    with pytest.raises(Fault, match="gone"):
        await kept


# bodies under way


async def endless(sent, size=65536):
    while True:
        sent[0] += size
        yield b"x" * size
        await asyncio.sleep(0)  # as any that has to wait for its sender


async def test_an_answer_may_come_before_the_body_has_been_read(talk):
    refused = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno"
    pool, server = await talk(says(refused), receive_buffer=65536)
    sent = [0]
    got = await ask(pool, Request(b"POST", b"/", b"", endless(sent)))
    assert (got.status, got.whole) == (413, b"no")
    before = await steady(lambda: sent[0])
    await asyncio.sleep(0.1)
    assert sent[0] == before
    await asyncio.wait_for(server.left.wait(), 5)
    assert pool.idle == []


async def test_an_upload_goes_no_faster_than_it_is_read(talk):
    async def dawdles(reader, writer):
        await go_on.wait()
        await reader.readuntil(b"\r\n0\r\n\r\n")
        writer.write(OK)

    go_on, sent, most = asyncio.Event(), [0], 64 * 2**20

    async def long():
        async for piece in endless(sent):
            yield piece
            if go_on.is_set():
                return

    pool, _ = await talk(dawdles, receive_buffer=65536)
    asked = asyncio.ensure_future(ask(pool, Request(b"POST", b"/", b"", long())))
    held = await steady(lambda: sent[0])
    assert 0 < held < most / 8
    go_on.set()
    asked.cancel()
    await asyncio.wait((asked,))


async def test_an_upload_that_fails_here_is_not_taken_for_whole_there(talk):
    got = []

    async def listens(reader, writer):
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            got.append(await reader.readuntil(b"\r\n0\r\n\r\n"))

    async def breaks():
        yield b"some"
        raise RuntimeError("the client left")

    pool, server = await talk(listens)
    with pytest.raises(RuntimeError):
        await ask(pool, Request(b"POST", b"/", b"", breaks()))
    await asyncio.wait_for(server.left.wait(), 5)
    assert (got, pool.idle, pool.busy) == ([], [], set())


async def test_an_upload_to_who_has_left_is_a_fault(talk):
    async def leaves(reader, writer):
        await reader.read(1000)
        writer.transport.abort()

    pool, _ = await talk(leaves)
    sent = [0]
    assert (await fault(pool, Request(b"POST", b"/", b"", endless(sent)))).sent
    before = sent[0]
    await asyncio.sleep(0.05)
    assert sent[0] == before


async def test_an_upload_may_take_its_time_as_long_as_it_goes_on(talk):
    async def steadily():
        for _ in range(10):
            yield b"x"
            await asyncio.sleep(0.05)

    async def listens(reader, writer):
        await reader.readuntil(b"\r\n0\r\n\r\n")
        writer.write(OK)

    pool, _ = await talk(listens)
    assert (await ask(pool, Request(b"POST", b"/", b"", steadily(), patience=0.2), seconds=0.2)).whole == b"ok"


async def test_an_upload_that_stalls_is_a_fault(talk):
    async def stalls():
        yield b"x"
        await asyncio.sleep(30)

    pool, server = await talk(says())
    began = time.monotonic()
    await fault(pool, Request(b"POST", b"/", b"", stalls(), patience=0.2), seconds=0.2)
    assert time.monotonic() - began < 3
    await asyncio.wait_for(server.left.wait(), 5)


async def test_a_long_answer_comes_no_faster_than_it_is_read(talk):
    written, most = [0], 64 * 2**20

    async def pours(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % most)
        while written[0] < most:
            writer.write(b"x" * 65536)
            written[0] += 65536
            await writer.drain()

    pool, _ = await talk(pours)
    got = await ask(pool)
    pieces = got.pieces()
    read = len(await anext(pieces))
    poured = await steady(lambda: written[0])
    (connection,) = pool.busy
    assert connection._waiting <= HIGH_WATER + 256 * 1024
    assert poured < most / 2
    async for piece in pieces:
        read += len(piece)
    assert read == most
    assert len(pool.idle) == 1
