"""What every request gets on its way in and out."""

import asyncio
import json

import pytest

from commonry.gateway.edge import SECURITY
from commonry.kit.asgi import answer, json_reply
from commonry.kit.peers import Near
from commonry.kit.problems import NotFound
from commonry.kit.telemetry import metrics_page
from tests.gateway.conftest import ask, over

OWN_PATHS = ["/api/style.css", "/healthz", "/metrics", "/problems", "/problems/item-taken"]


def headers_of(got):
    return dict(got.json["headers"])


async def test_headers_of_services_are_taken_off(door):
    sent = {"commonry-service": "stolen", "Commonry-Client": "1.2.3.4", "commonry-any": "x", "accept": "text/csv"}
    got = headers_of(await ask(door, "GET", "/api/v1/items", sent))
    assert got["commonry-client"] == "192.0.2.7"
    assert got["accept"] == "text/csv"
    assert not {"commonry-service", "commonry-any"} & set(got)


async def test_a_header_that_is_sent_twice_is_taken_off_twice(door):
    sent = [
        ("commonry-client", "1.2.3.4"),
        ("commonry-client", "5.6.7.8"),
        ("x-request-id", "a"),
        ("x-request-id", "b"),
    ]
    got = (await ask(door, "GET", "/api/v1/items", sent)).json["headers"]
    assert [v for n, v in got if n == "commonry-client"] == ["192.0.2.7"]
    assert len([v for n, v in got if n == "x-request-id"]) == 1


async def test_a_request_id_is_kept_when_well_formed_and_told_to_both_sides(door):
    got = await ask(door, "GET", "/api/v1/items", {"x-request-id": "mine-1"})
    assert headers_of(got)["x-request-id"] == got.headers["x-request-id"] == "mine-1"


@pytest.mark.parametrize("bad", ["", "two words", "x" * 65, "ä", "a\tb"])
async def test_other_request_ids_are_replaced(door, bad):
    got = await ask(door, "GET", "/api/v1/items", {"x-request-id": bad})
    assert got.headers["x-request-id"] != bad
    assert headers_of(got)["x-request-id"] == got.headers["x-request-id"]


async def test_the_trace_goes_on(door):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    got = await ask(door, "GET", "/api/v1/items", {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert headers_of(got)["traceparent"].split("-")[1] == trace
    fresh = await ask(door, "GET", "/api/v1/items")
    assert headers_of(fresh)["traceparent"].split("-")[1] != trace


@pytest.mark.parametrize("path", [*OWN_PATHS, "/api/v1/items", "/nothing/here"])
async def test_security_headers_are_on_everything(door, path):
    got = await ask(door, "GET", path)
    for name, _ in SECURITY:
        assert name.decode() in got.headers, name
    assert got.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in got.headers["content-security-policy"]
    assert "unsafe" not in got.headers["content-security-policy"]
    assert "strict-transport-security" not in got.headers


async def test_https_is_insisted_on_where_it_is_spoken(door):
    got = await ask(door, "GET", "/healthz", scheme="https")
    assert got.headers["strict-transport-security"].startswith("max-age=")


async def test_answers_to_a_person_are_not_to_be_stored(door):
    mine = await ask(door, "GET", "/api/v1/items", {"authorization": "Bearer x"})
    anyones = await ask(door, "GET", "/api/v1/items")
    assert (mine.headers["cache-control"], anyones.headers["cache-control"]) == ("no-store", "no-cache")


async def test_what_the_service_says_about_caching_stands():
    async def says(scope, receive, send):
        await answer(send, json_reply({})._replace(headers={"cache-control": "max-age=60", "x-request-id": "forged"}))

    async with over({"inventory": Near("inventory", says)}) as app:
        got = await ask(app, "GET", "/api/v1/items", {"authorization": "Bearer x", "x-request-id": "ours"})
    assert got.headers["cache-control"] == "max-age=60"
    assert got.headers["x-request-id"] == "ours"


@pytest.mark.parametrize(
    "path", ["/nothing", "/api/v1/nothing", "/internal/openapi.json", "/api/v1/items/../x", "/problems/none"]
)
async def test_what_is_not_there_is_a_problem(door, path):
    got = await ask(door, "GET", path)
    assert (got.status, got.json["type"]) == (404, "/problems/not-found")
    assert got.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", OWN_PATHS)
async def test_own_addresses_answer_only_get_and_head(door, path):
    refused = await ask(door, "DELETE", path)
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")
    assert refused.json["type"] == "/problems/method-not-allowed"
    assert (await ask(door, "HEAD", path)).status == 200


async def test_head_reaches_a_service_as_get(door):
    assert (await ask(door, "HEAD", "/api/v1/items")).json["method"] == "GET"


async def test_a_service_that_breaks_is_a_500_problem_without_its_secrets(capsys):
    async def breaks(scope, receive, send):
        raise RuntimeError("password=hunter2")

    async with over({"inventory": Near("inventory", breaks)}) as app:
        got = await ask(app, "GET", "/api/v1/items")
    assert (got.status, got.json["type"]) == (500, "/problems/internal-error")
    assert b"hunter2" not in got.body


async def test_a_problem_that_is_raised_becomes_its_document():
    async def refuses(scope, receive, send):
        raise NotFound

    async with over({"inventory": Near("inventory", refuses)}) as app:
        got = await ask(app, "GET", "/api/v1/items")
    assert (got.status, got.json["type"]) == (404, "/problems/not-found")


async def test_a_near_service_that_does_not_begin_to_answer_is_unavailable():
    async def hangs(scope, receive, send):
        await asyncio.sleep(30)

    async with over({"inventory": Near("inventory", hangs)}, answer_seconds=0.05) as app:
        got = await ask(app, "GET", "/api/v1/items")
    assert (got.status, got.json["type"], got.headers["retry-after"]) == (503, "/problems/unavailable", "2")


async def test_a_near_answer_that_has_begun_may_take_its_time():
    async def slow(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.2)
        await send({"type": "http.response.body", "body": b"late"})

    async with over({"inventory": Near("inventory", slow)}, answer_seconds=0.05) as app:
        assert (await ask(app, "GET", "/api/v1/items")).body == b"late"


async def test_a_near_service_gets_a_scope_of_its_own():
    seen = []

    async def scribbles(scope, receive, send):
        seen.append(scope["state"])
        scope["state"]["mine"] = scope["path_params"] = 1
        await answer(send, json_reply({}))

    state = {"of the server": 1}
    async with over({"inventory": Near("inventory", scribbles)}) as app:
        await ask(app, "GET", "/api/v1/items", state=state)
    assert state == {"of the server": 1}
    assert seen == [{"mine": 1}]


async def test_a_request_is_one_line_of_log_without_people(door, monkeypatch):
    lines = []
    monkeypatch.setattr("commonry.gateway.edge.access.request", lambda *told: lines.append(told))
    await ask(door, "GET", "/api/v1/members/zelda@example.org?q=secret", {"authorization": "Bearer token-1"})
    (line,) = lines
    assert line[:3] == ("GET", "/api/v1/members", 200)
    assert not any(word in json.dumps(line) for word in ("zelda", "secret", "token-1"))


async def test_requests_are_counted_by_route_not_by_path(door):
    await ask(door, "GET", "/api/v1/bookings/0190-some-id/timeline")
    page = metrics_page().decode()
    labels = 'method="GET",route="/api/v1/bookings",service="gateway",status="2xx"'
    assert f"commonry_request_seconds_count{{{labels}}}" in page
    assert "0190-some-id" not in page
