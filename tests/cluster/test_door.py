"""The door over a cache that can be out of touch: what it remembers is never older than it may be."""

import asyncio
from datetime import timedelta
from uuid import uuid4

from commonry.kit import clock
from commonry.kit.auth import SESSION_ENDED, Caller, Door, token_hash
from commonry.kit.cache import MemoryCache


class Cut(MemoryCache):
    """Can be out of touch, and say that messages were lost."""

    touch = True

    def in_touch(self) -> bool:
        return self.touch

    def lose(self) -> None:
        for hearer in self._hearers[SESSION_ENDED]:
            hearer.missed()


class Asked:
    """Who answers the door's questions."""

    def __init__(self) -> None:
        self.times, self.wait = 0, asyncio.Event()
        self.wait.set()

    async def __call__(self, token: str) -> Caller:
        self.times += 1
        await self.wait.wait()
        return Caller(uuid4(), (), token, clock.now() + timedelta(hours=1))


def door() -> tuple[Door, Cut, Asked]:
    cache, asked = Cut(), Asked()
    return Door(asked, cache, "secret"), cache, asked


async def test_it_remembers_until_it_hears_of_the_end():
    it, cache, asked = door()
    for _ in range(3):
        await it.who("Bearer a")
        await it.who("Bearer b")
    assert asked.times == 2
    await cache.publish(SESSION_ENDED, f"{token_hash('x')},{token_hash('a')}")
    await it.who("Bearer a")
    await it.who("Bearer b")
    assert asked.times == 3
    await cache.publish(SESSION_ENDED, "*")
    await it.who("Bearer a")
    await it.who("Bearer b")
    assert asked.times == 5


async def test_it_remembers_nothing_while_out_of_touch_and_forgets_when_something_was_missed():
    it, cache, asked = door()
    await it.who("Bearer a")
    cache.touch = False
    await it.who("Bearer a")
    assert asked.times == 2
    cache.touch = True
    await it.who("Bearer a")
    assert asked.times == 2
    cache.lose()
    await it.who("Bearer a")
    assert asked.times == 3


async def test_an_answer_that_the_news_overtook_is_not_kept():
    it, cache, asked = door()
    asked.wait.clear()
    asking = asyncio.create_task(it.who("Bearer a"))
    await asyncio.sleep(0)
    await cache.publish(SESSION_ENDED, token_hash("a"))
    asked.wait.set()
    await asking
    await it.who("Bearer a")
    assert asked.times == 2
