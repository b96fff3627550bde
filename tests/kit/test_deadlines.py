"""How long the caller still waits goes along with each call, and gets shorter on the way down."""

import asyncio
import time

import pytest
from litestar import get

from commonry.contracts.problems import ItemTaken
from commonry.kit import deadlines, service
from commonry.kit.asgi import answer, json_reply, problem_reply
from commonry.kit.auth import Door
from commonry.kit.cache import MemoryCache
from commonry.kit.peers import TIMEOUT, Client, Near
from commonry.kit.problems import Unavailable


@pytest.fixture(autouse=True)
def nobody_waits():
    deadlines.lift()
    yield
    deadlines.lift()


def told(seconds):
    return [(b"accept", b"*/*"), (deadlines.RAW_HEADER, deadlines.said(seconds).encode())]


def test_without_a_callers_deadline_there_is_all_the_time():
    deadlines.adopt([(b"accept", b"*/*")])
    assert deadlines.left(3) == 3


def test_a_callers_deadline_shortens_what_is_left():
    deadlines.adopt(told(1))
    assert 0.9 < deadlines.left(3) <= 1 - deadlines.MARGIN
    assert deadlines.left(0.2) == 0.2


def test_each_call_further_down_gets_less():
    deadlines.adopt(told(1))
    first = deadlines.left(10)
    deadlines.adopt(told(first))
    second = deadlines.left(10)
    assert second <= first - deadlines.MARGIN
    assert first <= 1 - deadlines.MARGIN


def test_when_it_is_over_nothing_is_left():
    deadlines.adopt(told(0.01))
    assert deadlines.left(3) == 0


def test_work_that_goes_on_without_the_caller_has_its_time():
    deadlines.adopt(told(0.01))
    deadlines.lift()
    assert deadlines.left(3) == 3


@pytest.mark.parametrize("odd", [b"", b"-5", b"1.5", b"soon", b"1e3", b" 5", "٣".encode()])
def test_an_odd_deadline_is_none(odd):
    deadlines.adopt([(deadlines.RAW_HEADER, odd)])
    assert deadlines.left(3) == 3


def test_a_deadline_is_said_in_whole_milliseconds_and_never_as_none():
    assert (deadlines.said(3), deadlines.said(0.0123), deadlines.said(0.0001)) == ("3000", "12", "1")


async def test_tasks_do_not_disturb_each_other():
    async def one(seconds):
        deadlines.adopt(told(seconds))
        await asyncio.sleep(0)
        return deadlines.left(100)

    short, long = await asyncio.gather(one(1), one(50))
    assert short < 1 < 49 < long < 50
    assert deadlines.left(100) == 100


async def asked_of(app, **how):
    return await Client(Near("other", app), "token").ask("GET", "/x", dict, **how)


async def test_a_client_tells_the_service_how_long_it_waits():
    said = []

    async def service(scope, receive, send):
        said.append(int(dict(scope["headers"])[deadlines.RAW_HEADER]))
        await answer(send, json_reply({}))

    await asked_of(service)
    assert said == [TIMEOUT * 1000]
    deadlines.adopt(told(1))
    await asked_of(service)
    assert 800 < said[1] <= 950


async def test_a_client_gives_up_before_its_own_caller_does():
    async def hangs(scope, receive, send):
        await asyncio.sleep(30)

    deadlines.adopt(told(0.3))
    assert deadlines.left(TIMEOUT) <= 0.3 - deadlines.MARGIN
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await asked_of(hangs)
    assert time.monotonic() - began < TIMEOUT - 1


async def test_nothing_is_asked_when_no_time_is_left():
    asked = []

    async def service(scope, receive, send):
        asked.append(scope)

    deadlines.adopt(told(0.01))
    with pytest.raises(Unavailable):
        await asked_of(service)
    assert asked == []


async def test_problems_come_through_as_ever():
    async def taken(scope, receive, send):
        await answer(send, problem_reply(ItemTaken()))

    deadlines.adopt(told(1))
    with pytest.raises(ItemTaken):
        await asked_of(taken)


async def test_a_near_call_leaves_its_callers_deadline_as_it_was():
    """The service runs in its caller's own task: what held for the call must not hold for what comes after it."""

    @get("/left")
    async def left() -> float:
        return deadlines.left(60)

    door = Door(nobody, MemoryCache(), "token")
    near = Near("other", service.build("other", [left], door=door).app)
    deadlines.lift()
    during = await Client(near, "token").ask("GET", "/left", float, timeout=2)
    assert 1 < during <= 2 - deadlines.MARGIN
    assert deadlines.left(60) == 60


async def nobody(_: str) -> None:
    return None
