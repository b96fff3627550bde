"""Sending: nothing unless asked for, the share that was asked for, and no harm from a collector that is away."""

import asyncio
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.platform import Platform, free_port
from tests.traces.collector import collecting
from tests.traces.test_booking import asked, lends, lines, platform_of, until

IMPORTED = """
import sys
from commonry import run
from commonry.kit import traces
from commonry.kit.exporting import exporting
with exporting({url!r}, {share}, "test"):
    print(traces.is_on(), any(m.partition(".")[0] in ("opentelemetry", "requests", "google") for m in sys.modules))
"""


@pytest.mark.parametrize(
    ("url", "share", "said"),
    [("", 1.0, "False False"), ("http://127.0.0.1:9", 0.0, "False False"), ("http://127.0.0.1:9", 0.5, "True True")],
)
def test_what_is_off_is_not_even_imported(url: str, share: float, said: str) -> None:
    program = IMPORTED.format(url=url, share=share)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == said


async def books(platform: Platform) -> None:
    owner, borrower = await platform.person("owner"), await platform.person("borrower")
    booking = await borrower.must("POST", "/bookings", asked(await lends(owner)))
    assert booking["state"] == "confirmed"
    await owner.close()
    await borrower.close()


async def test_of_a_share_of_nothing_nothing_is_sent(tmp_path: Path) -> None:
    async with collecting() as collector:
        told = {"COMMONRY_TRACES_URL": collector.url, "COMMONRY_TRACES_SHARE": "0"}
        with platform_of("near", tmp_path, **told) as platform:
            await books(platform)
            await asyncio.to_thread(platform.end)
        assert collector.bodies == []


async def test_of_half_of_all_traces_all_spans_are_sent_or_none(tmp_path: Path) -> None:
    """Each process decides alone, by the id; what the caller's header says about it changes nothing."""
    chosen = {f"{number:016x}{half}{number:015x}": half in "01234567" for number in range(1, 9) for half in "17bf"}
    async with collecting() as collector:
        told = {"COMMONRY_TRACES_URL": collector.url, "COMMONRY_TRACES_SHARE": "0.5"}
        with platform_of("far", tmp_path, **told) as platform:
            person = await platform.person()
            for trace, is_sent in chosen.items():
                flags = "00" if is_sent else "01"
                sent = {"traceparent": f"00-{trace}-00000000000000ab-{flags}"}
                assert (await person.call("GET", "/members/me", headers=sent)).status == 200
            await person.close()
            await asyncio.to_thread(platform.end)
        arrived = {span.trace for span in collector.spans}
        assert arrived & chosen.keys() == {trace for trace, is_sent in chosen.items() if is_sent}
        for trace in arrived & chosen.keys():
            assert {(s.service, s.kind) for s in collector.of(trace)} >= {("gateway", "server"), ("users", "server")}
            assert [s.parent for s in collector.of(trace) if s.service == "gateway"] == ["00000000000000ab"]


async def dropped(platform: Platform, why: str) -> float:
    _, page, _ = await platform_page(platform)
    found = re.search(rf'commonry_spans_dropped_total{{why="{why}"}} (\S+)', page)
    assert found
    return float(found[1])


async def platform_page(platform: Platform) -> tuple[int, str, object]:
    person = await platform.person()
    status, page, headers = await person.call("GET", "/metrics")
    await person.close()
    return status, page.decode(), headers


async def test_a_collector_that_is_away_costs_its_spans_and_one_line(tmp_path: Path) -> None:
    port = free_port()
    with platform_of("near", tmp_path, COMMONRY_TRACES_URL=f"http://127.0.0.1:{port}") as platform:
        await books(platform)
        began = time.monotonic()
        await books(platform)
        assert time.monotonic() - began < 3
        async with asyncio.timeout(30):
            while await dropped(platform, "not_taken") == 0:
                await asyncio.sleep(0.2)
        async with collecting(port) as collector:
            await books(platform)
            await until(lambda: [s for s in collector.spans if s.attributes.get("saga.step") == "confirm"], 30)
        began = time.monotonic()
        platform.processes["platform"].kill(15)
        assert time.monotonic() - began < 8  # the collector is gone again: the end does not wait for it
        told = [json.loads(line)["event"] for line in lines(platform.output())]
        assert [event for event in told if "collector" in event][:2] == [
            "the collector of traces is away",
            "the collector of traces is back",
        ]
        assert "opentelemetry" not in platform.output()
