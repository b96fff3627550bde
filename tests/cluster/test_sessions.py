"""Sessions of two processes that share a cluster: an end in one is an end in the other, at once."""

import signal
import time

import pytest

from commonry.kit.auth import SESSION_ENDED, token_hash
from commonry.users.jobs import REMIND_EVERY, Chores
from commonry.users.sessions import Sessions
from tests.cluster.conftest import Listener, eventually, known
from tests.users.world import Counting, World


async def pair(cluster, join, db) -> tuple[World, World, Counting]:
    """Two users services over one database. What the second asks of it is counted."""
    caches = [await join(cluster, ready=False) for _ in range(2)]
    counting = Counting(db)
    one, two = World(db, caches[0]), World(counting, caches[1])
    await eventually(lambda: all(c.in_touch() for c in caches), "in touch")
    await known(*caches)
    return one, two, counting


async def test_a_login_in_one_is_validated_in_the_other_without_the_database(redis_cluster, join, db):
    one, two, counting = await pair(redis_cluster, join, db)
    person, token = await one.member()
    counting.used, counting.away = 0, True
    assert {(await two.valid(token))["member_id"] for _ in range(20)} == {person}
    assert (await two.door.who(f"Bearer {token}")).id.hex == person.replace("-", "")
    assert counting.used == 0


async def test_signing_out_in_one_is_refused_in_the_other_at_once(redis_cluster, join, db):
    one, two, _ = await pair(redis_cluster, join, db)
    for n in range(10):
        _, token = await one.member(f"person{n}")
        assert (await two.call("GET", "/members/me", token=token)).status == 200, "its door knows the token now"
        assert (await one.call("POST", "/auth/logout", token=token)).status == 204
        assert (await two.call("GET", "/members/me", token=token)).status == 401
        assert await two.valid(token) == {"active": False}


async def test_who_is_suspended_in_one_is_refused_in_the_other_at_once(redis_cluster, join, db):
    one, two, _ = await pair(redis_cluster, join, db)
    _, manager = await one.manager()
    person, token = await one.member()
    others = [(await one.login()).json["access_token"] for _ in range(3)]
    for each in (token, *others):
        assert (await two.call("GET", "/members/me", token=each)).status == 200
    got = await one.call("PATCH", f"/members/{person}", {"status": "suspended"}, token=manager)
    assert got.status == 200, got.json
    for each in (token, *others):
        assert (await two.call("GET", "/members/me", token=each)).status == 401


async def test_several_sessions_end_with_one_message(redis_cluster, join, db):
    one, two, _ = await pair(redis_cluster, join, db)
    listener = Listener(two.cache, SESSION_ENDED)
    hashes = [f"{n:064x}" for n in range(400)]
    await Sessions(db, one.cache, hours=1).forget(hashes)
    assert listener.heard == [",".join(hashes)]


async def test_without_the_cluster_people_stay_signed_in_and_ends_count(own_redis_cluster, join, db):
    one, two, _ = await pair(own_redis_cluster, join, db)
    _, token = await one.member()
    _, ended = await one.member("bob")
    for each in (token, ended):
        assert (await two.call("GET", "/members/me", token=each)).status == 200
    for node in own_redis_cluster.nodes:
        node.kill()
    await one.call("POST", "/auth/logout", token=ended)
    assert (await two.call("GET", "/members/me", token=ended)).status == 401
    assert (await two.call("GET", "/members/me", token=token)).status == 200


@pytest.mark.faults
async def test_a_session_that_a_replica_still_knows_is_gone_within_a_second(own_redis_cluster, join, db):
    """The master dies after it dropped the session, before its replica heard of it."""
    one, two, _ = await pair(own_redis_cluster, join, db)
    _, token = await one.member()
    key = f"commonry:session:{token_hash(token)}"
    master = own_redis_cluster.node_of(key)
    replica = next(n for n in own_redis_cluster.nodes if f"master_port:{master.port}" in n.say("info", "replication"))
    await eventually(lambda: replica.say("dbsize") == master.say("dbsize"), "the replica has the session")
    replica.running.send_signal(signal.SIGSTOP)
    master.say("client", "kill", "type", "replica")  # else what comes now would wait for it in its socket
    await one.call("POST", "/auth/logout", token=token)
    master.kill()
    replica.running.send_signal(signal.SIGCONT)
    await eventually(lambda: "role:master" in replica.say("info", "replication"), "the replica takes over")
    assert replica.say("exists", key) == "1", "it does know what is over: the case that this is about"
    took_over = time.monotonic()
    chores = Chores(db, Sessions(db, one.cache, hours=1))

    async def is_over() -> bool:
        await chores.remind_caches()
        return await two.valid(token) == {"active": False} and replica.say("exists", key) == "0"

    await eventually(is_over, "reminders end it", seconds=5)
    print(f"after {time.monotonic() - took_over:.2f} s")
    assert REMIND_EVERY + 0.5 < 1, "with a command that times out, and is tried again, within a second"
