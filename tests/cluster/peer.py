"""A process of its own on the bus: prints what it hears, and each time it looks whether it is in touch.

`python -m tests.cluster.peer URL CHANNEL`: lines `heard MESSAGE`, `missed`, `touch MONOTONIC 0|1`.
"""

import asyncio
import sys
import time

from commonry.kit.cluster import connect


async def main(url: str, channel: str) -> None:
    cache = await connect(url)
    cache.subscribe(channel, lambda message: say(f"heard {message}"), lambda: say("missed"))
    while True:
        say(f"touch {time.monotonic()} {int(cache.in_touch())}")
        await asyncio.sleep(0.01)


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
