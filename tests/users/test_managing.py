"""What managers see and do, and that there is always one."""

import asyncio
import re

import pytest

from tests.users.world import World

NOBODY = "00000000-0000-7000-8000-000000000000"


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("PATCH", f"/{NOBODY}"), ("DELETE", f"/{NOBODY}")])
async def test_only_managers_manage(world: World, method: str, path: str):
    _, token = await world.member()
    for body in ({}, {"nonsense": 1}):
        assert (await world.call(method, f"/members{path}", body)).status == 401
        got = await world.call(method, f"/members{path}", body, token=token)
        assert (got.status, got.slug) == (403, "not-allowed")


async def test_a_manager_sees_all_of_a_member(world: World):
    _, manager = await world.manager()
    member, _ = await world.member()
    got = await world.call("GET", f"/members/{member}", token=manager)
    assert (got.json["email"], got.json["roles"], got.json["status"]) == ("ada@example.org", ["member"], "active")


async def test_the_list_comes_in_pages_newest_first(world: World):
    _, manager = await world.manager()
    made = [(await world.register(f"member{n}")).json["id"] for n in range(5)]
    seen, path = [], "/members?limit=2"
    while path:
        got = await world.call("GET", path, token=manager)
        seen += [m["id"] for m in got.json["data"]]
        path = f"/members?limit=2&cursor={got.json['next_cursor']}" if got.json["next_cursor"] else ""
    assert seen == sorted(seen, reverse=True)
    assert seen[:5] == sorted(made, reverse=True)
    assert len(seen) == 6


async def test_the_list_is_searched_by_words_taken_literally_and_by_state(world: World):
    _, manager = await world.manager()
    for name, shown in (("ada", "Ada Lovelace"), ("bob", "100% Bob"), ("cy_d", "Cy"), ("cyxd", "Cyx")):
        await world.register(name, display_name=shown)

    async def found(query: str) -> set[str]:
        got = await world.call("GET", f"/members?{query}", token=manager)
        return {m["email"].split("@")[0] for m in got.json["data"]}

    assert await found("q=LOVE") == {"ada"}
    assert await found("q=bob@example") == {"bob"}
    assert await found("q=0%25") == {"bob"}
    assert await found("q=cy_d") == {"cy_d"}
    assert await found("q=%5C") == set()
    assert await found("status=suspended") == set()
    assert await found("status=active&q=mona") == {"mona"}


async def test_a_query_with_mistakes_is_told_all_of_them(world: World):
    _, manager = await world.manager()
    got = await world.call("GET", "/members?limit=0&status=gone", token=manager)
    assert (got.status, got.mistakes) == (422, {"query.limit", "query.status"})
    for query in ("limit=101", "limit=x", "cursor=abc", "cursor=", "q=" + "x" * 201, "q=%00"):
        got = await world.call("GET", f"/members?{query}", token=manager)
        assert (got.status, got.mistakes) == (422, {f"query.{query.split('=')[0]}"}), query


async def test_a_manager_makes_a_manager_who_needs_no_new_login(world: World):
    _, manager = await world.manager()
    member, token = await world.member()
    assert (await world.call("GET", "/members", token=token)).status == 403
    got = await world.call("PATCH", f"/members/{member}", {"roles": ["manager"]}, token=manager)
    assert (got.status, got.json["roles"]) == (200, ["member", "manager"])
    assert (await world.call("GET", "/members", token=token)).status == 200
    await world.call("PATCH", f"/members/{member}", {"roles": []}, token=manager)
    assert (await world.valid(token))["roles"] == ["member"], "and is none at once"
    assert (await world.call("GET", "/members", token=token)).status == 403


async def test_rule_21_a_suspension_ends_every_session_at_once(world: World):
    _, manager = await world.manager()
    member, token = await world.member()
    other = (await world.login()).json["access_token"]
    assert (await world.call("GET", "/members/me", token=token)).status == 200
    got = await world.call("PATCH", f"/members/{member}", {"status": "suspended"}, token=manager)
    assert (got.status, got.json["status"]) == (200, "suspended")
    for ended in (token, other):
        assert await world.valid(ended) == {"active": False}
        assert (await world.call("GET", "/members/me", token=ended)).status == 401
    refused = await world.login()
    assert (refused.status, refused.slug) == (403, "not-allowed")
    assert (await world.login(password="wrong password")).slug == "bad-credentials", "only they learn of it"
    assert await world.events() == [("MemberSuspended", "inventory")]


async def test_a_reinstated_member_signs_in_again(world: World):
    _, manager = await world.manager()
    member, _ = await world.member()
    for status in ("suspended", "suspended", "active", "active"):
        assert (await world.call("PATCH", f"/members/{member}", {"status": status}, token=manager)).status == 200
    assert await world.events() == [("MemberReinstated", "inventory"), ("MemberSuspended", "inventory")]
    assert (await world.login()).status == 200


@pytest.mark.race
async def test_rule_21_a_login_that_races_with_a_suspension_leaves_no_session(world: World):
    _, manager = await world.manager()
    member, _ = await world.member()
    logins = [asyncio.create_task(world.login()) for _ in range(10)]
    await asyncio.sleep(0.06)
    await world.call("PATCH", f"/members/{member}", {"status": "suspended"}, token=manager)
    got = await asyncio.gather(*logins)
    assert {r.status for r in got} <= {200, 401, 403}
    for reply in got:
        if reply.status == 200:
            assert await world.valid(reply.json["access_token"]) == {"active": False}
    assert await world.rows("SELECT 1 FROM sessions WHERE member_id = %s AND NOT ended", member) == []


async def test_all_mistakes_of_a_change_are_told(world: World):
    member, manager = await world.manager()
    body = {"roles": ["owner"], "status": "erased", "display_name": "", "email": "x@example.org", "password": "x"}
    got = await world.call("PATCH", f"/members/{member}", body, token=manager)
    assert (got.status, {re.split(r"\W", at)[0] for at in got.mistakes}) == (422, set(body))
    got = await world.call("PATCH", f"/members/{NOBODY}", {"about": "x"}, token=manager)
    assert (got.status, got.slug) == (404, "not-found")


@pytest.mark.parametrize("change", [{"roles": ["member"]}, {"status": "suspended"}])
async def test_there_is_always_a_manager(world: World, change: dict[str, object]):
    member, manager = await world.manager()
    got = await world.call("PATCH", f"/members/{member}", change, token=manager)
    assert (got.status, got.slug) == (409, "last-manager")
    got = await world.call("DELETE", "/members/me", token=manager)
    assert (got.status, got.slug) == (409, "last-manager")
    await world.manager("mike")
    assert (await world.call("PATCH", f"/members/{member}", change, token=manager)).status == 200


@pytest.mark.race
@pytest.mark.parametrize("how", ["demote", "suspend", "leave"])
async def test_two_managers_at_once_cannot_leave_the_community_without_one(world: World, how: str):
    mona, monas = await world.manager("mona")
    mike, mikes = await world.manager("mike")
    if how == "leave":
        calls = [world.call("DELETE", "/members/me", token=t) for t in (monas, mikes)]
    else:
        change = {"roles": []} if how == "demote" else {"status": "suspended"}
        calls = [world.call("PATCH", f"/members/{m}", change, token=t) for m, t in ((mike, monas), (mona, mikes))]
    got = await asyncio.gather(*calls)
    assert sorted(r.status for r in got)[1] == 409
    assert len(await world.rows("SELECT 1 FROM members WHERE 'manager' = ANY (roles) AND status = 'active'")) == 1


async def test_a_manager_erases_a_member_once(world: World):
    _, manager = await world.manager()
    member, token = await world.member()
    for _ in range(2):
        assert (await world.call("DELETE", f"/members/{member}", token=manager)).status == 204
    assert await world.valid(token) == {"active": False}
    assert len(await world.events()) == 2
    seen = await world.call("GET", f"/members/{member}", token=manager)
    assert (seen.json["status"], seen.json["email"]) == ("erased", None)
    got = await world.call("PATCH", f"/members/{member}", {"status": "active"}, token=manager)
    assert (got.status, got.slug) == (409, "conflict")
    got = await world.call("DELETE", f"/members/{NOBODY}", token=manager)
    assert (got.status, got.slug) == (404, "not-found")
    assert [m["id"] for m in (await world.call("GET", "/members?status=erased", token=manager)).json["data"]] == [
        member
    ]
