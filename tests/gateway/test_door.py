"""The door of a running platform, with all services near and with all far."""

import asyncio
import json
import re
import socket
from html.parser import HTMLParser

import aiohttp
import pytest

from commonry.gateway.limits import DRAINED
from commonry.kit.problems import Problem
from tests.platform import Person


@pytest.fixture
async def someone(platform):
    person = Person(platform.url)
    yield person
    await person.close()


async def spoken(platform, *pieces, wait=0.0):
    """What the platform answers to these very bytes."""
    host, port = platform.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(wait)
        async with asyncio.timeout(10):
            got = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", got)
            return got + (await reader.readexactly(int(length[1])) if length else await reader.read(65536))
    finally:
        writer.close()


class Page(HTMLParser):
    """Tags and links of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        self.tags.append((tag, told))
        self.links += [told[name] for name in ("href", "src", "action") if told.get(name)]

    def handle_data(self, data):
        self.words.append(data)


async def read(someone, path):
    async with someone._opened().get(someone.url + path) as got:
        return got, await got.text()


async def test_the_whole_is_well(someone):
    status, told, _ = await someone.call("GET", "/status")
    assert (status, told["status"]) == (200, "ok")
    assert set(told["services"]) == {"users", "inventory", "bookings", "payments", "analytics", "web"}
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", told["version"])


async def test_replicas_are_counted(platform, someone):
    replicas = (await someone.get("/status"))["services"]["bookings"]["replicas"]
    assert len(replicas) == (2 if platform.mode == "far" else 1)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_machines_get_their_answers(someone, path):
    assert (await someone.call("GET", path)).status == 200


async def test_metrics_are_in_prometheus_format(someone):
    await someone.call("GET", "/items")
    told = (await someone.call("GET", "/metrics")).json.decode()
    assert re.search(r'^commonry_request_seconds_count\{.*service="gateway".*\} \d', told, re.MULTILINE)


async def test_internal_routes_are_not_to_be_had(someone):
    for path in ("/internal/openapi.json", "/internal/items/0190/terms", "/internal/events/x/y"):
        async with someone._opened().get(someone.url + path, headers={"commonry-service": "guess"}) as got:
            assert got.status == 404


@pytest.mark.parametrize(
    "path", ["/api/v1/items/../../../internal/openapi.json", "/api/v1/items/%2e%2e/%2e%2e/%2e%2e/internal/openapi.json"]
)
async def test_nobody_climbs_into_internal_routes(platform, path):
    got = await spoken(platform, f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert got.startswith(b"HTTP/1.1 404 ")


async def test_wrong_methods_say_what_would_do(someone):
    status, told, headers = await someone.call("PUT", "/items")
    assert (status, told["type"]) == (405, "/problems/method-not-allowed")
    assert {"GET", "HEAD", "POST"} <= set(headers["allow"].split(", "))


async def test_head_is_get_without_its_body(someone):
    for path in ("/", "/api/v1/items", "/api/docs"):
        async with someone._opened().head(someone.url + path) as got:
            assert (got.status, await got.read()) == (200, b"")
            assert got.headers["content-type"]


async def test_a_body_declared_too_large_is_refused_at_once(platform):
    head = b"POST /api/v1/items HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    got = await spoken(platform, head + b"expect: 100-continue\r\ncontent-length: 40000000\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 413 ")
    assert b"/problems/too-large" in got


async def test_whoever_sends_too_much_still_gets_to_read_why(platform):
    body = b"x" * (25 * 2**20)
    head = f"POST /api/v1/items HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    assert (await spoken(platform, head, body)).startswith(b"HTTP/1.1 413 ")
    assert len(body) < DRAINED


async def test_endless_chunks_are_cut_off(platform):
    head = b"POST /api/v1/items HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    chunk = b"100000\r\n" + b"x" * 2**20 + b"\r\n"
    got = await spoken(platform, head, *[chunk] * 26, b"0\r\n\r\n")
    assert got.startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 401 "))


@pytest.mark.parametrize(
    "heads",
    [
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
        b"transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        b"content-length: 5\r\ncontent-length: 6\r\n",
        b"content-length: +5\r\n",
        b"transfer-encoding: chunked, identity\r\n",
        b"transfer-encoding : chunked\r\n",
    ],
)
async def test_a_body_of_two_lengths_is_refused(platform, heads):
    """Else two servers could disagree where one request ends and the next, smuggled one begins."""
    smuggled = b"0\r\n\r\nGET /internal/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n"
    got = await spoken(platform, b"POST /api/v1/items HTTP/1.1\r\nhost: x\r\n" + heads + b"\r\n" + smuggled)
    assert re.match(rb"HTTP/1.1 (400|422) ", got), got[:200]
    assert got.count(b"HTTP/1.1 ") == 1


async def test_odd_bytes_in_an_address_are_no_fault_of_ours(platform):
    for path in (b"/api/v1/items/%ff%fe", b"/%00", b"/api/v1/items?q=%00%ff", b"/api/v1/items/\xc3\xa4"):
        got = await spoken(platform, b"GET " + path + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert re.match(rb"HTTP/1.1 [24]\d\d ", got), (path, got[:300])


async def test_errors_of_services_and_of_the_gateway_look_alike(someone):
    for method, path in (("GET", "/nothing"), ("GET", "/members/me"), ("POST", "/auth/login"), ("DELETE", "/status")):
        status, told, headers = await someone.call(method, path)
        assert headers["content-type"] == "application/problem+json", path
        assert (told["status"], headers["x-content-type-options"]) == (status, "nosniff")
        assert told["type"].removeprefix("/problems/") in Problem.known


async def test_every_problem_has_its_page(someone):
    _, listed = await read(someone, "/problems")
    for slug, kind in Problem.known.items():
        got, text = await read(someone, f"/problems/{slug}")
        assert got.status == 200
        assert str(kind.status) in text
        assert f'href="/problems/{slug}"' in listed


async def test_pages_need_nothing_from_elsewhere_and_run_no_script(someone):
    for path in ("/api/docs", "/problems", "/problems/item-taken"):
        got, text = await read(someone, path)
        page = Page(text)
        assert all(link.startswith(("/", "#")) for link in page.links), path
        assert not {"script", "style", "iframe"} & {tag for tag, _ in page.tags}
        assert not [told for _, told in page.tags if "style" in told or any(name.startswith("on") for name in told)]
        assert "script-src" not in got.headers["content-security-policy"]
        assert "default-src 'none'" in got.headers["content-security-policy"]
        assert ("html", {"lang": "en"}) in page.tags


async def test_the_reference_describes_every_call(someone):
    document = json.loads((await read(someone, "/api/v1/openapi.json"))[1])
    _, text = await read(someone, "/api/docs")
    for path, item in document["paths"].items():
        assert path.replace("{", "{") in text
        for operation in item.values():
            assert f'id="{operation["operationId"]}"' in text
    targets = {told["id"] for _, told in Page(text).tags if "id" in told}
    assert {link[1:] for link in Page(text).links if link.startswith("#")} <= targets


async def a_category(person):
    return (await person.get("/categories"))["data"][0]["slug"]


async def test_many_clients_at_once(platform):
    connector = aiohttp.TCPConnector(limit=50, family=socket.AF_INET)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def one(number):
            mine = {"x-request-id": f"n-{number}"}
            async with session.get(f"{platform.url}/api/v1/items?limit=1", headers=mine) as got:
                await got.read()
                return got.status, got.headers["x-request-id"]

        answers = await asyncio.gather(*(one(n) for n in range(200)))
    assert answers == [(200, f"n-{n}") for n in range(200)]
