"""What one booking costs: asked for through the gateway, confirmed when answered, in embedded mode.

Each booking is an instant one with a price, on an item of its own, so every step runs: quote, hold, authorise,
capture, confirm.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.embedded import Embedded, embedded

CLIENTS = 8
BOOKINGS = 1200
WARM_UP = 200


async def measure() -> dict[str, Any]:
    """CPU per booking of all processes, bookings a second, and memory afterwards."""
    async with embedded() as platform:
        owner, borrower = await platform.person("owner"), await platform.person("borrower")
        items = [await _item(platform, owner, n) for n in range(50)]
        await _book(platform, borrower, items, range(WARM_UP))
        before, started = platform.cpu(), time.perf_counter()
        latencies = await _book(platform, borrower, items, range(WARM_UP, WARM_UP + BOOKINGS))
        seconds, after = time.perf_counter() - started, platform.cpu()
        own = platform.process.pid
        used = {pid: after[pid] - before.get(pid, 0.0) for pid in after}
        result = {
            "bookings": BOOKINGS,
            "clients": CLIENTS,
            "cpu_ms_per_booking": sum(used.values()) / BOOKINGS * 1000,
            "cpu_ms_platform": used[own] / BOOKINGS * 1000,
            "cpu_ms_postgresql": (sum(used.values()) - used[own]) / BOOKINGS * 1000,
            "bookings_per_second": BOOKINGS / seconds,
            "p50_ms": latencies[len(latencies) // 2] * 1000,
            "p99_ms": latencies[len(latencies) * 99 // 100] * 1000,
            "memory_mib": platform.memory(),
        }
    for name, value in result.items():
        print(f"  {name:22} {value if not isinstance(value, float) else round(value, 2)}")
    return result


async def _item(platform: Embedded, owner: str, number: int) -> str:
    body = {
        "title": f"Thing number {number}",
        "category": "other",
        "location": {"lat": 52.5, "lon": 13.4, "label": "Here"},
        "price": {"amount": 1000, "currency": "EUR", "per": "day"},
        "horizon_days": 730,
    }
    status, item = await platform.call("POST", "/items", body, owner)
    assert status == 201, item
    return item["id"]


async def _book(platform: Embedded, borrower: str, items: list[str], numbers: range) -> list[float]:
    waiting, took = list(numbers), []
    first = datetime.now(UTC) + timedelta(days=3)

    async def client() -> None:
        while waiting:
            number = waiting.pop()
            start = first + timedelta(days=number // len(items) * 2)
            body = {
                "item_id": items[number % len(items)],
                "from": start.isoformat(),
                "to": (start + timedelta(days=1)).isoformat(),
                "payment_method": "pm_card_visa",
            }
            began = time.perf_counter()
            status, booking = await platform.call("POST", "/bookings", body, borrower)
            assert status == 201, booking
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return sorted(took)
