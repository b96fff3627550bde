"""Tokens: whose they are, for how long, and that an end is an end everywhere."""

import asyncio
from datetime import timedelta

import pytest

from commonry.kit import clock
from commonry.kit.auth import SESSION_ENDED, token_hash
from commonry.kit.cache import MemoryCache
from commonry.users.jobs import Chores
from commonry.users.sessions import Sessions
from commonry.users.store import promote, sessions
from tests.users.world import Counting, World


async def test_while_the_cache_holds_a_session_no_database_is_asked(db):
    counting = Counting(db)
    world = World(counting)
    member, token = await world.member()
    counting.used, counting.away = 0, True
    answers = [await world.valid(token) for _ in range(50)]
    assert {a["member_id"] for a in answers} == {member}
    assert counting.used == 0


async def test_after_a_flush_the_table_answers_and_fills_the_cache_again(db):
    counting = Counting(db)
    world = World(counting)
    member, token = await world.member()
    flushed = World(counting, MemoryCache())
    assert (await flushed.valid(token))["member_id"] == member
    counting.away = True
    assert (await flushed.valid(token))["member_id"] == member


async def test_a_cache_that_forgets_everything_signs_nobody_out(db):
    class Forgetful(MemoryCache):
        async def put(self, key: str, value: bytes, *, ttl: float) -> None:
            pass

    world = World(db, Forgetful())
    member, token = await world.member()
    assert (await world.valid(token))["member_id"] == member
    assert (await world.call("GET", "/members/me", token=token)).json["id"] == member


async def test_what_the_cache_holds_in_another_form_is_read_again(world: World):
    member, token = await world.member()
    await world.cache.put(f"session:{token_hash(token)}", b"{}", ttl=60)
    assert (await world.valid(token))["member_id"] == member


@pytest.mark.parametrize("token", ["", "x", "Bearer x", "é", "a\0b", "x" * 4096])
async def test_anything_else_is_simply_not_active(world: World, token: str):
    assert await world.valid(token) == {"active": False}


async def test_the_body_of_the_question_is_checked(world: World):
    for body, at in (({}, {"token"}), ({"token": 1}, {"token"}), ({"token": "x", "more": 1}, {"more"})):
        got = await world.call("POST", "/auth/validate-token", body)
        assert (got.status, got.mistakes) == (422, at)


async def test_an_overlong_bearer_is_nobody(world: World):
    assert (await world.call("GET", "/members/me", token="x" * 5000)).status == 401


async def test_a_session_expires(world: World):
    _, token = await world.member()
    with clock.at(clock.now() + timedelta(hours=23, minutes=59)):
        assert (await world.valid(token))["active"]
    with clock.at(clock.now() + timedelta(hours=24, seconds=1)):
        assert await world.valid(token) == {"active": False}
        await world.cache.drop(f"session:{token_hash(token)}")
        assert await world.valid(token) == {"active": False}


async def test_logging_out_ends_the_token_everywhere(world: World):
    heard: list[str] = []
    world.cache.subscribe(SESSION_ENDED, heard.append)
    _, token = await world.member()
    _, other = await world.member("bob")
    assert (await world.call("GET", "/members/me", token=token)).status == 200
    got = await world.call("POST", "/auth/logout", token=token)
    assert (got.status, got.json) == (204, None)
    assert heard == [token_hash(token)]
    assert await world.valid(token) == {"active": False}
    assert (await world.call("GET", "/members/me", token=token)).status == 401, "the door forgets at once, too"
    assert await World(world.db).valid(token) == {"active": False}, "and so does the table"
    assert (await world.valid(other))["active"]


@pytest.mark.parametrize("path", ["/auth/logout", "/auth/refresh"])
async def test_without_a_token_there_is_nothing_to_end(world: World, path: str):
    for token in ("", "unknown"):
        got = await world.call("POST", path, token=token)
        assert (got.status, got.slug, got.headers["www-authenticate"]) == (401, "not-signed-in", "Bearer")


async def test_refreshing_exchanges_the_token(world: World):
    member, old = await world.member()
    with clock.at(clock.now() + timedelta(hours=5)):
        got = await world.call("POST", "/auth/refresh", token=old)
    assert got.status == 200
    assert got.json["member"]["id"] == member
    new = got.json["access_token"]
    assert new != old
    assert await world.valid(old) == {"active": False}
    with clock.at(clock.now() + timedelta(hours=28)):
        assert (await world.valid(new))["active"]


@pytest.mark.race
async def test_of_many_refreshes_of_one_token_one_gets_a_new_one(world: World):
    _, old = await world.member()
    got = await asyncio.gather(*(world.call("POST", "/auth/refresh", token=old) for _ in range(10)))
    assert sorted(r.status for r in got) == [200] + [401] * 9


@pytest.mark.race
async def test_a_session_that_ends_while_it_is_put_into_the_cache_does_not_stay_there(world: World):
    """Negative control: without the lock in `lock_live` the put comes after the drop, and the session lives on."""
    _, token = await world.member()
    reading, go = asyncio.Event(), asyncio.Event()

    class Slow(MemoryCache):
        async def put(self, key: str, value: bytes, *, ttl: float) -> None:
            reading.set()
            await go.wait()
            await super().put(key, value, ttl=ttl)

    slow = Sessions(world.db, Slow(), hours=1)
    asking = asyncio.create_task(slow.who(token))
    await reading.wait()
    ending = asyncio.create_task(slow.end(token))
    await asyncio.sleep(0.2)
    assert not ending.done(), "the end waits until the cache has been filled"
    go.set()
    await asyncio.gather(asking, ending)
    assert (await slow.who(token)).active is False


async def test_a_cache_that_missed_the_end_is_told_again(world: World):
    _, token = await world.member()
    key = token_hash(token)
    async with world.db.tx() as tx:
        await sessions.end(tx, key)  # and the process was killed before it could tell the cache
    assert (await world.valid(token))["active"]
    await Chores(world.db, Sessions(world.db, world.cache, hours=1)).remind_caches()
    assert await world.valid(token) == {"active": False}


async def test_a_cache_that_missed_a_change_of_roles_is_not_believed_and_told_again(world: World):
    _, manager = await world.manager()
    member, token = await world.member()
    held = await world.cache.get(f"session:{token_hash(token)}")
    await world.call("PATCH", f"/members/{member}", {"roles": ["manager"]}, token=manager)
    await world.cache.put(f"session:{token_hash(token)}", held or b"", ttl=60)
    heard_nothing = Sessions(world.db, world.cache, hours=1)
    assert (await heard_nothing.who(token)).roles == ["member"]
    assert (await world.valid(token))["roles"] == ["member", "manager"]
    await world.cache.put(f"session:{token_hash(token)}", held or b"", ttl=60)
    await Chores(world.db, heard_nothing).remind_caches()
    assert (await heard_nothing.who(token)).roles == ["member", "manager"]


async def test_a_promotion_from_another_process_reaches_open_sessions(world: World):
    _, token = await world.member()
    assert (await world.call("GET", "/members", token=token)).status == 403
    async with world.db.tx() as tx:
        assert await promote(tx, "ADA@example.org")
        assert not await promote(tx, "nobody@example.org")
    await Chores(world.db, Sessions(world.db, world.cache, hours=1)).remind_caches()
    assert (await world.valid(token))["roles"] == ["member", "manager"]
    assert (await world.call("GET", "/members", token=token)).status == 200


async def test_what_is_over_is_deleted_and_what_is_live_is_not(world: World):
    _, token = await world.member()
    _, ended = await world.member("bob")
    await world.call("POST", "/auth/logout", token=ended)
    chores = Chores(world.db, Sessions(world.db, world.cache, hours=1))
    await chores.forget_old()
    assert len(await world.rows("SELECT 1 FROM sessions")) == 2, "an ended one is kept an hour, to tell caches again"
    async with world.db.tx() as tx:
        await tx.execute("UPDATE sessions SET changed_at = now() - interval '61 minutes' WHERE ended")
        await tx.execute("INSERT INTO idempotency_keys VALUES ('a', 'b', '', 201, '{}', '', now() - interval '8 days')")
    await chores.forget_old()
    assert await world.rows("SELECT token_hash FROM sessions") == [(token_hash(token),)]
    assert await world.rows("SELECT key FROM idempotency_keys") == []
    with clock.at(clock.now() + timedelta(hours=25)):
        await chores.forget_old()
    assert await world.rows("SELECT 1 FROM sessions") == []
