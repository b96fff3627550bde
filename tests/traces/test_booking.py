"""One booking is one trace, through every service and process, over a death and the days between its steps."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest

from tests.platform import Person, Platform, far, near, running
from tests.traces.collector import Collector, Span, collecting

ACTED = ["hold", "authorise", "deposit", "capture", "confirm", "secure", "hand_over", "free", "settle"]
"""Every step that this booking takes; in between it waits for people."""
OVER_LEASE = "UPDATE bookings SET lease_until = now() - interval '1 s' WHERE step = 'capture'"


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as made:
        yield made


def platform_of(mode: str, folder: Path, **env: str) -> Any:
    told = {"COMMONRY_LOG_LEVEL": "info"} | env
    return running(near(folder, told) if mode == "near" else far(folder, told, {}))


async def until(what: Callable[[], Any], seconds: float = 20) -> Any:
    """What it is as soon as it is anything."""
    async with asyncio.timeout(seconds):
        while not (found := what()):
            await asyncio.sleep(0.05)
    return found


async def lends(owner: Person, **terms: Any) -> str:
    made = await owner.must(
        "POST",
        "/items",
        {
            "title": "A tandem",
            "category": "other",
            "location": {"lat": 52.5, "lon": 13.4, "label": "Here", "address": "Street 1"},
            "price": {"amount": 1000, "currency": "EUR", "per": "day"},
        }
        | terms,
    )
    return made["id"]


def asked(item: str) -> dict[str, Any]:
    begin = datetime.now(UTC) + timedelta(hours=1)
    return {
        "item_id": item,
        "from": begin.isoformat(),
        "to": (begin + timedelta(days=1)).isoformat(),
        "payment_method": "pm_card_visa",
    }


def steps_of(spans: list[Span]) -> dict[str, Span]:
    return {span.attributes["saga.step"]: span for span in spans if span.name.startswith("saga ")}


def check_whole(spans: list[Span]) -> None:
    """One tree: a single span without one above it, and every other below one that is there."""
    ids = {span.id for span in spans}
    assert len(ids) == len(spans)
    assert [span.name for span in spans if not span.parent] == ["POST /api/v1/bookings"]
    lost = [span for span in spans if span.parent and span.parent not in ids]
    assert not lost, lost


@pytest.mark.faults
async def test_a_booking_is_one_trace_though_its_process_is_killed_half_way(
    tmp_path: Path, collector: Collector
) -> None:
    stumbles = {"COMMONRY_FAILPOINTS": "bookings.capture.before=sleep:60"}
    with platform_of("far", tmp_path, COMMONRY_TRACES_URL=collector.url, **stumbles) as platform:
        owner, borrower = await platform.person("owner"), await platform.person("borrower")
        item = await lends(owner, deposit={"amount": 5000, "currency": "EUR"}, booking_mode="request")
        booking = await borrower.must("POST", "/bookings", asked(item))
        assert booking["state"] == "requested"
        accepting = asyncio.create_task(owner.call("POST", f"/bookings/{booking['id']}/accept"))
        held = await until(lambda: [s for s in collector.spans if s.attributes.get("saga.step") == "deposit"])
        first = platform.processes["bookings"]
        first.kill()
        first.env["COMMONRY_FAILPOINTS"] = "bookings.confirm.before=error*1"
        first.restart()
        assert (await accepting).status >= 500
        with psycopg.connect(platform.database("bookings"), autocommit=True) as db:
            assert db.execute(OVER_LEASE).rowcount == 1
        await until(lambda: [s for s in collector.spans if s.attributes.get("saga.leads_to") == "confirmed"])
        await borrower.must("POST", f"/bookings/{booking['id']}/pickup")
        done = await owner.must("POST", f"/bookings/{booking['id']}/return", {"condition": "good"})
        assert done["state"] == "completed"
        trace = held[0].trace
        await until(lambda: "settle" in steps_of(collector.of(trace)))
        await owner.close()
        await borrower.close()
        await asyncio.to_thread(platform.end)  # each sends what it still has, to a collector that runs in this loop
        spans = collector.of(trace)
        check_whole(spans)
        steps = steps_of([span for span in spans if not span.failed])
        assert [s.attributes["error.type"] for s in spans if s.failed] == ["RuntimeError"]  # the name, not what it says
        assert steps.keys() == set(ACTED)
        assert all(span.attributes["booking.id"] == booking["id"] for span in steps.values())
        assert steps["authorise"].instance != steps["capture"].instance  # another process than before the kill
        assert {s.service for s in spans} == {"gateway", "bookings", "inventory", "payments", "users"}
        for step, service in (("hold", "inventory"), ("capture", "payments"), ("settle", "payments")):
            calls = [s for s in spans if s.parent == steps[step].id and s.kind == "client"]
            assert [s.attributes["peer.service"] for s in calls] == [service] * len(calls)
            assert calls, step
            answered = [s for s in spans if s.parent in {c.id for c in calls}]
            assert {(s.service, s.kind) for s in answered} == {(service, "server")}
        check_logs_agree(platform, trace)
        check_requests_are_linked(collector, trace)
        check_nobody_is_named(collector, owner, borrower)


def check_logs_agree(platform: Platform, trace: str) -> None:
    """The logs name the trace that is exported: of the request, and of the step that failed after the restart."""
    logged = [json.loads(line) for name in ("gateway", "bookings") for line in lines(platform.output(name))]
    ours = [line for line in logged if line.get("trace_id") == trace]
    assert [line["route"] for line in ours if line["event"] == "request"] == ["/api/v1/bookings"]
    assert "failpoint bookings.confirm.before" in next(x["trouble"] for x in ours if x["event"] == "due row failed")


def lines(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("{")]


def check_requests_are_linked(collector: Collector, trace: str) -> None:
    """A later request is a trace of its own, and leads to the booking's and back."""
    returned = [s for s in collector.spans if s.name.endswith("/return") and s.service == "bookings"]
    assert returned
    assert returned[0].trace != trace
    assert trace in returned[0].links
    assert returned[0].trace in steps_of(collector.of(trace))["free"].links


def check_nobody_is_named(collector: Collector, *people: Person) -> None:
    """No id of a member, no address, no token: not in an attribute, not anywhere in what was sent."""
    sent = b"".join(collector.bodies)
    for person in people:
        for secret in (person.id, person.email, person.token or "", person.name.capitalize(), person.password):
            assert secret.encode() not in sent, secret


async def test_near_too_a_booking_is_one_trace_and_no_span_hangs_in_the_air(
    tmp_path: Path, collector: Collector
) -> None:
    with platform_of("near", tmp_path, COMMONRY_TRACES_URL=collector.url + "/") as platform:
        owner, borrower = await platform.person("owner"), await platform.person("borrower")
        item = await lends(owner)
        booking = await borrower.must("POST", "/bookings", asked(item))
        assert booking["state"] == "confirmed"
        for path in ("/members/me", f"/bookings/{booking['id']}", "/items?q=tandem", f"/items/{item}", "/status"):
            await borrower.get(path)
        async with aiohttp.ClientSession() as browser, browser.get(platform.url) as home:
            assert home.status == 200
        await borrower.must("POST", f"/bookings/{booking['id']}/cancel")
        found = await until(lambda: [s for s in collector.spans if s.attributes.get("saga.step") == "confirm"])
        await owner.close()
        await borrower.close()
        await asyncio.to_thread(platform.end)
        spans = collector.of(found[0].trace)
        check_whole(spans)
        assert {s.service for s in spans} == {"gateway", "bookings", "inventory", "payments", "users"}
        assert [s.attributes["saga.step"] for s in spans if s.name == "saga undo_money"] == ["undo_money"]
        every = {span.id for span in collector.spans}
        assert [s for s in collector.spans if s.parent and s.parent not in every] == []
        seen = {s.name for s in collector.spans if s.service == "gateway"}
        assert {"GET /api/v1/members/me", "GET /api/v1/bookings/{booking_id}", "GET /", "GET /api/v1/status"} <= seen, (
            seen
        )
        assert not [s for s in collector.spans if "healthz" in s.name]
