"""Cache, clock, ids, pages, problems, settings, failpoints: the small promises each makes."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import RFC_4122

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from commonry.contracts.problems import ItemTaken, PaymentDeclined
from commonry.contracts.settings import Settings
from commonry.kit import clock, failpoints, pages
from commonry.kit.cache import MemoryCache
from commonry.kit.ids import new_id
from commonry.kit.problems import Conflict, Mistake, NotValid, Problem, Unavailable, from_answer
from commonry.kit.settings import WrongSettings, load


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_the_cache_forgets_in_time_and_on_request() -> None:
    time = Time()
    cache = MemoryCache(clock=time)
    await cache.put("a", b"1", ttl=10)
    await cache.put("b", b"2", ttl=20)
    assert await cache.get("a") == b"1"
    time.now = 10
    assert (await cache.get("a"), await cache.get("b")) == (None, b"2")
    await cache.drop("b", "nothing")
    assert await cache.get("b") is None
    assert cache.size == 0


async def test_the_cache_never_outgrows_its_bound_and_evicts_the_least_used() -> None:
    cache = MemoryCache(max_bytes=1000)
    await cache.put("kept", b"x" * 100, ttl=60)
    for n in range(100):
        await cache.put(f"k{n}", b"y" * 90, ttl=60)
        await cache.get("kept")
        assert cache.size <= 1000
    assert await cache.get("kept") is not None
    assert await cache.get("k0") is None
    await cache.put("huge", b"z" * 2000, ttl=60)
    assert await cache.get("huge") is None


async def test_published_messages_reach_every_subscriber_before_the_publisher_goes_on() -> None:
    cache, heard = MemoryCache(), list[str]()
    cache.subscribe("c", heard.append)
    cache.subscribe("c", heard.append)
    await cache.publish("c", "m")
    assert heard == ["m", "m"]


async def test_a_pretended_time_is_seen_in_its_own_task_only() -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)

    async def elsewhere() -> datetime:
        return clock.now()

    other = asyncio.create_task(elsewhere())
    with clock.at(past):
        assert clock.now() == past
        assert await asyncio.create_task(elsewhere()) == past
    assert clock.now() - await other < timedelta(seconds=5)


def test_ids_are_version_7_and_ordered_by_time() -> None:
    made = [new_id() for _ in range(1000)]
    assert {(i.version, i.variant) for i in made} == {(7, RFC_4122)}
    assert len(set(made)) == 1000
    stamps = [i.int >> 80 for i in made]
    assert stamps == sorted(stamps)


@given(st.integers(), st.text(max_size=50))
def test_a_cursor_comes_back_as_it_was(number: int, text: str) -> None:
    number %= 2**63
    assert pages.decode("list", pages.encode("list", (number, text)), tuple[int, str]) == (number, text)


@given(st.text(max_size=80))
def test_an_invented_cursor_is_refused(text: str) -> None:
    with pytest.raises(NotValid):
        pages.decode("list", text or "x", tuple[int])


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(NotValid):
        pages.decode("bookings", pages.encode("reviews", (1,)), tuple[int])


def test_a_problem_comes_out_of_the_wire_as_it_went_in() -> None:
    for problem in (
        ItemTaken(item_id="7"),
        PaymentDeclined("No."),
        Unavailable(retry_after=3),
        NotValid(Mistake("a", "b")),
    ):
        again = from_answer(problem.status, msgspec.json.encode(problem.document()))
        assert type(again) is type(problem)
        assert again.document() == problem.document()


def test_an_unknown_problem_becomes_the_nearest_known_one() -> None:
    newer = b'{"type": "/problems/of-tomorrow", "status": 409, "detail": "d"}'
    assert type(from_answer(409, newer)) is Conflict
    assert type(from_answer(502, b"<html>")) is Unavailable


def test_every_problem_says_in_a_sentence_what_happened() -> None:
    for slug, kind in Problem.known.items():
        first = (kind.__doc__ or "").split("\n")[0]
        assert first.endswith("."), slug
        assert slug.replace("-", "").isalpha(), slug


class Wanted(msgspec.Struct):
    port: Annotated[int, Meta(ge=1)] = 80
    level: str = "info"


def test_settings_come_from_the_environment_and_the_command_line_wins() -> None:
    said = {"COMMONRY_PORT": "90", "COMMONRY_LEVEL": "", "OTHER": "x"}
    assert load(Wanted, said) == Wanted(90, "info")
    assert load(Wanted, said, port=70) == Wanted(70, "info")


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(WrongSettings, match=r"COMMONRY_PORT='no'"):
        load(Wanted, {"COMMONRY_PORT": "no"})


async def test_a_failpoint_that_fires_once_fires_once() -> None:
    failpoints.arm("here=error*1")
    with pytest.raises(RuntimeError):
        await failpoints.failpoint("here")
    await failpoints.failpoint("here")
    failpoints.arm("")


@pytest.mark.parametrize(
    "said", [{"CURRENCY": "XXZ"}, {"PLACE": "foo"}, {"PLACE": "91,0,Nowhere"}, {"TIME_ZONE": "Mars"}]
)
def test_settings_that_would_break_later_are_refused_at_once(said: dict[str, str]) -> None:
    with pytest.raises(WrongSettings, match=r"must be|matching"):
        load(Settings, {f"COMMONRY_{name}": value for name, value in said.items()})
