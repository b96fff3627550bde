"""Signing in: what is answered, what is counted, how guessing is made slow."""

import asyncio
import hashlib
import threading
from collections import Counter
from datetime import timedelta

import pytest
from argon2 import PasswordHasher

from commonry.kit import clock
from commonry.users.logins import network
from commonry.users.passwords import Passwords
from commonry.users.store import failures
from tests.numbers import numbers
from tests.users.world import PASSWORD, World


async def fail(world: World, name: str = "ada", times: int = 1, **headers: str) -> list[int]:
    return [(await world.login(name, "wrong password", **headers)).status for _ in range(times)]


async def test_a_login_answers_a_session(world: World):
    await world.register("ada")
    got = await world.login("ada")
    assert got.status == 200
    assert got.headers["cache-control"] == "no-store"
    assert got.json["token_type"] == "bearer"
    assert got.json["member"]["email"] == "ada@example.org"
    assert len(got.json["access_token"]) == 43
    assert (await world.valid(got.json["access_token"])) == {
        "active": True,
        "member_id": got.json["member"]["id"],
        "roles": ["member"],
        "expires_at": got.json["expires_at"],
    }


async def test_every_login_gives_another_token(world: World):
    await world.register("ada")
    got = [await world.login("ada") for _ in range(3)]
    assert len({r.json["access_token"] for r in got}) == 3


async def test_the_address_compares_without_case_and_accents_in_any_form(world: World):
    await world.call(
        "POST", "/auth/register", {"email": "Ada@Example.org", "password": "caf\u00e9 au lait", "display_name": "A"}
    )
    assert (await world.login("aDA", "cafe\u0301 au lait")).status == 200


async def test_tokens_are_kept_only_as_their_hash(world: World):
    _, token = await world.member()
    ((kept,),) = await world.rows("SELECT token_hash FROM sessions")
    assert kept == hashlib.sha256(token.encode()).hexdigest()
    assert await world.cache.get(f"session:{kept}")
    everything = await world.rows("SELECT row_to_json(s)::text FROM sessions s")
    assert token not in str(everything)


async def test_known_and_unknown_addresses_get_the_same_answer_for_the_same_work(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    await world.register("ada")
    checked: list[str] = []
    verify = PasswordHasher.verify

    def counting(self: PasswordHasher, kept: str, password: str):
        checked.append(kept)
        return verify(self, kept, password)

    monkeypatch.setattr(PasswordHasher, "verify", counting)
    known, unknown = await world.login("ada", "wrong password"), await world.login("nobody", "wrong password")
    assert (known.status, known.slug) == (401, "bad-credentials")
    assert (unknown.status, unknown.json) == (401, known.json)
    assert unknown.headers == known.headers
    assert len(checked) == 2
    assert len({kept.rsplit("$", 2)[0] for kept in checked}) == 1, "both hashes cost the same"
    counted = await world.rows("SELECT failures FROM login_failures WHERE kind = 'account'")
    assert counted == [(1,), (1,)]


async def test_nothing_but_strings_of_a_sane_length_are_credentials(world: World):
    got = await world.call("POST", "/auth/login", {"email": 1, "password": "x" * 201, "remember": True})
    assert (got.status, got.mistakes) == (422, {"email", "password", "remember"})
    assert (await world.call("POST", "/auth/login", {"email": "", "password": ""})).status == 401
    assert (await world.call("POST", "/auth/login", {"email": "a\0@b.org", "password": "x"})).status in (401, 422)


async def test_an_account_is_slowed_down_after_five_failures(world: World):
    await world.register("ada")
    start = clock.now()
    with clock.at(start):
        assert await fail(world, times=5) == [401] * 5
        refused = await world.login("ada")
        assert (refused.status, refused.slug) == (429, "too-many-requests")
        assert refused.headers["retry-after"] == "2"
        assert await fail(world, times=3) == [429] * 3
    for waited, doubled in ((2, "4"), (6, "8"), (14, "16")):
        with clock.at(start + timedelta(seconds=waited)):
            assert await fail(world) == [401]
            assert (await world.login("ada")).headers["retry-after"] == doubled
    with clock.at(start + timedelta(seconds=31)):
        assert (await world.login("ada")).status == 200
        assert await fail(world, times=5) == [401] * 5, "a login makes the count begin anew"


async def test_unknown_accounts_are_slowed_down_alike(world: World):
    assert await fail(world, "nobody", times=6) == [401] * 5 + [429]


async def test_the_wait_has_an_end_and_the_count_is_forgotten(world: World):
    await world.register("ada")
    now = clock.now()
    for _ in range(20):
        with clock.at(now):
            assert await fail(world) == [401]
        ((now,),) = await world.rows("SELECT max(blocked_until) FROM login_failures")
    with clock.at(now - timedelta(seconds=1)):
        assert (await world.login("ada")).status == 429
    waits = await world.rows("SELECT kind, blocked_until - last_at FROM login_failures ORDER BY kind")
    assert waits == [("account", timedelta(minutes=15)), ("address", timedelta(seconds=2))]
    with clock.at(now + timedelta(hours=1, seconds=1)):
        assert await fail(world, times=5) == [401] * 5


async def test_a_client_address_is_slowed_down_over_many_accounts(world: World):
    await world.register("ada")
    for n in range(20):
        assert await fail(world, f"somebody{n}", commonry_client="192.0.2.7") == [401]
    assert (await world.login("ada", commonry_client="192.0.2.7")).status == 429
    assert (await world.login("ada", commonry_client="192.0.2.8")).status == 200
    ((until, last),) = await world.rows(
        "SELECT blocked_until, last_at FROM login_failures WHERE kind = 'address' AND subject = '192.0.2.7'"
    )
    with clock.at(until):
        assert (await world.login("ada", commonry_client="192.0.2.7")).status == 200
        await fail(world, "somebody", commonry_client="192.0.2.7")
        again = await world.login("ada", commonry_client="192.0.2.7")
        assert again.headers["retry-after"] == "4", "one's own login does not buy guesses at others'"
    assert until - last == timedelta(seconds=2)


async def test_the_address_is_the_connections_where_no_gateway_says_another(world: World):
    await fail(world)
    assert await world.rows("SELECT subject FROM login_failures WHERE kind = 'address'") == [("127.0.0.1",)]


def test_an_ipv6_client_counts_by_its_network():
    assert network("2001:db8:1:2:aaaa::1") == network("2001:db8:1:2:bbbb::2") == "2001:db8:1:2::/64"
    assert network("::ffff:192.0.2.1") == network("192.0.2.1") == "192.0.2.1"
    assert network("testclient") == network("") == "unknown"


@pytest.mark.race
async def test_the_right_guess_among_many_at_once_does_not_slip_through(world: World, monkeypatch: pytest.MonkeyPatch):
    """All guesses are let in before the first has failed; the block that the wrong ones bring refuses the right one."""
    await world.register("ada")
    failed = asyncio.Event()
    matches = Passwords.matches

    async def last(self: Passwords, kept: str | None, password: str) -> bool:
        right = await matches(self, kept, password)
        if right:
            await failed.wait()
        return right

    monkeypatch.setattr(Passwords, "matches", last)
    right = asyncio.create_task(world.login("ada"))
    wrong = await asyncio.gather(*(world.login("ada", f"guess number {n}") for n in range(20)))
    failed.set()
    assert Counter(r.status for r in wrong) == {401: 20}
    assert (await right).status == 429
    ((count,),) = await world.rows("SELECT failures FROM login_failures WHERE kind = 'account'")
    assert count == 5, "what was already under way when the block came does not lengthen it"


@pytest.mark.race
async def test_many_right_logins_at_once_all_succeed(world: World):
    await world.register("ada")
    got = await asyncio.gather(*(world.login("ada") for _ in range(30)))
    assert {r.status for r in got} == {200}


async def test_when_the_queue_is_full_more_are_turned_away(db):
    world = World(db, password_threads=1, password_queue=3)
    await world.register("ada")
    got = await asyncio.gather(*(world.login("ada") for _ in range(12)))
    turned_away = [r for r in got if r.status == 503]
    assert Counter(r.status for r in got)[200] >= 4
    assert turned_away
    assert {(r.slug, r.headers["retry-after"]) for r in turned_away} == {("unavailable", "2")}
    assert (await world.login("ada")).status == 200, "every place is given back"


async def test_a_caller_who_gives_up_does_not_free_a_place_that_is_at_work():
    passwords = Passwords(threads=1, queue=1)
    first = asyncio.create_task(passwords.hash("a password"))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    results = await asyncio.gather(*(passwords.hash("another") for _ in range(3)), return_exceptions=True)
    assert sum(isinstance(r, str) for r in results) <= 2
    assert isinstance(await passwords.hash("a third"), str), "but it is freed in the end"


async def test_a_hash_of_other_parameters_is_renewed_at_the_next_login(world: World):
    await world.register("ada")
    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    async with world.db.tx() as tx:
        await tx.execute("UPDATE members SET password_hash = %s", [old])
    assert (await world.login("ada")).status == 200
    ((new,),) = await world.rows("SELECT password_hash FROM members")
    assert "m=19456,t=2,p=1" in new
    assert (await world.login("ada")).status == 200
    assert await world.rows("SELECT password_hash FROM members") == [(new,)]


async def test_a_login_with_the_old_password_that_races_with_a_change_opens_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    _, token = await world.member("ada")
    matches = Passwords.matches
    checked, go = asyncio.Event(), asyncio.Event()

    async def slow(self: Passwords, kept: str | None, password: str) -> bool:
        right = await matches(self, kept, password)
        checked.set()
        await go.wait()
        return right

    monkeypatch.setattr(Passwords, "matches", slow)
    login = asyncio.create_task(world.login("ada"))
    await checked.wait()
    monkeypatch.setattr(Passwords, "matches", matches)
    change = {"password": "another password", "current_password": PASSWORD}
    assert (await world.call("PATCH", "/members/me", change, token=token)).status == 200
    go.set()
    assert (await login).status == 401


async def test_the_counted_account_is_not_the_address_itself(world: World):
    await fail(world, "ada")
    assert "ada" not in str(await world.rows("SELECT subject FROM login_failures"))
    async with world.db.tx() as tx:
        assert await failures.delete_old(tx, 3600) == 0
    with clock.at(clock.now() + timedelta(hours=2)):
        async with world.db.tx() as tx:
            assert await failures.delete_old(tx, 3600) == 2


async def test_who_waits_for_a_hash_is_told_and_the_one_at_work_is_not(monkeypatch: pytest.MonkeyPatch):
    passwords = Passwords(threads=1, queue=5)
    go_on, name = threading.Event(), "commonry_passwords_waiting"
    monkeypatch.setattr(passwords, "_verify", lambda *_: go_on.wait(10))
    assert numbers()[name] == 0
    at_work = [asyncio.create_task(passwords.matches("kept", "said")) for _ in range(4)]
    await asyncio.sleep(0)
    assert numbers()[name] == 3
    at_work.pop().cancel()  # whoever gives up before it began waits no more
    await asyncio.sleep(0)
    assert numbers()[name] == 2
    go_on.set()
    await asyncio.gather(*at_work)
    assert numbers()[name] == 0
