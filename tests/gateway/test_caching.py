"""The response cache before made-up services: who is asked, who gets what, and what is never given again."""

import asyncio
import gc
import tracemalloc

import pytest

from commonry.gateway.caching import entries as entries_module
from commonry.gateway.caching import layers
from commonry.gateway.caching.entries import Entries, Entry
from commonry.gateway.caching.rules import Life
from commonry.kit.asgi import answer, json_reply, problem_reply
from commonry.kit.cache import MemoryCache
from commonry.kit.peers import Far, Near
from commonry.kit.problems import NotFound, Unavailable
from commonry.kit.tags import kept, purge
from tests.gateway.conftest import ask, opened, over, until

ITEMS = "/api/v1/items"
ME, YOU = {"authorization": "Bearer me"}, {"authorization": "Bearer you"}


class Inventory:
    """Answers with `said` headers and a number that grows with each answer; waits for `go` when `hold` is set."""

    def __init__(self, **said):
        self.said = {n.replace("_", "-"): v for n, v in said.items()}
        self.asked, self.seen, self.hold, self.go = 0, [], False, asyncio.Event()
        self.trouble, self.body, self.status = None, None, 200
        self.cancelled = 0

    async def __call__(self, scope, receive, send):
        if scope["path"] in ("/healthz", "/readyz"):
            await answer(send, json_reply({}))
            return
        self.asked += 1
        number = self.asked
        self.seen.append(dict(scope["headers"]))
        try:
            if self.hold:
                await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.trouble, Exception):
            raise self.trouble
        if self.trouble:
            await answer(send, json_reply({}, self.trouble))
            return
        reply = json_reply({"n": number, "who": dict(scope["headers"]).get(b"authorization", b"").decode()})
        reply = reply._replace(headers=self.said, status=self.status)
        await answer(send, reply if self.body is None else reply._replace(body=self.body))

    def peers(self):
        return {"inventory": Near("inventory", self)}


class Clock:
    """Moves `time.monotonic` of the cache on."""

    def __init__(self, monkeypatch):
        self.ahead, real = 0.0, entries_module.time.monotonic
        monkeypatch.setattr(entries_module.time, "monotonic", lambda: real() + self.ahead)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def public(seconds=60, **more):
    return Inventory(cache_control=f"public, max-age={seconds}", **more)


def tagged(*tags, **how):
    return Inventory(**{n.replace("-", "_"): v for n, v in kept(*tags, **how).items()})


async def get(app, path=ITEMS, headers=(), **more):
    return await asyncio.wait_for(ask(app, "GET", path, headers, **more), 5)


def how(got):
    """`Cache-Status` without our name and the numbers."""
    said = got.headers["cache-status"].removeprefix("commonry; ")
    return "; ".join(part for part in said.split("; ") if not part.startswith("ttl="))


# the plain cases


async def test_an_answer_is_kept_and_given_again():
    service = public(60, content_type="application/json", x_own="1")
    async with over(service.peers()) as app:
        first, second = await get(app), await get(app)
    assert (how(first), how(second)) == ("fwd=miss; stored", "hit")
    assert first.body == second.body
    assert service.asked == 1
    assert (second.headers["age"], second.headers["x-own"], second.headers["content-length"]) == ("0", "1", "16")
    assert second.headers["cache-status"] == "commonry; hit; ttl=60"
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert second.headers["x-content-type-options"] == "nosniff"


async def test_it_gets_older_and_is_asked_for_anew(clock):
    service = public(60)
    async with over(service.peers()) as app:
        await get(app)
        clock.ahead = 59.5
        old = await get(app)
        assert (how(old), old.headers["age"], old.headers["cache-status"]) == ("hit", "59", "commonry; hit; ttl=1")
        clock.ahead = 60.5
        assert (how(await get(app)), service.asked) == ("fwd=miss; stored", 2)


async def test_addresses_are_told_apart():
    service = public()
    async with over(service.peers()) as app:
        for path in ("", "?a=1", "?a=2", "?a=1&b=2", "/", "/7", "?"):
            await get(app, ITEMS + path)
    assert service.asked == 6  # an empty query is none


async def test_head_gets_what_get_was_told_and_the_other_way_round():
    service = public()
    async with over(service.peers()) as app:
        assert how(await asyncio.wait_for(ask(app, "HEAD", ITEMS), 5)) == "fwd=miss; stored"
        assert how(await get(app)) == "hit"
        assert how(await asyncio.wait_for(ask(app, "HEAD", ITEMS), 5)) == "hit"
    assert service.asked == 1


@pytest.mark.parametrize("status", [301, 404, 410])
async def test_other_answers_are_kept_with_their_status(status):
    service = public()
    service.status = status
    async with over(service.peers()) as app:
        found = [await get(app, headers={"if-none-match": "*"}) for _ in range(2)]
    assert [f.status for f in found] == [status] * 2
    assert service.asked == 1


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"cache_control": "no-store"},
        {"cache_control": "private, max-age=60"},
        {"cache_control": "max-age=60", "set_cookie": "a=1"},
        {"cache_control": "max-age=60", "vary": "*"},
    ],
)
async def test_what_is_not_for_keeping_is_not_kept(said):
    service = Inventory(**said)
    async with over(service.peers()) as app:
        assert [(await get(app)).json["n"] for _ in range(3)] == [1, 2, 3]
        assert (await get(app, "/api/v1/status")).json["cache"]["answers"] == 0


async def test_what_services_tell_us_alone_stays_here():
    service = tagged("item:1", seconds=60, everyone=True)
    async with over(service.peers()) as app:
        for _ in range(2):
            got = await get(app)
            assert not [name for name in got.headers if name.startswith("commonry-")]
            assert got.headers["cache-control"] == "no-cache"


# what the client says


async def test_who_has_it_already_gets_304():
    service = public(etag='"v1"', x_own="1")
    async with over(service.peers()) as app:
        assert (await get(app)).headers["etag"] == '"v1"'
        for known in ('"v1"', 'W/"v1"', '"v0", "v1"', "*"):
            got = await get(app, headers={"if-none-match": known})
            assert (got.status, got.body, got.headers["etag"], got.headers["x-own"]) == (304, b"", '"v1"', "1")
            assert how(got) == "hit"
        assert (await get(app, headers={"if-none-match": '"v2"'})).status == 200
    assert service.asked == 1


async def test_an_answer_without_an_entity_tag_gets_one_of_its_own():
    service = public()
    async with over(service.peers()) as app:
        mark = (await get(app)).headers["etag"]
        assert mark.startswith('W/"')
        assert (await get(app, headers={"if-none-match": mark})).status == 304
        service.body = b"other"
        assert (await get(app, ITEMS + "/7")).headers["etag"] != mark


async def test_a_condition_is_ours_to_check_not_the_services():
    """The whole answer is asked for, so that it can be kept; the client gets its 304 all the same."""
    service = public(etag='"v1"')
    async with over(service.peers()) as app:
        conditions = {"if-none-match": '"v1"', "if-modified-since": "Thu, 01 Jan 2099 00:00:00 GMT"}
        assert (await get(app, headers=conditions)).status == 304
        assert (await get(app)).json["n"] == 1
    assert not {b"if-none-match", b"if-modified-since"} & set(service.seen[0])


@pytest.mark.parametrize(
    "said", [{"cache-control": "no-cache"}, {"cache-control": "max-age=0"}, {"pragma": "no-cache"}]
)
async def test_who_insists_gets_a_new_answer_and_so_does_everybody_after(said):
    service = public()
    async with over(service.peers()) as app:
        await get(app)
        assert (await get(app, headers=said)).json["n"] == 2
        assert (await get(app)).json["n"] == 2


@pytest.mark.parametrize("said", [{"range": "bytes=0-1"}, {"cache-control": "no-store"}])
async def test_who_wants_something_special_is_passed_through(said):
    service = public()
    async with over(service.peers()) as app:
        assert how(await get(app, headers=said)) == "fwd=bypass"
        assert how(await get(app)) == "fwd=miss; stored"
        assert (await get(app, headers=said)).json["n"] == 3
        assert how(await get(app)) == "hit"
    assert next(iter(said)).encode() in service.seen[2]


async def test_who_wants_only_what_is_kept_is_told_when_nothing_is():
    service = public()
    async with over(service.peers()) as app:
        got = await get(app, headers={"cache-control": "only-if-cached"})
        assert (got.status, got.json["type"]) == (504, "/problems/not-cached")
        assert "retry-after" not in got.headers
        await get(app)
        assert how(await get(app, headers={"cache-control": "only-if-cached"})) == "hit"
    assert service.asked == 1


# whose answer it is


async def test_who_is_signed_in_gets_their_own_answer_which_is_not_kept():
    service = tagged("items", seconds=60)
    async with over(service.peers()) as app:
        assert how(await get(app)) == "fwd=miss; stored"
        for _ in range(2):
            for who in (ME, YOU):
                got = await get(app, headers=who)
                assert (got.json["who"], how(got)) == (who["authorization"], "fwd=bypass")
                assert got.headers["cache-control"] == "no-cache"
        again = await get(app)
        assert (again.json["who"], how(again)) == ("", "hit")
    assert service.asked == 5


async def test_a_persons_answer_is_never_given_to_anybody_else():
    """Not even where the service forgets to say that it depends on who asks."""
    service = Inventory(cache_control="max-age=60")
    async with over(service.peers()) as app:
        assert (await get(app, headers=ME)).json["who"] == "Bearer me"
        assert (await get(app, headers=YOU)).json["who"] == "Bearer you"
        assert (await get(app)).json["who"] == ""
        assert (await get(app, headers=ME)).json["who"] == "Bearer me"


async def test_what_is_public_is_the_same_for_everyone():
    service = public()
    async with over(service.peers()) as app:
        assert how(await get(app)) == "fwd=miss; stored"
        for who in (ME, YOU):
            assert (await get(app, headers=who)).json == {"n": 1, "who": ""}
    assert service.asked == 1


async def test_what_is_public_but_depends_on_who_asks_is_not():
    service = public(vary="Authorization")
    async with over(service.peers()) as app:
        await get(app)
        assert (await get(app, headers=ME)).json["who"] == "Bearer me"
        assert (await get(app)).json["who"] == ""


async def test_what_depends_on_a_header_is_for_those_who_send_the_same():
    service = public(vary="Accept-Language, Accept")
    async with over(service.peers()) as app:
        german, english = {"accept-language": "de"}, {"accept-language": "en"}
        assert (await get(app, headers=german)).json["n"] == 1
        assert (await get(app, headers=german | {"x-other": "1"})).json["n"] == 1
        assert (await get(app, headers=english)).json["n"] == 2
        assert (await get(app, headers=english)).json["n"] == 2
        assert (await get(app)).json["n"] == 3


# one question for all who ask


async def many(app, count, *more, **headers):
    return [asyncio.ensure_future(get(app, *more, headers=headers)) for _ in range(count)]


async def test_fifty_who_ask_at_once_are_one_question():
    service = public()
    service.hold = True
    async with over(service.peers()) as app:
        waiting = await many(app, 50)
        await until(lambda: service.asked)
        await asyncio.sleep(0.02)
        service.go.set()
        found = await asyncio.gather(*waiting)
    assert service.asked == 1
    assert {got.json["n"] for got in found} == {1}
    assert sorted({how(got) for got in found}) == ["fwd=miss; stored", "hit; collapsed"]
    assert [how(got) for got in found].count("hit; collapsed") == 49
    assert len({got.headers["x-request-id"] for got in found}) == 50


async def test_those_who_have_it_already_get_304_from_the_same_question():
    service = public(etag='"v1"')
    service.hold = True
    async with over(service.peers()) as app:
        waiting = await many(app, 5) + await many(app, 5, **{"if-none-match": '"v1"'})
        await until(lambda: service.asked)
        service.go.set()
        found = await asyncio.gather(*waiting)
    assert (service.asked, [got.status for got in found]) == (1, [200] * 5 + [304] * 5)


async def test_those_who_wait_for_an_answer_that_is_not_for_keeping_go_on_by_themselves():
    service = Inventory()
    service.hold = True
    async with over(service.peers()) as app:
        waiting = await many(app, 20)
        await until(lambda: service.asked)
        service.go.set()
        found = await asyncio.gather(*waiting)
        assert sorted(got.json["n"] for got in found) == list(range(1, 21))
        service.hold, service.go = True, asyncio.Event()
        waiting = await many(app, 20)
        await until(lambda: service.asked == 40)  # and nobody waits for anybody any more
        service.go.set()
        await asyncio.gather(*waiting)


@pytest.mark.parametrize("large", [False, True])
async def test_those_who_wait_do_not_wait_for_a_slow_reader(large):
    """Whoever asked first gets an answer that is not for keeping, and takes its time to read it."""
    stuck, begun, asked = asyncio.Event(), asyncio.Event(), []

    async def streams(scope, receive, send):
        asked.append(1)
        await begun.wait()
        headers = [(b"cache-control", b"max-age=60")] if large else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"x" * 200_000, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async with over({"inventory": Near("inventory", streams)}, cache_bytes=2**20) as app:

        async def slowly(scope, receive, send):
            async def slow(message):
                await send(message)
                if message.get("body"):
                    await stuck.wait()

            await app(scope, receive, slow)

        first = asyncio.ensure_future(ask(slowly, "GET", ITEMS))
        await until(lambda: asked)
        others = await many(app, 3)
        await asyncio.sleep(0.01)
        begun.set()
        assert [len(got.body) for got in await asyncio.gather(*others)] == [600_000] * 3
        assert not first.done()
        stuck.set()
        assert len((await first).body) == 600_000


async def test_when_the_one_who_asks_leaves_another_asks():
    service = public()
    service.hold = True
    async with over(service.peers()) as app:
        first = asyncio.ensure_future(get(app))
        await until(lambda: service.asked == 1)
        waiting = await many(app, 10)
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.wait((first,))
        await until(lambda: service.asked == 2)
        service.go.set()
        assert {got.json["n"] for got in await asyncio.gather(*waiting)} == {2}
    assert (service.asked, service.cancelled) == (2, 1)


async def test_when_one_who_waits_leaves_nothing_happens():
    service = public()
    service.hold = True
    async with over(service.peers()) as app:
        waiting = await many(app, 5)
        await until(lambda: service.asked)
        waiting[3].cancel()
        await asyncio.wait((waiting.pop(3),))
        service.go.set()
        assert [got.json["n"] for got in await asyncio.gather(*waiting)] == [1] * 4


async def test_those_who_wait_for_a_failing_service_fail_together():
    service = public()
    service.hold = True
    async with over(service.peers(), answer_seconds=0.2) as app:
        began = asyncio.get_running_loop().time()
        found = await asyncio.gather(*await many(app, 20))
        assert [got.status for got in found] == [503] * 20
        assert asyncio.get_running_loop().time() - began < 2
    assert service.asked <= 2


async def test_those_who_wait_for_what_suits_others_ask_for_their_own():
    service = public(vary="Accept-Language")
    service.hold = True
    async with over(service.peers()) as app:
        german, english = (
            await many(app, 3, **{"accept-language": "de"}),
            await many(app, 3, **{"accept-language": "en"}),
        )
        await until(lambda: service.asked)
        service.go.set()
        found = await asyncio.gather(*german, *english)
    assert {got.json["n"] for got in found[:3]} == {1}
    assert 1 not in {got.json["n"] for got in found[3:]}


# what has changed


async def test_a_purge_takes_effect_at_once():
    cache, service = MemoryCache(), tagged("item:1", "items", seconds=60)
    other = tagged("calendar:1", seconds=60)
    async with over(service.peers() | {"bookings": Near("bookings", other)}, cache=cache) as app:
        for tag in ("item:1", "items"):
            before = (await get(app)).json["n"]
            await get(app, "/api/v1/bookings")
            await purge(cache, "item:2", "x", "item:")
            assert (await get(app)).json["n"] == before
            await purge(cache, "y", tag)
            assert (await get(app)).json["n"] == before + 1
            assert how(await get(app, "/api/v1/bookings")) == "hit"


async def purged_meanwhile(app, service, cache):
    """Something changes while the service is asked: what comes of the question, and of the next one."""
    service.hold = True
    asked = asyncio.ensure_future(get(app))
    await until(lambda: service.asked == 1)
    await purge(cache, "item:1")
    service.go.set()
    first = await asked
    return first.json["n"], (await get(app)).json["n"]


async def test_an_older_answer_never_lands_after_a_purge():
    cache, service = MemoryCache(), tagged("item:1", seconds=60)
    async with over(service.peers(), cache=cache) as app:
        assert await purged_meanwhile(app, service, cache) == (1, 2)
        assert how(await get(app)) == "hit"


async def test_without_the_epochs_it_would(monkeypatch):
    """The control: so the test above bites."""
    monkeypatch.setattr(Entries, "is_current", lambda *_: True)
    cache, service = MemoryCache(), tagged("item:1", seconds=60)
    async with over(service.peers(), cache=cache) as app:
        assert await purged_meanwhile(app, service, cache) == (1, 1)


async def test_a_purge_of_something_else_does_not_matter():
    cache, service = MemoryCache(), tagged("item:2", seconds=60)
    async with over(service.peers(), cache=cache) as app:
        assert await purged_meanwhile(app, service, cache) == (1, 1)


async def test_nobody_joins_a_question_from_before_a_purge():
    cache, service = MemoryCache(), tagged("item:1", seconds=60)
    service.hold = True
    async with over(service.peers(), cache=cache) as app:
        early = await many(app, 3)
        await until(lambda: service.asked == 1)
        await purge(cache, "item:1")
        late = await many(app, 3)
        await until(lambda: service.asked == 2)
        service.go.set()
        assert {got.json["n"] for got in await asyncio.gather(*late)} == {2}
        assert {got.json["n"] for got in await asyncio.gather(*early)} <= {1, 2}
        assert (await get(app)).json["n"] == 2


async def test_those_who_waited_when_something_changed_do_not_get_the_older_answer():
    """They began before; but where one of them has not been answered, it may as well see the change."""
    cache, service = MemoryCache(), tagged("item:1", seconds=60)
    service.hold = True
    async with over(service.peers(), cache=cache) as app:
        first, *others = await many(app, 5)
        await until(lambda: service.asked == 1)
        await purge(cache, "item:1")
        service.go.set()
        assert (await first).json["n"] == 1
        assert {got.json["n"] for got in await asyncio.gather(*others)} == {2}


async def test_when_messages_may_have_been_lost_all_is_forgotten():
    class Cut(MemoryCache):
        def missed(self):
            for hearer in self._hearers["purge"]:
                hearer.missed()

    cache, service = Cut(), tagged("item:1", seconds=60)
    async with over(service.peers(), cache=cache) as app:
        await get(app)
        cache.epoch += 1
        cache.missed()
        assert (await get(app)).json["n"] == 2


async def test_out_of_touch_only_the_newest_is_given(clock):
    class Deaf(MemoryCache):
        deaf = False

        def in_touch(self):
            return not self.deaf

    cache, service = Deaf(), tagged("item:1", seconds=60, revalidate=60)
    async with over(service.peers(), cache=cache) as app:
        await get(app)
        clock.ahead, cache.deaf = 0.5, True
        assert how(await get(app)) == "hit"
        clock.ahead = 1.5
        assert (await get(app)).json["n"] == 2
        cache.deaf = False
        clock.ahead = 10
        assert how(await get(app)) == "hit"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_whoever_changes_an_address_makes_what_is_kept_of_it_void(method):
    service = public()
    async with over(service.peers()) as app:
        await get(app, ITEMS + "/7")
        await get(app, ITEMS + "/8")
        await asyncio.wait_for(ask(app, method, ITEMS + "/7"), 5)
        assert (await get(app, ITEMS + "/7")).json["n"] == 4
        assert how(await get(app, ITEMS + "/8")) == "hit"


async def test_asking_for_options_changes_nothing():
    service = public()
    async with over(service.peers()) as app:
        await get(app)
        await asyncio.wait_for(ask(app, "OPTIONS", ITEMS), 5)
        assert how(await get(app)) == "hit"


# stale


async def test_what_is_stale_is_given_while_a_new_answer_is_fetched(clock):
    service = tagged("items", seconds=10, revalidate=10)
    async with over(service.peers()) as app:
        await get(app)
        clock.ahead, service.hold = 11, True
        found = await asyncio.gather(*await many(app, 20))
        assert {(got.json["n"], how(got)) for got in found} == {(1, "hit; fwd=stale; detail=revalidating")}
        assert found[0].headers["cache-status"] == "commonry; hit; fwd=stale; detail=revalidating; ttl=-1"
        await until(lambda: service.asked == 2)
        service.go.set()
        await asyncio.sleep(0.02)
        assert how(await get(app)) == "hit"
        assert (await get(app)).json["n"] == 2
    assert service.asked == 2


async def test_what_is_too_stale_is_not(clock):
    service = tagged("items", seconds=10, revalidate=10)
    async with over(service.peers()) as app:
        await get(app)
        clock.ahead = 21
        assert ((await get(app)).json["n"], service.asked) == (2, 2)


@pytest.mark.parametrize("far", [False, True], ids=["near", "far"])
@pytest.mark.parametrize("whole", [True, False], ids=["fast lane", "usual way"])
async def test_a_new_answer_is_fetched_whichever_way_the_stale_one_was_given(clock, served, far, whole):
    service = tagged("items", seconds=10, revalidate=10, everyone=True)
    peer = Far("inventory", [await served(service)]) if far else Near("inventory", service)
    async with opened({"inventory": peer}) as door:
        more = b"" if whole else b"connection: keep-alive, x\r\n"
        request = b"GET /api/v1/items HTTP/1.1\r\nhost: x\r\n%b\r\n" % more
        assert (await door.spoken(request)).json["n"] == 1
        clock.ahead = 11
        assert (await door.spoken(request)).json["n"] == 1
        await until(lambda: service.asked == 2)
        await asyncio.sleep(0.02)
        assert (await door.spoken(request)).json["n"] == 2


@pytest.mark.parametrize("whole", [True, False], ids=["fast lane", "usual way"])
async def test_a_refresh_that_hangs_is_given_up_in_time(clock, whole):
    """Else nobody would ever ask for this address again."""
    service = tagged("items", seconds=10, revalidate=10, everyone=True)
    async with opened(service.peers(), answer_seconds=0.2) as door:
        more = b"" if whole else b"connection: keep-alive, x\r\n"
        request = b"GET /api/v1/items HTTP/1.1\r\nhost: x\r\n%b\r\n" % more
        await door.spoken(request)
        clock.ahead, service.hold = 11, True
        assert (await door.spoken(request)).json["n"] == 1
        await until(lambda: service.asked == 2)
        await until(lambda: service.cancelled == 1)
        service.hold = False
        assert (await door.spoken(request)).json["n"] == 1
        await until(lambda: service.asked == 3)


TROUBLE = {"503 problem": Unavailable(), "exception": RuntimeError("broken"), "500": 500, "502": 502, "503": 503}


@pytest.mark.parametrize("trouble", TROUBLE)
async def test_what_is_stale_is_given_when_the_service_fails_and_says_so(clock, trouble):
    service = tagged("items", seconds=10, on_error=100)
    async with over(service.peers()) as app:
        await get(app)
        clock.ahead, service.trouble = 11, TROUBLE[trouble]
        got = await get(app)
        assert (got.status, got.json["n"], how(got)) == (200, 1, "hit; fwd=stale; detail=origin-away")
        assert 11 <= int(got.headers["age"]) < 20
        assert got.headers["warning"].startswith("111 ")
        service.trouble = None
        assert ((await get(app)).json["n"], "warning" in (await get(app)).headers) == (3, False)


async def test_a_client_that_has_the_stale_answer_gets_304(clock):
    service = tagged("items", seconds=10, on_error=100)
    async with over(service.peers()) as app:
        mark = (await get(app)).headers["etag"]
        clock.ahead, service.trouble = 11, 500
        assert (await get(app, headers={"if-none-match": mark})).status == 304


async def test_a_service_that_hangs_is_answered_for_from_what_is_stale(clock):
    service = tagged("items", seconds=10, on_error=100)
    async with over(service.peers(), answer_seconds=0.1) as app:
        await get(app)
        clock.ahead, service.hold = 11, True
        found = await asyncio.gather(*await many(app, 5))
        assert [got.json["n"] for got in found] == [1] * 5


@pytest.mark.parametrize("trouble", ["404", "409"])
async def test_an_answer_is_an_answer_also_when_it_is_no(clock, trouble):
    service = tagged("items", seconds=10, on_error=100)
    async with over(service.peers()) as app:
        await get(app)
        clock.ahead, service.trouble = 11, int(trouble)
        assert (await get(app)).status == int(trouble)


async def test_a_problem_below_500_is_passed_on(clock):
    service = tagged("items", seconds=10, on_error=100)
    async with over(service.peers()) as app:
        await get(app)
        clock.ahead, service.trouble = 11, NotFound()
        assert (await get(app)).status == 404


async def test_what_is_too_old_even_for_that_is_not_given(clock):
    service = tagged("items", seconds=10, on_error=100)
    async with over(service.peers()) as app:
        await get(app)
        clock.ahead, service.trouble = 111, Unavailable()
        assert (await get(app)).status == 503


@pytest.mark.parametrize("trouble", [Unavailable(), 500])
async def test_what_was_purged_is_not_given_even_then(clock, trouble):
    cache, service = MemoryCache(), tagged("items", seconds=10, on_error=100)
    async with over(service.peers(), cache=cache) as app:
        await get(app)
        await purge(cache, "items")
        service.trouble = trouble
        assert (await get(app)).status >= 500


async def test_what_is_purged_while_the_service_fails_is_not_given(clock):
    cache, service = MemoryCache(), tagged("items", seconds=10, on_error=100)
    async with over(service.peers(), cache=cache) as app:
        await get(app)
        clock.ahead, service.hold, service.trouble = 11, True, Unavailable()
        asked = asyncio.ensure_future(get(app))
        await until(lambda: service.asked == 2)
        await purge(cache, "items")
        service.go.set()
        assert (await asked).status == 503


async def test_a_persons_request_is_not_answered_from_what_is_stale(clock):
    service = tagged("items", seconds=10, on_error=100)
    async with over(service.peers()) as app:
        await get(app)
        service.trouble = Unavailable()
        assert (await get(app, headers=ME)).status == 503


# sizes


@pytest.mark.parametrize("pieces", [1, 7])
async def test_large_answers_pass_and_are_not_kept(pieces):
    asked, body = [], bytes(range(256)) * 1200

    async def large(scope, receive, send):
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
        size = len(body) // pieces + 1
        for n in range(pieces):
            piece = body[n * size : (n + 1) * size]
            await send({"type": "http.response.body", "body": piece, "more_body": n + 1 < pieces})

    async with over({"inventory": Near("inventory", large)}, cache_bytes=2**20) as app:
        for _ in range(2):
            assert (await get(app)).body == body
        assert (await get(app, "/api/v1/status")).json["cache"]["answers"] == 0
    assert asked.count(ITEMS) == 2


async def test_an_answer_in_chunks_is_kept_whole():
    asked = []

    async def chunks(scope, receive, send):
        asked.append(1)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
        for n in range(10):
            await send({"type": "http.response.body", "body": b"%d" % n, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async with over({"inventory": Near("inventory", chunks)}) as app:
        for _ in range(2):
            got = await get(app)
            assert (got.body, got.headers["content-length"]) == (b"0123456789", "10")
    assert len(asked) == 1


async def test_an_answer_that_breaks_off_is_not_kept(served):
    async def breaks(scope, receive, send):
        headers = [(b"cache-control", b"max-age=60"), (b"content-length", b"100000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
        raise RuntimeError("broken")

    async with over({"inventory": Far("inventory", [await served(breaks)])}) as app:
        for _ in range(2):
            assert (await get(app)).status >= 500
        assert (await get(app, "/api/v1/status")).json["cache"]["answers"] == 0


MOST = 8 * 2**20


@pytest.mark.parametrize("length", [1, 1500])
def test_ten_thousand_addresses_stay_within_the_setting(length):
    """By our own count at any time, and by the memory that is really used."""
    entries = Entries(MemoryCache(), MOST)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for n in range(10_000):
            tags = f"items item:{n} owner:{n % 50} calendar:{n}".encode()
            headers = [(b"content-type", b"application/json"), (b"commonry-tags", tags), (b"x-number", b"%d" % n)]
            made = Entry.made(200, headers, b"%d" % n * (length // 5 or 1), Life(60, 60, 60, False), [], 0)
            made.ready = b"x" * (len(made.head) + 400)  # as after a hit
            assert entries.put(b"/api/v1/items/%d?q=anything" % n, made)
            assert entries.size <= MOST
        del made, headers, tags
        gc.collect()
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert entries.size > 0.9 * MOST
    assert used <= 1.3 * MOST
    assert entries.get(b"/api/v1/items/9999?q=anything") is not None
    assert entries.get(b"/api/v1/items/0?q=anything") is None


async def test_many_addresses_stay_within_the_setting_from_outside_too():
    service = tagged("items", seconds=60)
    service.body = b"x" * 2000
    async with over(service.peers(), cache_bytes=2**20, limit_reads="off") as app:
        for n in range(1000):
            await ask(app, "GET", f"{ITEMS}/{n}")
        told = (await get(app, "/api/v1/status")).json["cache"]
        assert 0.9 * 2**20 < told["bytes"] <= 2**20
        assert 100 < told["answers"] < 400
        assert how(await get(app, f"{ITEMS}/999")) == "hit"
        assert how(await get(app, f"{ITEMS}/0")) == "fwd=miss; stored"


def entry(size, *tags, epoch=0):
    return Entry(
        200, b"", b"x" * size, Life(60, 60, 60, False), frozenset(tags), epoch, entries_module.time.monotonic()
    )


def test_what_was_used_longest_ago_goes_first():
    entries = Entries(MemoryCache(), 2**20)
    for n in range(8):
        entries.put(b"%d" % n, entry(100_000, "x"))
        entries.get(b"0")
    assert entries.get(b"0") is not None
    while b"1" in entries._kept:
        entries.put(b"more %d" % len(entries), entry(100_000))
        entries.get(b"0")
    assert entries.get(b"0") is not None
    assert entries.size <= 2**20


def test_one_large_answer_does_not_drive_out_all_others():
    entries = Entries(MemoryCache(), 2**20)
    assert not entries.put(b"large", entry(2**20 // 8))
    assert entries.put(b"fits", entry(2**20 // 8 - 5000))


def test_the_count_is_right_after_anything():
    entries = Entries(MemoryCache(), 2**20)
    for round_ in range(3):
        for n in range(200):
            entries.put(b"%d" % (n % 50), entry(n * 10, f"tag {n % 7}", "all"))
        for n in range(0, 50, 3):
            entries.drop(b"%d" % n)
            entries.drop(b"nothing")
        kept_now = sum(e.size + len(k) for k, e in entries._kept.items())
        assert entries.size == kept_now
        assert {t for targets in entries._by_tag.values() for t in targets} == set(entries._kept)
        if round_ == 1:
            entries._forget_all()
            assert (entries.size, len(entries)) == (0, 0)


async def test_what_changed_is_remembered_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(entries_module, "MOST_REMEMBERED", 100)
    cache = MemoryCache()
    entries = Entries(cache, 2**20)
    old = entry(10, "tag 5", epoch=cache.epoch)
    for n in range(1000):
        await purge(cache, f"tag {n}")
        assert len(entries._changed) <= 101
    assert not entries.is_current(old)
    assert not entries.put(b"old", old)
    assert entries.put(b"new", entry(10, "tag 5", epoch=cache.epoch))


def test_addresses_that_give_nothing_to_keep_are_remembered_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(layers, "MOST_PASSES", 100)
    made = layers.Layers(MemoryCache(), 2**20, shared=False)
    for n in range(1000):
        made.let_pass(b"%d" % n)
        assert len(made._passes) <= 100
    assert made.passes(b"999")


async def test_an_entry_survives_the_shared_cache():
    cache = MemoryCache()
    service = tagged("item:1", "items", seconds=60, on_error=5)
    async with over(service.peers(), cache=cache) as app:
        await get(app)
        made = app.protocol.cache.entries.get(b"/api/v1/items")
    again = Entry.unpacked(made.packed())
    for name in ("status", "head", "body", "life", "tags", "epoch", "vary", "values", "etag", "is_plain", "size"):
        assert getattr(again, name) == getattr(made, name), name
    assert again.made_at == pytest.approx(made.made_at, abs=0.05)
    assert Entry.unpacked(b"nonsense") is None
    assert Entry.unpacked(made.packed()[:-3]) is None


async def test_problems_are_not_kept_unless_said_so():
    refused = problem_reply(NotFound())

    async def missing(scope, receive, send):
        asked.append(1)
        await answer(send, refused)

    asked = []
    async with over({"inventory": Near("inventory", missing)}) as app:
        for _ in range(3):
            assert (await get(app)).status == 404
    assert len(asked) == 3
