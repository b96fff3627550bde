"""Who is let in and how often: limits for each client and kind of request, the client's true address, shedding."""

import asyncio
import re
import time

import pytest

from commonry.contracts.settings import Settings
from commonry.gateway.admission import USUAL, Admission, Lag, classes, fields, is_local, kind_of, limit_of, subject
from commonry.kit.asgi import answer, json_reply
from commonry.kit.cache import MemoryCache
from commonry.kit.peers import Far, Near
from commonry.kit.rates import Limit, Verdict
from commonry.kit.tags import kept
from tests.gateway.conftest import SERVICES, ask, echo, opened, over, until

ITEMS, LOGIN = "/api/v1/items", "/api/v1/auth/login"
PROXY, ADA, BEN = "10.0.0.1", "203.0.113.7", "203.0.113.8"
NEVER = "1/h"
"""With a burst: so many, and then no more for as long as a test takes."""


async def statuses(app, count, method="GET", path=ITEMS, *, client=ADA, **headers):
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return [(await ask(app, method, path, sent, client=(client, 5000))).status for _ in range(count)]


# kinds and limits


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/api/v1/items", "reads"),
        ("HEAD", "/api/v1/items", "reads"),
        ("OPTIONS", "/api/v1/items", "reads"),
        ("GET", "/api/v1/auth/login", "reads"),
        ("POST", "/api/v1/items", "writes"),
        ("PUT", "/api/v1/auth/login", "writes"),
        ("DELETE", "/api/v1/items/7", "writes"),
        ("POST", "/api/v1/auth/login", "logins"),
        ("POST", "/api/v1/auth/login/", "logins"),
        ("POST", "/api/v1/auth/register", "registrations"),
        ("POST", "/api/v1/bookings", "bookings"),
        ("POST", "/api/v1/bookings/7/accept", "writes"),
        ("BREW", "/", "writes"),
    ],
)
def test_every_request_has_its_kind(method, path, kind):
    assert kind_of(method, path) == kind


@pytest.mark.parametrize(
    ("said", "rate", "burst"),
    [
        ("300/s,3000", 300, 3000),
        ("60/min,10", 1, 10),
        ("60/min", 1, 60),
        ("1.5/s,7", 1.5, 7),
        ("3600/h,1", 1, 1),
    ],
)
def test_limits_are_understood(said, rate, burst):
    assert limit_of("any", said) == Limit("any", pytest.approx(rate), burst)


def test_limits_can_be_switched_off():
    assert limit_of("any", "off") is None
    assert classes(Settings(limit_logins="off"))["logins"].limit is None


def test_limits_that_nobody_chose_spare_this_machine_and_chosen_ones_do_not():
    usual, chosen = classes(Settings()), classes(Settings(limit_reads="5/s"))
    assert all(kind.spares_local for kind in usual.values())
    assert not chosen["reads"].spares_local
    assert chosen["writes"].spares_local
    assert set(usual) == set(USUAL)
    assert {name for name, kind in usual.items() if kind.is_shared} == {"logins", "registrations", "bookings"}


async def test_limits_that_nobody_chose_hold_for_others():
    async with over() as app:
        assert await statuses(app, 61, "POST", LOGIN, client=ADA) == [200] * 60 + [429]
        assert set(await statuses(app, 80, "POST", LOGIN, client="127.0.0.1")) == {200}
        assert set(await statuses(app, 80, "POST", LOGIN, client="::1")) == {200}
        assert await statuses(app, 1, "POST", LOGIN, client=BEN) == [200]


async def test_chosen_limits_hold_for_this_machine_too():
    async with over(limit_reads=f"{NEVER},5") as app:
        for client in ("127.0.0.1", "::1", ADA):
            assert await statuses(app, 7, client=client) == [200] * 5 + [429] * 2


async def test_kinds_do_not_share_a_bucket():
    async with over(limit_reads=f"{NEVER},2", limit_writes=f"{NEVER},3", limit_bookings=f"{NEVER},4") as app:
        assert await statuses(app, 3) == [200] * 2 + [429]
        assert await statuses(app, 4, "POST") == [200] * 3 + [429]
        assert await statuses(app, 5, "POST", "/api/v1/bookings") == [200] * 4 + [429]


async def test_a_limit_is_over_in_time():
    async with over(limit_reads="20/s,2") as app:
        assert await statuses(app, 3) == [200, 200, 429]
        began = time.monotonic()
        while await statuses(app, 1) == [429]:
            await asyncio.sleep(0.005)
        assert 0.02 <= time.monotonic() - began < 3


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_those_who_watch_us_are_never_limited(path):
    async with over(limit_reads=f"{NEVER},1") as app:
        assert set(await statuses(app, 5, path=path)) <= {200, 503}


async def test_who_is_refused_costs_the_service_nothing():
    asked = []

    async def counts(scope, receive, send):
        asked.append(scope)
        await answer(send, json_reply({}))

    async with over(
        {"inventory": Near("inventory", counts)}, limit_reads=f"{NEVER},2", limit_writes=f"{NEVER},1"
    ) as app:
        await statuses(app, 10)
        await statuses(app, 10, "POST")
    assert len(asked) == 3


# what is said about it

POLICY = re.compile(r'"[a-z]+";q=\d+;w=[1-9]\d*')
LEFT = re.compile(r'"[a-z]+";r=\d+;t=\d+')
"""Lists of strings with whole numbers as parameters (RFC 9651), as draft-ietf-httpapi-ratelimit-headers has them."""


async def test_what_is_left_is_said_with_every_answer():
    async with over(limit_reads="1/s,3") as app:
        found = [await ask(app, "GET", ITEMS, client=(ADA, 1)) for _ in range(4)]
    for n, got in enumerate(found):
        assert POLICY.fullmatch(got.headers["ratelimit-policy"])
        assert LEFT.fullmatch(got.headers["ratelimit"])
        assert got.headers["ratelimit-policy"] == '"reads";q=3;w=3'
        assert got.headers["ratelimit"] == f'"reads";r={max(0, 2 - n)};t={min(n + 1, 3)}'
    refused = found[3]
    assert (refused.status, refused.json["type"]) == (429, "/problems/too-many-requests")
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["retry-after"] == "1"
    assert refused.json["retry_after"] == 1
    assert refused.headers["cache-control"] == "no-cache"


async def test_a_shared_limit_says_so_too():
    async with over(limit_logins="60/min,2") as app:
        found = [await ask(app, "POST", LOGIN, client=(ADA, 1)) for _ in range(3)]
    assert [got.headers["ratelimit"] for got in found] == [
        '"logins";r=1;t=1',
        '"logins";r=0;t=2',
        '"logins";r=0;t=2',
    ]
    assert (found[2].status, found[2].headers["retry-after"]) == (429, "1")


async def test_who_is_not_limited_hears_nothing():
    async with over() as app:
        got = await ask(app, "GET", ITEMS, client=("127.0.0.1", 1))
    assert not {"ratelimit", "ratelimit-policy"} & set(got.headers)


@pytest.mark.parametrize("rate", [0.001, 0.3, 1, 7, 1000])
@pytest.mark.parametrize("burst", [1, 5, 5000])
def test_numbers_are_whole_and_make_sense(rate, burst):
    policy, left = (
        value.decode() for _, value in fields(Limit("reads", rate, burst), Verdict(True, burst - 1, 0, 1 / rate))
    )
    assert POLICY.fullmatch(policy)
    assert LEFT.fullmatch(left)


# the real server


def kept_for_a_minute():
    async def service(scope, receive, send):
        headers = kept("items", seconds=60, everyone=True) if scope["path"] == ITEMS else {}
        await answer(send, json_reply({})._replace(headers=headers))

    return service


def get(path=ITEMS, more=""):
    return f"GET {path} HTTP/1.1\r\nhost: x\r\n{more}\r\n".encode()


async def until_429(door, request, most=20):
    """How many of these requests are let in."""
    for count in range(most):
        if (await door.spoken(request)).status == 429:
            return count
    return most


WAYS = {"a hit": get(), "a miss": get(ITEMS + "/7"), "signed in": get(ITEMS + "/7", "authorization: Bearer x\r\n")}
WAYS |= {f"{name}, the usual way": request[:-2] + b"expect: nothing\r\n\r\n" for name, request in WAYS.items()}


@pytest.mark.parametrize("far", [False, True], ids=["near", "far"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_limit_is_the_same_by_every_way(served, far, way):
    """Not one more, as for hits from memory; not one less, as where a request begins one way and takes another."""
    peer = Far("inventory", [await served(kept_for_a_minute())]) if far else Near("inventory", kept_for_a_minute())
    async with opened({"inventory": peer}, limit_reads=f"{NEVER},5") as door:
        assert await until_429(door, WAYS[way]) == 5


@pytest.mark.parametrize("status", [405, 500])
@pytest.mark.parametrize("far", [False, True], ids=["near", "far"])
async def test_a_request_that_begins_the_short_way_and_takes_another_counts_once(served, far, status):
    async def refuses(scope, receive, send):
        if scope["path"] == "/internal/openapi.json":
            await answer(send, json_reply({"paths": {}}))
        elif status == 500 and not far:
            raise RuntimeError
        else:
            await answer(send, json_reply({}, status))

    url = await served(refuses) if far else ""
    peers = {name: Far(name, [url]) if far else Near(name, refuses) for name in SERVICES}
    async with opened(peers, limit_reads=f"{NEVER},5", shed_seconds=60) as door:  # a failure takes long to log
        assert await until_429(door, get(ITEMS, "authorization: Bearer x\r\n")) == 5


async def test_a_request_for_which_there_is_no_connection_yet_counts_once(served):
    url = await served(kept_for_a_minute())
    async with opened({"inventory": Far("inventory", [url])}, limit_reads=f"{NEVER},5") as door:
        (replica,) = door.app.protocol.services["inventory"].replicas.all
        count = 0
        while (await door.spoken(get(ITEMS, "authorization: Bearer x\r\n"))).status == 200:
            count += 1
            replica.pool.retire()
            await until(lambda: not replica.pool.idle)
        assert count == 5


async def test_a_refusal_in_the_fast_lane_says_all_that_one_says():
    async with opened({"inventory": Near("inventory", kept_for_a_minute())}, limit_reads=f"{NEVER},2") as door:
        assert await until_429(door, get()) == 2
        got = await door.spoken(get())
    assert (got.status, got.json["type"]) == (429, "/problems/too-many-requests")
    assert int(got.headers["retry-after"]) > 3000
    assert LEFT.fullmatch(got.headers["ratelimit"])


# addresses


@pytest.mark.parametrize(
    ("address", "who"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::1", "::1/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("unknown", "unknown"),
        ("203.0.113.7:80", "unknown"),
        ("[2001:db8::1]:80", "unknown"),
        ("203.0.113.007", "unknown"),
        ("' OR 1=1", "unknown"),
        ("x" * 10_000, "unknown"),
    ],
)
def test_whom_a_bucket_belongs_to(address, who):
    assert subject(address) == who


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_known(address):
    assert is_local(subject(address))


@pytest.mark.parametrize("address", ["128.0.0.1", "::2", "1.127.0.1", "unknown", "::ffff:203.0.113.7", "fe80::1"])
def test_others_are_not_taken_for_it(address):
    assert not is_local(subject(address))


def client(peer, *forwarded, trusted=PROXY):
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    return Admission(Settings(trusted_proxies=trusted), MemoryCache()).client(peer, headers)


@pytest.mark.parametrize(
    ("peer", "forwarded", "who"),
    [
        (ADA, (), ADA),
        (ADA, ("1.2.3.4",), ADA),
        (ADA, ("127.0.0.1",), ADA),
        (PROXY, (), PROXY),
        (PROXY, ("",), PROXY),
        (PROXY, (" , ,",), PROXY),
        (PROXY, (ADA,), ADA),
        (PROXY, (f"1.2.3.4, {ADA}",), ADA),
        (PROXY, (f"127.0.0.1, {ADA}",), ADA),
        (PROXY, ("1.2.3.4", ADA), ADA),
        (PROXY, (f"{ADA} , {PROXY}",), ADA),
        (PROXY, (f"1.2.3.4, {ADA},{PROXY},  {PROXY}",), ADA),
        (PROXY, (f"{PROXY}, {PROXY}",), PROXY),
        (PROXY, ("2001:db8::1",), "2001:db8::1"),
    ],
)
def test_the_clients_address_is_whoever_the_last_trusted_one_saw(peer, forwarded, who):
    assert client(peer, *forwarded) == who


def test_nobody_is_trusted_by_default():
    assert client(PROXY, ADA, trusted="") == PROXY
    assert client("127.0.0.1", ADA, trusted="") == "127.0.0.1"


@pytest.mark.parametrize(
    "trusted", ["10.0.0.0/8", "192.0.2.1, 10.0.0.1", " 10.0.0.1 ,", "10.0.0.99/24", "::1,10.0.0.1"]
)
def test_proxies_are_named_by_address_or_network(trusted):
    assert client(PROXY, ADA, trusted=trusted) == ADA
    assert client("11.0.0.1", ADA, trusted=trusted) == "11.0.0.1"


def test_a_proxy_that_is_connected_to_by_ipv6_is_known_by_its_ipv4_address():
    assert client("::ffff:10.0.0.1", ADA) == ADA


async def test_a_spoofed_address_changes_nothing():
    async with over(limit_reads=f"{NEVER},3") as app:
        found = []
        for n in range(5):
            found += await statuses(app, 1, client=ADA, x_forwarded_for=f"198.51.100.{n}")
        assert found == [200] * 3 + [429] * 2
        assert await statuses(app, 3, client=ADA, x_forwarded_for="127.0.0.1") == [429] * 3


async def test_clients_behind_a_proxy_have_a_bucket_each():
    async with over(limit_reads=f"{NEVER},2", trusted_proxies=PROXY) as app:
        for who in (ADA, BEN):
            assert await statuses(app, 3, client=PROXY, x_forwarded_for=f"127.0.0.1, {who}") == [200, 200, 429]


async def test_clients_of_one_ipv6_network_share_a_bucket():
    async with over(limit_reads=f"{NEVER},3") as app:
        found = []
        for n in range(5):
            found += await statuses(app, 1, client=f"2001:db8:1:2:{n}::{n}")
        assert found == [200] * 3 + [429] * 2
        assert await statuses(app, 1, client="2001:db8:1:3::1") == [200]


async def test_garbage_instead_of_an_address_is_one_client():
    async with over(limit_reads=f"{NEVER},3", trusted_proxies=PROXY) as app:
        found = []
        for n in range(5):
            found += await statuses(app, 1, client=PROXY, x_forwarded_for=f"garbage {n}")
        assert found == [200] * 3 + [429] * 2


@pytest.mark.parametrize("more", ["", "authorization: Bearer x\r\n", "connection: keep-alive, x\r\n"])
@pytest.mark.parametrize("far", [False, True], ids=["near", "far"])
async def test_a_service_is_told_the_true_address_by_every_way(served, far, more):
    peer = Far("inventory", [await served(echo("far"))]) if far else Near("inventory", echo("near"))
    for trusted, forwarded, who in (("", ADA, "127.0.0.1"), ("127.0.0.1", f"1.2.3.4, {ADA}", ADA)):
        async with opened({"inventory": peer}, trusted_proxies=trusted) as door:
            for _ in range(3):
                request = get(ITEMS, f"x-forwarded-for: {forwarded}\r\ncommonry-client: 6.6.6.6\r\n{more}")
                told = (await door.spoken(request)).json["headers"]
                assert [value for name, value in told if name == "commonry-client"] == [who]


# all gateways together


async def test_logins_are_counted_by_all_gateways_together():
    cache = MemoryCache()
    async with over(cache=cache, limit_logins=f"{NEVER},5") as one, over(cache=cache, limit_logins=f"{NEVER},5") as two:
        found = []
        for n in range(8):
            found += await statuses((one, two)[n % 2], 1, "POST", LOGIN)
        assert found == [200] * 5 + [429] * 3
        assert await statuses(two, 1, "POST", LOGIN, client=BEN) == [200]


async def test_exactly_so_many_logins_are_let_in_however_many_come_at_once():
    class Slow(MemoryCache):
        async def take(self, subject, limit):
            await asyncio.sleep(0.001)
            return await super().take(subject, limit)

    cache = Slow()
    async with over(cache=cache, limit_logins=f"{NEVER},7") as one, over(cache=cache, limit_logins=f"{NEVER},7") as two:
        found = await asyncio.gather(*(statuses((one, two)[n % 2], 1, "POST", LOGIN) for n in range(60)))
    assert sorted(status for (status,) in found) == [200] * 7 + [429] * 53


async def test_without_a_shared_cache_each_would_let_so_many_in():
    """The control."""
    async with over(limit_logins=f"{NEVER},5") as one, over(limit_logins=f"{NEVER},5") as two:
        found = await statuses(one, 6, "POST", LOGIN) + await statuses(two, 6, "POST", LOGIN)
    assert found.count(200) == 10


# too much


def test_only_a_delay_that_lasts_counts():
    lag = Lag(0.5)
    for late in (9, 0.1, 9, 9, 0.1, 9, 0.4):
        lag.note(late)
        assert not lag.is_over
    for late in (0.6, 0.7, 0.8):
        lag.note(late)
    assert lag.is_over
    lag.note(0.1)
    assert not lag.is_over


async def busy(seconds, rounds):
    """Something that holds the loop up, again and again."""
    for _ in range(rounds):
        time.sleep(seconds)  # noqa: ASYNC251 why: that is what is to be noticed
        await asyncio.sleep(0)


async def test_a_gateway_that_falls_behind_refuses_what_is_new_and_recovers():
    async with over({"inventory": Near("inventory", kept_for_a_minute())}, shed_seconds=0.03) as app:
        lag = app.edge.admission.lag
        assert await statuses(app, 1) == [200]
        holding_up = asyncio.ensure_future(busy(0.12, 8))
        await until(lambda: lag.is_over)
        for method, path in (("GET", ITEMS), ("POST", ITEMS), ("POST", LOGIN), ("GET", "/api/v1/status")):
            got = await ask(app, method, path)
            assert (got.status, got.json["type"]) == (503, "/problems/overloaded")
            assert got.headers["retry-after"] == "1"
        assert (await ask(app, "GET", "/healthz")).status == 200
        assert (await ask(app, "GET", "/metrics")).status == 200
        await holding_up
        await until(lambda: not lag.is_over, 2)
        assert await statuses(app, 1) == [200]
        assert await statuses(app, 1, "POST", LOGIN) == [200]


def behind(app):
    """From now on this gateway has too much to do, whatever it measures."""
    lag = app.edge.admission.lag
    lag.note = lambda late: None
    lag.is_over = True


@pytest.mark.parametrize("more", ["", "authorization: Bearer x\r\n", "connection: keep-alive, x\r\n"])
async def test_the_fast_lane_is_no_way_round_it(more):
    async with opened({"inventory": Near("inventory", kept_for_a_minute())}) as door:
        for path in (ITEMS, ITEMS + "/7"):
            for _ in range(2):
                assert (await door.spoken(get(path, more))).status == 200
        behind(door.app)
        for path in (ITEMS, ITEMS + "/7"):
            got = await door.spoken(get(path, more))
            assert (got.status, got.json["type"]) == (503, "/problems/overloaded")
        assert (await door.spoken(get("/healthz", more))).status == 200


async def test_what_was_let_in_before_is_still_answered():
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(scope, receive, send):
        begun.set()
        await go.wait()
        await answer(send, json_reply({}))

    async with over({"inventory": Near("inventory", slow)}) as app:
        early = asyncio.ensure_future(ask(app, "GET", ITEMS))
        await begun.wait()
        behind(app)
        assert await statuses(app, 1) == [503]
        go.set()
        assert (await early).status == 200


async def test_shedding_comes_before_counting():
    async with over(limit_reads=f"{NEVER},2") as app:
        behind(app)
        assert await statuses(app, 5) == [503] * 5
        app.edge.admission.lag.is_over = False
        assert await statuses(app, 3) == [200, 200, 429]
