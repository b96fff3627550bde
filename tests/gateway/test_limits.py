"""Bodies over the limit: refused when declared, cut off when not."""

import pytest

from commonry.kit.peers import Near
from tests.gateway.conftest import ask, echo, over

LIMIT = 1024


@pytest.fixture
async def narrow():
    async with over(max_body=LIMIT) as app:
        yield app


async def test_a_declared_length_over_the_limit_is_refused_before_anything_is_read():
    asked = []

    async def counting(scope, receive, send):
        asked.append(scope)
        await echo("inventory")(scope, receive, send)

    async with over({"inventory": Near("inventory", counting)}, max_body=LIMIT) as app:
        got = await ask(app, "POST", "/api/v1/items", {"content-length": str(LIMIT + 1)}, [b"x"])
    assert (got.status, got.json["type"], got.headers["connection"]) == (413, "/problems/too-large", "close")
    assert asked == []


async def test_a_body_of_exactly_the_limit_passes(narrow):
    got = await ask(narrow, "POST", "/api/v1/items", {"content-length": str(LIMIT)}, [b"x" * LIMIT])
    assert got.json["size"] == LIMIT


async def test_chunks_are_counted(narrow):
    chunked = {"transfer-encoding": "chunked"}
    good = await ask(narrow, "POST", "/api/v1/items", chunked, [b"x" * 512, b"x" * 512])
    bad = await ask(narrow, "POST", "/api/v1/items", chunked, [b"x" * 512, b"x" * 513, b"x"])
    assert good.json["size"] == LIMIT
    assert (bad.status, bad.json["type"], bad.headers["connection"]) == (413, "/problems/too-large", "close")


@pytest.mark.parametrize("length", ["-1", "1e3", "ten", "", "1, 1"])
async def test_an_odd_length_is_a_mistake(narrow, length):
    got = await ask(narrow, "POST", "/api/v1/items", {"content-length": length}, [b"x"])
    assert (got.status, got.json["errors"][0]["at"]) == (422, "header.Content-Length")


async def test_two_lengths_are_a_mistake(narrow):
    got = await ask(narrow, "POST", "/api/v1/items", [("content-length", "1"), ("content-length", "2")], [b"x"])
    assert got.status == 422


async def test_own_addresses_take_no_large_bodies_either(narrow):
    got = await ask(narrow, "GET", "/healthz", {"content-length": str(LIMIT + 1)}, [b"x"])
    assert got.status == 413
