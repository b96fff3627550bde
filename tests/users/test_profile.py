"""One's own profile, what others see of it, and leaving."""

import asyncio

import pytest

from tests.users.world import PASSWORD, World

NOBODY = "00000000-0000-7000-8000-000000000000"


async def test_a_profile_is_read_and_changed(world: World):
    member, token = await world.member()
    mine = await world.call("GET", "/members/me", token=token)
    assert (mine.status, mine.json["id"], mine.json["email"]) == (200, member, "ada@example.org")
    got = await world.call("PATCH", "/members/me", {"display_name": " Ada  L. ", "about": "Tools."}, token=token)
    assert (got.status, got.json["display_name"], got.json["about"]) == (200, "Ada L.", "Tools.")
    assert got.json["updated_at"] > mine.json["updated_at"]
    assert (await world.call("PATCH", "/members/me", {"about": ""}, token=token)).json["about"] == ""
    assert (await world.call("GET", "/members/me", token=token)).json["display_name"] == "Ada L."


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/me"), ("PATCH", "/me"), ("DELETE", "/me"), ("GET", "/me/export")]
)
async def test_a_profile_needs_a_token(world: World, method: str, path: str):
    for body in ({}, {"nonsense": 1}):
        got = await world.call(method, f"/members{path}", body, token="unknown")
        assert (got.status, got.slug) == (401, "not-signed-in")


async def test_others_see_the_public_part_only(world: World):
    member, _ = await world.member()
    _, other = await world.member("bob")
    for token in ("", other, "unknown"):
        got = await world.call("GET", f"/members/{member}", token=token)
        assert (got.status, set(got.json)) == (200, {"id", "display_name", "about", "member_since"})
    for unknown in (NOBODY, "not-an-id"):
        got = await world.call("GET", f"/members/{unknown}")
        assert (got.status, got.slug) == (404, "not-found")


async def test_the_typed_client_reads_the_public_part(world: World):
    from commonry.contracts.users import Users
    from tests.users.world import SERVICE_TOKEN

    made = (await world.register()).json
    assert str((await Users(world.users, SERVICE_TOKEN).member(made["id"])).id) == made["id"]


async def test_rule_24_nobody_changes_their_own_role_or_status(world: World):
    _, token = await world.member()
    body = {"roles": ["manager"], "status": "active", "id": NOBODY, "password_hash": "x", "display_name": ""}
    got = await world.call("PATCH", "/members/me", body, token=token)
    assert (got.status, got.mistakes) == (422, set(body))


@pytest.mark.parametrize("change", [{"password": "another password"}, {"email": "Ada2@example.org"}])
async def test_another_password_or_address_needs_the_present_password(world: World, change: dict[str, str]):
    _, token = await world.member()
    missing = await world.call("PATCH", "/members/me", change, token=token)
    assert (missing.status, missing.mistakes) == (422, {"current_password"})
    wrong = await world.call("PATCH", "/members/me", change | {"current_password": "wrong"}, token=token)
    assert (wrong.status, wrong.slug) == (401, "bad-credentials")
    assert (await world.login()).status == 200, "nothing has changed"
    right = await world.call("PATCH", "/members/me", change | {"current_password": PASSWORD}, token=token)
    assert right.status == 200


async def test_another_password_ends_the_other_sessions_and_the_old_password(world: World):
    _, token = await world.member()
    other = (await world.login()).json["access_token"]
    assert (await world.call("GET", "/members/me", token=other)).status == 200
    change = {"password": "another password", "current_password": PASSWORD}
    assert (await world.call("PATCH", "/members/me", change, token=token)).status == 200
    assert (await world.call("GET", "/members/me", token=token)).status == 200
    assert (await world.call("GET", "/members/me", token=other)).status == 401
    assert (await world.login()).status == 401
    assert (await world.login(password="another password")).status == 200


async def test_another_address_ends_the_other_sessions_and_must_be_free(world: World):
    _, token = await world.member()
    _, bobs = await world.member("bob")
    other = (await world.login()).json["access_token"]
    taken = {"email": "BOB@example.org", "current_password": PASSWORD}
    got = await world.call("PATCH", "/members/me", taken, token=token)
    assert (got.status, got.slug) == (409, "email-taken")
    assert (await world.valid(other))["active"], "a refused change ends nothing"
    free = {"email": "Lovelace@example.org", "current_password": PASSWORD}
    assert (await world.call("PATCH", "/members/me", free, token=token)).json["email"] == "lovelace@example.org"
    assert await world.valid(other) == {"active": False}
    assert (await world.valid(bobs))["active"]
    assert (await world.login("ada")).status == 401
    assert (await world.login("lovelace")).status == 200


async def test_sending_the_same_address_again_is_no_change_of_it(world: World):
    _, token = await world.member()
    same = {"email": "ADA@example.org", "about": "Me."}
    assert (await world.call("PATCH", "/members/me", same, token=token)).status == 200


async def test_guessing_the_present_password_with_a_stolen_token_is_slowed_down(world: World):
    _, token = await world.member()
    change = {"password": "another password", "current_password": "wrong"}
    got = [await world.call("PATCH", "/members/me", change, token=token) for _ in range(6)]
    assert [r.status for r in got] == [401] * 5 + [429]
    assert "retry-after" in got[-1].headers


@pytest.mark.race
async def test_of_two_changes_proven_with_one_password_one_happens(world: World):
    _, token = await world.member()
    changes = [{"password": f"password number {n}", "current_password": PASSWORD} for n in range(2)]
    got = await asyncio.gather(*(world.call("PATCH", "/members/me", c, token=token) for c in changes))
    assert sorted(r.status for r in got) == [200, 401]


async def test_the_export_holds_everything_but_secrets(world: World):
    member, token = await world.member()
    await world.call("PATCH", "/members/me", {"about": "Tools."}, token=token)
    await world.login(password="wrong password")
    got = await world.call("GET", "/members/me/export", token=token)
    assert got.status == 200
    assert got.headers["content-disposition"].startswith("attachment")
    assert (got.json["member"]["id"], got.json["member"]["about"]) == (member, "Tools.")
    assert [s["ended"] for s in got.json["sessions"]] == [False]
    assert got.json["failed_logins"]["count"] == 1
    assert [got.json[part][0]["list"] for part in ("items", "bookings", "payments", "messages")] == [
        "/api/v1/items",
        "/api/v1/bookings",
        "/api/v1/payments/statement",
        f"/internal/members/{member}/messages",
    ]
    assert token not in str(got.json)
    assert "argon2" not in str(got.json)


async def test_rule_21_leaving_erases_the_person_and_keeps_the_row(world: World):
    body = {"email": "ada@example.org", "password": PASSWORD, "display_name": "Ada"}
    member = (await world.call("POST", "/auth/register", body, idempotency_key="k")).json["id"]
    token = (await world.login()).json["access_token"]
    await world.call("PATCH", "/members/me", {"about": "I have a saw"}, token=token)
    await world.login(password="wrong password", commonry_client="192.0.2.1")
    got = await world.call("DELETE", "/members/me", token=token)
    assert (got.status, got.json) == (204, None)
    assert await world.valid(token) == {"active": False}
    public = (await world.call("GET", f"/members/{member}")).json
    assert (public["display_name"], public["about"]) == ("Former member", "")
    tables = ("members", "sessions", "idempotency_keys", "outbox", "login_failures")
    kept = [await world.rows(f"SELECT row_to_json(t)::text FROM {table} t") for table in tables]
    assert not any(trace in str(kept).lower() for trace in ("ada", "saw", "argon2")), kept
    assert await world.rows("SELECT subject FROM login_failures WHERE kind = 'account'") == []
    assert await world.rows("SELECT encode(answer, 'escape') FROM idempotency_keys") == [], "nor a kept answer"
    assert await world.events() == [("MemberErased", "bookings"), ("MemberErased", "inventory")]
    assert (await world.login()).status == 401
    again = await world.register("ada")
    assert (again.status, again.json["id"] != member) == (201, True)


@pytest.mark.parametrize("what", ["bookings", "payments"])
async def test_rule_21_who_has_an_item_out_or_money_open_stays(world: World, what: str):
    member, token = await world.member()
    getattr(world, what).says = {"live": True, "open": True}
    got = await world.call("DELETE", "/members/me", token=token)
    assert (got.status, got.slug) == (409, "member-has-obligations")
    assert (await world.call("GET", "/members/me", token=token)).json["display_name"] == "Ada"
    assert getattr(world, what).asked[-1][1].startswith(f"/internal/members/{member}/")
    assert await world.events() == []


async def test_rule_21_nobody_is_erased_while_bookings_cannot_be_asked(world: World):
    from commonry.kit.problems import Unavailable

    async def away(*_: object, **__: object):
        raise Unavailable

    _, token = await world.member()
    world.bookings.call = away  # type: ignore[method-assign]
    got = await world.call("DELETE", "/members/me", token=token)
    assert (got.status, "retry-after" in got.headers) == (503, True)
    assert (await world.valid(token))["active"]
