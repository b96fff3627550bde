"""What a page of the website costs: the first page and an item's, with 100 things, in embedded mode.

Each is asked for by nobody in particular, one after the other, as a browser asks; no page is kept by the gateway.
"""

import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.embedded import Embedded, embedded

THINGS = 100
REQUESTS, WARM_UP = 300, 50
FROM, TO = (f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}" for days in (30, 32))
AIM_MS = 8.0
"""CPU of a request, that we aim to stay below."""


async def measure() -> dict[str, Any]:
    """CPU per request of the platform and of PostgreSQL, and the size of the page."""
    async with embedded() as platform:
        owner = await platform.person("owner")
        things = [await _thing(platform, owner, number) for number in range(THINGS)]
        pages = {
            "first": "/",
            "results": f"/?q=drill&from={FROM}&to={TO}",
            "item": f"/items/{things[0]}",
            "item_with_dates": f"/items/{things[0]}?from={FROM}&to={TO}",
        }
        result: dict[str, Any] = {name: await _measured(platform, path) for name, path in pages.items()}
    for name, found in result.items():
        print(f"  {name:16} {found['cpu_ms']:.1f} ms CPU, {found['p50_ms']:.1f} ms, {found['bytes'] / 1000:.1f} kB")
    return result | {"aim_ms": AIM_MS}


async def _thing(platform: Embedded, owner: str, number: int) -> str:
    body = {
        "title": f"Hammer drill number {number}",
        "category": "power-tools",
        "description": "Strong enough for the hard concrete of the post-war blocks. " * 4,
        "location": {"lat": 52.5 + number / 5000, "lon": 13.4, "label": f"Corner {number % 12}"},
        "price": {"amount": 700 + number, "currency": "EUR", "per": "day"},
        "deposit": {"amount": 6000, "currency": "EUR"},
        "horizon_days": 730,
    }
    status, made = await platform.call("POST", "/items", body, owner)
    assert status == 201, made
    return made["id"]


async def _measured(platform: Embedded, path: str) -> dict[str, float]:
    for _ in range(WARM_UP):
        page = await platform.page(path)
    before, took = platform.cpu(), list[float]()
    for _ in range(REQUESTS):
        began = time.perf_counter()
        page = await platform.page(path)
        took.append(time.perf_counter() - began)
    after = platform.cpu()
    used = {pid: after[pid] - before.get(pid, 0.0) for pid in after}
    own = used[platform.process.pid]
    return {
        "cpu_ms": own / REQUESTS * 1000,
        "cpu_ms_postgresql": (sum(used.values()) - own) / REQUESTS * 1000,
        "p50_ms": statistics.median(took) * 1000,
        "bytes": len(page),
    }
