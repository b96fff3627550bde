"""Several processes of one service, some of them unwell: whom to ask, whom to leave alone, what to ask again."""

import asyncio
import socket
import time
from contextlib import suppress

import pytest

from commonry.kit import replicas as module
from commonry.kit.breaker import Rules
from commonry.kit.http.messages import Fault, Request
from commonry.kit.replica import MOST
from commonry.kit.replicas import SAVED, Replicas
from commonry.kit.telemetry import breaker_open

GET = Request(b"GET", b"/x", b"", repeatable=True)
POST = Request(b"POST", b"/x", b"", b"body")
KEYED = POST._replace(repeatable=True)
QUICK = Rules(in_a_row=3, rest=0.1, longest=0.2)
NEVER = Rules(in_a_row=10**9, least=10**9)
LONG = 200_000


class Process:
    """A replica that behaves as told by `mode`: well, 500, cuts (off without an answer), hangs (answers on `go`)."""

    def __init__(self, mode):
        self.mode, self.go = mode, asyncio.Event()
        self.seen, self.left, self.checks, self.at_once, self.most = 0, 0, 0, 0, 0
        self.server, self.port = None, 0

    async def start(self, host="127.0.0.1", port=0):
        self.server = await asyncio.start_server(self._serve, host, port or self.port)
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"http://{host}:{self.port}"
        return self

    def stop(self):
        self.server.close()

    async def _serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"content-length: 4" in head:
                    await reader.readexactly(4)
                await self._answer(reader, writer, is_check=head.startswith(b"GET /healthz"))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader, writer, *, is_check):
        self.checks += is_check
        self.seen += not is_check
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            match self.mode:
                case "cuts":
                    writer.transport.abort()
                    raise ConnectionError
                case "hangs":
                    await self._gone_or_told(reader)
                case "hangs checks" if is_check:
                    await self._gone_or_told(reader)
                case "dies after one":
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    await reader.readuntil(b"\r\n\r\n")
                    raise ConnectionError
        finally:
            self.at_once -= 1
        status = self.mode.encode() if self.mode.isdigit() else b"200"
        body = b"x" * LONG if self.mode == "long" else str(self.port).encode()
        writer.write(b"HTTP/1.1 %b X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))

    async def _gone_or_told(self, reader):
        told, gone = asyncio.ensure_future(self.go.wait()), asyncio.ensure_future(reader.read(1))
        await asyncio.wait((told, gone), return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if gone.done():
            self.left += 1
            raise ConnectionError
        gone.cancel()
        await asyncio.wait((gone,))


@pytest.fixture
async def town():
    """`replicas, *processes = await town("well", "cuts", rules=…)`."""
    made = []

    async def start(*modes, rules=QUICK, watched=False):
        processes = [await Process(mode).start() for mode in modes]
        replicas = Replicas("service", [p.url for p in processes], rules=rules)
        made.append((replicas, processes, asyncio.ensure_future(replicas.watch()) if watched else None))
        return replicas, *processes

    yield start
    for replicas, processes, watching in made:
        if watching:
            watching.cancel()
        replicas.close()
        for process in processes:
            process.stop()


async def ask(replicas, request=GET, seconds=5.0):
    return await asyncio.wait_for(replicas.ask(request, time.monotonic() + seconds), 10)


async def asked(replicas, request=GET, seconds=5.0):
    """The status, or the fault."""
    try:
        return (await ask(replicas, request, seconds)).status
    except Fault as e:
        return e


async def until(is_so, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not is_so():
            await asyncio.sleep(0.005)


async def opened(replicas, process):
    """Let a process fail until it is left alone."""
    process.mode = "cuts"
    replica = replica_of(replicas, process)
    while replica.breaker.is_closed:
        await asked(replicas)
    return replica


def replica_of(replicas, process):
    return next(r for r in replicas.all if r.url == process.url)


# whom to ask


async def test_the_one_with_the_fewest_requests_under_way_is_asked(town):
    replicas, *processes = await town("hangs", "hangs", "hangs")
    waiting = [asyncio.ensure_future(ask(replicas)) for _ in range(9)]
    await until(lambda: sum(p.seen for p in processes) == 9)
    assert [p.seen for p in processes] == [3, 3, 3]
    processes[1].mode = "well"
    processes[1].go.set()
    await until(lambda: replica_of(replicas, processes[1]).under_way == 0)
    for _ in range(3):
        await ask(replicas)
    assert [p.seen for p in processes] == [3, 6, 3]
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert [r.under_way for r in replicas.all] == [0, 0, 0]


async def test_equals_take_turns(town):
    replicas, *processes = await town("well", "well", "well")
    for _ in range(9):
        await ask(replicas)
    assert [p.seen for p in processes] == [3, 3, 3]


async def test_a_slow_replica_gets_fewer_requests(town):
    replicas, slow, quick = await town("hangs", "well")
    stuck = asyncio.ensure_future(ask(replicas))
    other = asyncio.ensure_future(ask(replicas))
    await until(lambda: slow.seen)
    for _ in range(20):
        await ask(replicas)
    assert slow.seen == 1
    assert quick.seen >= 20
    slow.go.set()
    await asyncio.gather(stuck, other)


# whom to leave alone


async def test_a_replica_that_keeps_failing_is_left_alone_and_nobody_notices(town):
    replicas, bad, good = await town("cuts", "well", rules=QUICK._replace(rest=30))
    assert [await asked(replicas) for _ in range(40)] == [200] * 40
    assert (bad.seen, good.seen) == (QUICK.in_a_row, 40)


@pytest.mark.parametrize("good", [1, 2, 4])
async def test_a_replica_that_answers_500_too_often_is_left_alone_and_the_others_are_not(town, good):
    """Not even where it is every second answer of the service."""
    replicas, bad, *_ = await town("500", *["well"] * good, rules=Rules(least=10, rest=30))
    found = [await asked(replicas) for _ in range(100)]
    assert found.count(500) == bad.seen == 10
    assert found.count(200) == 90
    assert replicas.state == "closed"


async def test_a_service_that_only_answers_500_is_left_alone(town):
    replicas, one, two = await town("500", "500", rules=Rules(least=10, rest=30))
    found = [await asked(replicas) for _ in range(100)]
    assert replicas.state == "open"
    assert found.count(500) == one.seen + two.seen <= 20
    assert said_open("service")["all"] == 1


def said_open(service):
    """What the metric says of each replica, and of all."""
    samples = breaker_open.collect()[0].samples
    return {s.labels["replica"]: s.value for s in samples if s.labels["service"] == service}


async def test_a_503_is_an_answer_not_a_failure(town):
    replicas, only = await town("503", rules=Rules(least=2))
    assert [await asked(replicas) for _ in range(10)] == [503] * 10
    assert (replicas.state, only.seen) == ("closed", 10)


async def test_a_replica_that_is_half_open_gets_exactly_one_probe(town):
    replicas, bad, _ = await town("well", "well")
    replica = await opened(replicas, bad)
    bad.mode, before = "hangs", bad.seen
    await until(lambda: replica.breaker.state == "half-open")
    waiting = [asyncio.ensure_future(asked(replicas)) for _ in range(20)]
    await until(lambda: sum(t.done() for t in waiting) == 19)
    assert bad.seen == before + 1
    bad.mode = "well"
    bad.go.set()
    assert await asyncio.gather(*waiting) == [200] * 20
    assert replica.breaker.is_closed


async def test_the_only_replica_gets_exactly_one_probe(town):
    replicas, only = await town("well")
    await opened(replicas, only)
    only.mode, before = "hangs", only.seen
    await until(lambda: replicas.state == "half-open")
    waiting = [asyncio.ensure_future(asked(replicas)) for _ in range(20)]
    await until(lambda: sum(t.done() for t in waiting) == 19)
    assert only.seen == before + 1
    refused = [t.result() for t in waiting if t.done()]
    assert all(isinstance(fault, Fault) and not fault.sent for fault in refused)
    only.go.set()
    await asyncio.gather(*waiting)


async def test_a_probe_that_is_called_off_makes_room_for_another(town):
    replicas, only = await town("well")
    await opened(replicas, only)
    only.mode, before = "hangs", only.seen
    await until(lambda: replicas.state == "half-open")
    for n in range(1, 4):
        probe = asyncio.ensure_future(asked(replicas))
        await until(lambda n=n: only.seen == before + n)
        probe.cancel()
        await asyncio.wait((probe,))
    assert replicas.state == "half-open"
    only.mode = "well"
    assert await asked(replicas) == 200


async def test_a_probe_is_no_request_that_could_do_harm_where_others_look_after_it(town):
    """A POST that must not be repeated is never risked on a replica that may still be ill, when it is watched."""
    replicas, bad, _ = await town("well", "well", watched=True)
    replica = await opened(replicas, bad)
    bad.mode, before = "cuts", bad.seen
    for _ in range(30):
        assert await asked(replicas, POST) == 200
        await asyncio.sleep(0.01)
    assert bad.seen == before
    assert not replica.breaker.is_closed


async def test_who_comes_back_is_loaded_slowly(town, monkeypatch):
    replicas, back, other = await town("well", "well")
    replica = await opened(replicas, back)
    back.mode = "well"
    await until(lambda: replica.breaker.state == "half-open")
    await until_asked(replicas, lambda: replica.breaker.is_closed)
    back.mode, other.mode = "hangs", "hangs"
    for doublings in range(4):
        monkeypatch.setattr("commonry.kit.replica.DOUBLES_EVERY", 1e9)  # time stands still from here
        monkeypatch.setattr(replica, "_came_back_at", time.monotonic() - (doublings + 0.5) * 1e9)
        back.seen = other.seen = 0
        assert replica.allowed == int(2 ** (doublings + 0.5))
        back.go.clear()
        other.go.clear()
        waiting = [asyncio.ensure_future(ask(replicas)) for _ in range(40)]
        await until(lambda: back.seen + other.seen == 40)
        assert back.seen == replica.allowed
        other.go.set()
        back.go.set()
        await asyncio.gather(*waiting)


async def until_asked(replicas, is_so):
    while not is_so():
        await asked(replicas)


async def test_a_second_later_it_takes_whatever_comes(town):
    replicas, only = await town("well")
    await opened(replicas, only)
    only.mode = "well"
    await until(lambda: replicas.state == "half-open")
    assert await asked(replicas) == 200
    assert replicas.all[0].allowed < MOST
    await until(lambda: replicas.all[0].allowed == MOST)


async def test_who_asks_the_only_replica_while_it_comes_back_waits_a_moment(town):
    """Nobody is refused because of the slow start, and it says nothing about the service."""
    replicas, only = await town("well")
    await opened(replicas, only)
    only.mode = "well"
    await until(lambda: replicas.state == "half-open")
    assert await asked(replicas) == 200
    assert replicas.all[0].allowed < 50
    assert await asyncio.gather(*(asked(replicas) for _ in range(50))) == [200] * 50
    assert replicas.state == "closed"


async def test_when_all_are_away_the_service_is_open_and_says_for_how_long(town):
    replicas, one, two = await town("cuts", "cuts", rules=Rules(in_a_row=3, rest=5))
    for _ in range(20):
        await asked(replicas)
    assert replicas.state == "open"
    assert 0 < replicas.wait() <= 5
    before = one.seen + two.seen
    began = time.monotonic()
    assert not (await asked(replicas)).sent
    assert time.monotonic() - began < 1
    assert one.seen + two.seen == before


async def test_the_service_comes_back_with_its_replicas(town):
    replicas, one, two = await town("cuts", "cuts", watched=True)
    for _ in range(20):
        await asked(replicas)
    one.mode = two.mode = "well"
    await until(lambda: replicas.state == "closed")
    assert await asked(replicas, POST) == 200


async def test_who_is_told_hears_of_an_opening_once(town):
    replicas, bad, _ = await town("well", "well", rules=QUICK._replace(rest=30))
    told = []
    replicas.opened = told.append
    await opened(replicas, bad)
    await asked(replicas)
    assert told == [bad.url]


# what to ask again


async def test_what_may_be_repeated_is(town):
    replicas, bad, _ = await town("cuts", "well", rules=NEVER)
    for request in (GET, KEYED):
        assert [await asked(replicas, request) for _ in range(6)] == [200] * 6
    assert bad.seen > 0


async def test_what_may_not_be_repeated_is_not_once_it_was_sent(town):
    replicas, bad, good = await town("cuts", "well", rules=NEVER)
    found = [await asked(replicas, POST) for _ in range(10)]
    assert bad.seen == good.seen == 5
    assert [isinstance(f, Fault) for f in found].count(True) == 5


async def test_what_was_never_sent_goes_to_the_next_whatever_it_is(town):
    replicas, away, good = await town("well", "well", rules=NEVER)
    away.stop()
    assert [await asked(replicas, POST) for _ in range(6)] == [200] * 6
    assert good.seen == 6


async def test_repetitions_come_out_of_a_budget(town):
    replicas, one, two = await town("cuts", "cuts", rules=NEVER)
    for _ in range(300):
        assert isinstance(await asked(replicas), Fault)
    repeated = one.seen + two.seen - 300
    assert repeated <= SAVED + 300 * 0.2
    before = one.seen + two.seen
    for _ in range(50):
        await asked(replicas)
    assert one.seen + two.seen - before <= 50 * 1.2 + 1


async def test_nothing_is_repeated_when_the_time_is_over(town):
    replicas, one, two = await town("hangs", "hangs", rules=NEVER)
    began = time.monotonic()
    assert isinstance(await asked(replicas, seconds=0.2), Fault)
    assert time.monotonic() - began < 2
    assert one.seen + two.seen == 1


async def test_a_connection_that_was_old_is_no_reason_to_give_up(town):
    """The only replica, and it closes its kept connection just when it is asked: a fresh connection will do."""
    replicas, only = await town("dies after one", rules=NEVER)
    for n in range(1, 5):
        assert await asked(replicas) == 200
        assert only.seen == n
    replicas.all[0].pool.retire()
    assert await asked(replicas, POST) == 200
    assert (found := await asked(replicas, POST)).stale
    assert found.sent


async def test_an_old_connection_is_not_held_against_a_replica(town):
    replicas, _ = await town("dies after one", rules=Rules(in_a_row=1, rest=30))
    for _ in range(6):
        assert await asked(replicas) == 200
    assert replicas.state == "closed"


# hedging


async def test_nothing_is_hedged_by_default(town):
    replicas, slow, quick = await town("hangs", "hangs")
    assert replicas.hedge_after == 0
    waiting = asyncio.ensure_future(ask(replicas))
    await until(lambda: slow.seen + quick.seen)
    await asyncio.sleep(0.1)
    assert slow.seen + quick.seen == 1
    slow.go.set()
    quick.go.set()
    await waiting


async def test_a_slow_read_is_hedged_and_the_loser_called_off(town):
    replicas, one, two = await town("hangs", "hangs")
    replicas.hedge_after = 0.05
    waiting = asyncio.ensure_future(ask(replicas))
    await until(lambda: one.seen and two.seen)
    two.go.set()
    assert (await waiting).whole == str(two.port).encode()
    await until(lambda: one.left == 1)
    assert [r.under_way for r in replicas.all] == [0, 0]
    assert replicas.state == "closed"


async def test_the_first_may_still_win(town):
    replicas, one, two = await town("hangs", "hangs")
    replicas.hedge_after = 0.05
    waiting = asyncio.ensure_future(ask(replicas))
    await until(lambda: one.seen and two.seen)
    one.go.set()
    assert (await waiting).whole == str(one.port).encode()
    await until(lambda: two.left == 1)


async def test_a_quick_read_is_not_hedged(town):
    replicas, one, two = await town("well", "well")
    replicas.hedge_after = 1.0
    for _ in range(10):
        await ask(replicas)
    assert one.seen + two.seen == 10


@pytest.mark.parametrize("request_", [POST, KEYED], ids=["post", "keyed post"])
async def test_only_reads_are_hedged(town, request_):
    replicas, one, two = await town("hangs", "hangs")
    replicas.hedge_after = 0.02
    waiting = asyncio.ensure_future(ask(replicas, request_))
    await until(lambda: one.seen + two.seen)
    await asyncio.sleep(0.15)
    assert one.seen + two.seen == 1
    one.go.set()
    two.go.set()
    await waiting


async def test_hedges_come_out_of_the_budget_too(town):
    replicas, one, two = await town("hangs", "hangs")
    replicas.hedge_after, replicas._budget = 0.02, 0.0
    waiting = asyncio.ensure_future(ask(replicas))
    await until(lambda: one.seen + two.seen)
    await asyncio.sleep(0.15)
    assert one.seen + two.seen == 1
    one.go.set()
    two.go.set()
    await waiting


async def test_a_hedge_answers_when_the_first_breaks_off_meanwhile(town):
    replicas, one, two = await town("hangs", "hangs", rules=NEVER)
    replicas.hedge_after, replicas._budget = 0.05, 1.0
    waiting = asyncio.ensure_future(ask(replicas))
    await until(lambda: one.seen and two.seen)
    replica_of(replicas, one).pool.break_off("is gone")
    two.go.set()
    assert (await waiting).whole == str(two.port).encode()


async def test_an_answer_that_comes_second_is_not_left_on_its_connection(town):
    replicas, *_ = await town("long", "long")
    replicas.hedge_after, go, begun = 0.01, asyncio.Event(), []
    once = replicas._once

    async def together(replica, request, deadline, *, fresh):
        answered = await once(replica, request, deadline, fresh=fresh)
        begun.append(answered)
        await go.wait()
        return answered

    replicas._once = together
    waiting = asyncio.ensure_future(ask(replicas))
    await until(lambda: len(begun) == 2)
    go.set()
    assert len(await (await waiting).read()) == LONG
    await until(lambda: not any(r.pool.busy for r in replicas.all))


# who is there


class Names:
    """A name server: what `service.test` stands for now; None: no answer."""

    def __init__(self, monkeypatch, *hosts):
        self.hosts, self.asked = list(hosts), 0
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host, port, *args, **kwargs):
        if host != "service.test":
            return self._real(host, port, *args, **kwargs)
        self.asked += 1
        if self.hosts == ["slow"]:
            time.sleep(1.5)
        if not self.hosts or self.hosts == ["slow"]:
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (h, port)) for h in self.hosts * 2]


@pytest.fixture
async def three():
    """Processes on one port of three addresses of this machine."""
    first = await Process("well").start("127.0.0.1")
    processes = [first, *[await Process("well").start(f"127.0.0.{n}", first.port) for n in (2, 3)]]
    yield processes
    for process in processes:
        process.stop()


async def test_a_name_stands_for_all_its_addresses(monkeypatch, three):
    names = Names(monkeypatch, "127.0.0.1", "127.0.0.2")
    replicas = Replicas("service", [f"dns+http://service.test:{three[0].port}/"])
    assert replicas.all == []
    await replicas.refresh()
    for _ in range(6):
        await ask(replicas)
    assert [p.seen for p in three] == [3, 3, 0]
    await replicas.refresh()
    assert names.asked == 1  # not all the time
    replicas.close()


async def test_replicas_come_and_go_and_those_that_stay_keep_their_state(monkeypatch, three):
    names = Names(monkeypatch, "127.0.0.1", "127.0.0.2")
    monkeypatch.setattr(module, "RESOLVE_SECONDS", 0.0)
    replicas = Replicas("service", [f"dns+http://service.test:{three[0].port}"])
    await replicas.refresh()
    stays = replica_of(replicas, three[1])
    stays.breaker.trip()
    leaves = replica_of(replicas, three[0])
    await ask(replicas)
    names_said = [f"127.0.0.{n}:{three[0].port}" for n in (1, 2, 3)]
    assert said_open("service") | {names_said[0]: 0, names_said[1]: 1, "all": 0} == said_open("service")
    assert leaves.pool.idle
    names.hosts = ["127.0.0.2", "127.0.0.3"]
    await replicas.refresh()
    assert [r.url for r in replicas.all] == [three[1].url, three[2].url]
    assert replicas.all[0] is stays
    assert stays.breaker.state == "open"
    assert names_said[0] not in said_open("service")
    assert names_said[2] in said_open("service")
    await until(lambda: not leaves.pool.idle)
    before = three[0].seen
    for _ in range(4):
        await ask(replicas)
    assert (three[0].seen, three[2].seen) == (before, 4)
    replicas.close()


async def test_a_request_under_way_ends_though_its_replica_has_gone(monkeypatch, three):
    names = Names(monkeypatch, "127.0.0.1")
    monkeypatch.setattr(module, "RESOLVE_SECONDS", 0.0)
    replicas = Replicas("service", [f"dns+http://service.test:{three[0].port}"])
    await replicas.refresh()
    three[0].mode = "hangs"
    waiting = asyncio.ensure_future(ask(replicas))
    await until(lambda: three[0].seen)
    names.hosts = ["127.0.0.2"]
    await replicas.refresh()
    three[0].go.set()
    assert (await waiting).status == 200
    replicas.close()


async def test_a_name_server_that_is_away_changes_nothing(monkeypatch, three):
    names = Names(monkeypatch, "127.0.0.1", "127.0.0.2")
    monkeypatch.setattr(module, "RESOLVE_SECONDS", 0.0)
    replicas = Replicas("service", [f"dns+http://service.test:{three[0].port}"])
    await replicas.refresh()
    before = list(replicas.all)
    names.hosts = []
    await replicas.refresh()
    assert replicas.all == before
    assert await asked(replicas) == 200
    replicas.close()


async def test_a_name_server_that_hangs_holds_nobody_up(monkeypatch, three):
    """Neither the health checks, nor whoever asks when it is time to resolve again."""
    names = Names(monkeypatch, "127.0.0.1")
    monkeypatch.setattr(module, "RESOLVE_SECONDS", 0.0)
    replicas = Replicas("service", [f"dns+http://service.test:{three[0].port}"])
    await replicas.refresh()
    names.hosts = ["slow"]
    monkeypatch.setattr(module, "RESOLVE_PATIENCE", 0.2)
    began = time.monotonic()
    await replicas.refresh()
    assert time.monotonic() - began < 1
    assert await asked(replicas) == 200
    replicas.close()


async def test_addresses_and_names_may_be_mixed(monkeypatch, three):
    Names(monkeypatch, "127.0.0.2")
    replicas = Replicas("service", [three[0].url, f"dns+http://service.test:{three[0].port}"])
    assert [r.url for r in replicas.all] == [three[0].url]
    await replicas.refresh()
    assert sorted(r.url for r in replicas.all) == [three[0].url, three[1].url]
    replicas.close()


# looking after them


async def test_a_replica_that_hangs_gives_its_requests_back_in_two_seconds(town):
    """It takes connections and never answers, as a stopped process does."""
    replicas, hung, _ = await town("hangs", "well", watched=True)
    began = time.monotonic()
    found = await asyncio.gather(*(asked(replicas, seconds=30) for _ in range(10)))
    assert found == [200] * 10
    assert time.monotonic() - began < 2
    assert hung.seen > 0
    assert replica_of(replicas, hung).breaker.state != "closed"
    began = time.monotonic()
    for _ in range(20):
        assert await asked(replicas) == 200
    assert time.monotonic() - began < 2


async def test_patience_counts_from_the_last_word_also_of_one_who_fell_silent_while_it_was_looked_at(town, monkeypatch):
    monkeypatch.setattr(module, "CHECK_PATIENCE", 2.0)
    replicas, hung = await town("hangs", watched=True)
    await until(lambda: hung.checks)
    hung.mode = "well"
    assert await asked(replicas) == 200
    hung.mode, began = "hangs", time.monotonic()
    await until(lambda: not replicas.all[0].breaker.is_closed, 10)
    took = time.monotonic() - began
    assert 1.5 < took < 4.2, "once the patience, not twice and a pause between"


async def test_who_is_busy_but_answers_others_is_not_left_alone(town, monkeypatch):
    monkeypatch.setattr(module, "CHECK_PATIENCE", 0.3)
    replicas, busy = await town("hangs checks", watched=True)
    for _ in range(50):
        assert await asked(replicas) == 200
        await asyncio.sleep(0.02)
    await until(lambda: busy.checks)
    assert replicas.all[0].breaker.is_closed


async def test_what_must_not_be_repeated_stays_with_a_replica_that_hangs(town):
    replicas, *_ = await town("hangs", "hangs", watched=True)
    waiting = asyncio.ensure_future(asked(replicas, POST, seconds=30))
    await until(lambda: not any(r.breaker.is_closed for r in replicas.all))
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait((waiting,))


async def test_a_replica_that_answers_is_not_asked_how_it_is(town, monkeypatch):
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.05)
    replicas, busy, idle = await town("well", "well", watched=True)
    await until(lambda: busy.checks and idle.checks)
    replicas.all[1].breaker.trip()
    before = busy.checks
    for _ in range(50):
        await ask(replicas)
        await asyncio.sleep(0.01)
    assert busy.checks - before <= 2


async def test_a_replica_that_is_away_is_found_without_a_request(town):
    replicas, away, _ = await town("well", "well", watched=True)
    away.stop()
    for replica in replicas.all:
        replica.pool.retire()
    await until(lambda: not replica_of(replicas, away).breaker.is_closed)
    assert away.seen == 0


async def test_a_replica_that_is_back_is_found_without_a_request(town):
    replicas, back, _ = await town("well", "well", watched=True)
    replica_of(replicas, back).breaker.trip()
    await until(lambda: replica_of(replicas, back).breaker.is_closed)
    assert back.seen == 0


async def test_a_hint_is_looked_into_and_not_believed(town):
    replicas, well, ill = await town("well", "hangs")
    await replicas.check(well.url)
    assert (well.checks, replicas.state) == (1, "closed")
    assert replica_of(replicas, well).breaker.is_closed
    await replicas.check(ill.url)
    assert not replica_of(replicas, ill).breaker.is_closed
    await replicas.check("http://127.0.0.1:1")
    assert (well.checks, ill.checks) == (1, 1)


# reads that nobody waits for


class Told:
    """Waits for the outcome of a read."""

    def __init__(self):
        self.outcome = asyncio.get_running_loop().create_future()

    def __call__(self, outcome):
        self.outcome.set_result(outcome)


async def test_a_read_needs_a_connection_that_is_there(town):
    replicas, _ = await town("well")
    assert replicas.read(b"/x", b"", 5, Told()) is None
    assert replicas.all[0].under_way == 0
    await ask(replicas)
    told = Told()
    assert replicas.read(b"/x", b"", 5, told) is not None
    assert replicas.all[0].under_way == 1
    assert (await told.outcome).status == 200
    assert replicas.all[0].under_way == 0


async def test_a_read_is_for_quiet_times(town):
    replicas, _ = await town("well")
    await ask(replicas)
    replicas.hedge_after = 1.0
    assert replicas.read(b"/x", b"", 5, Told()) is None
    replicas.hedge_after = 0.0
    replicas.all[0].breaker.trip()
    assert replicas.read(b"/x", b"", 5, Told()) is None
    await until(lambda: replicas.state == "half-open")
    assert replicas.read(b"/x", b"", 5, Told()) is None


async def test_reads_that_fail_open_the_breaker_as_others_do(town):
    replicas, only = await town("well")
    replica = replicas.all[0]
    await asyncio.gather(*(ask(replicas) for _ in range(5)))
    only.mode = "hangs"
    told = [Told() for _ in range(3)]
    for each in told:
        assert replicas.read(b"/x", b"", 0.1, each) is not None
    for each in told:
        assert isinstance(await each.outcome, Fault)
    assert not replica.breaker.is_closed
    assert replica.under_way == 0


async def test_a_read_that_is_called_off_is_over_there_too(town):
    replicas, only = await town("well")
    await ask(replicas)
    only.mode = "hangs"
    told = Told()
    begun = replicas.read(b"/x", b"", 5, told)
    await until(lambda: only.seen == 2)
    begun.call_off()
    await until(lambda: only.left == 1)
    assert replicas.all[0].under_way == 0
    assert not told.outcome.done()
    assert replicas.all[0].breaker.is_closed


async def test_closing_ends_everything(town):
    replicas, only = await town("hangs")
    waiting = asyncio.ensure_future(asked(replicas))
    await until(lambda: only.seen)
    replicas.close()
    assert isinstance(await waiting, Fault)
    with suppress(TimeoutError):
        await until(lambda: only.left, 1)
    assert only.left == 1
