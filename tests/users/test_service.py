"""The service as a part of the platform: readiness, loops, its document, its rules."""

import asyncio
import contextlib
from datetime import UTC, datetime
from uuid import UUID

import pytest

from commonry.contracts.users import ManagedChanges, Member, MemberChanges
from commonry.kit.db import Database
from commonry.users import rules
from tests.users.world import World


async def test_ready_means_that_the_database_answers_and_is_migrated(world: World, postgres):
    assert (await world.call("GET", "/readyz")).status == 200
    postgres.create_databases(["users_not_migrated"])
    empty, away = Database(postgres.url("users_not_migrated"), name="users"), Database("host=/nowhere", name="users")
    for db in (empty, away):
        db.pool.timeout = 0.5
        await db.open()
        assert (await World(db).call("GET", "/readyz")).status == 503
        await db.close()


async def test_the_loops_deliver_events_to_those_they_concern(world: World):
    _, manager = await world.manager()
    member, _ = await world.member()
    await world.call("PATCH", f"/members/{member}", {"status": "suspended"}, token=manager)
    tasks = [asyncio.create_task(loop()) for loop in world.service.loops]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            while await world.events():
                await asyncio.sleep(0.05)
    for task in tasks:
        assert not task.done()
        task.cancel()
    assert world.inventory.told == [("MemberSuspended", {"member_id": member})]
    assert world.bookings.told == []


async def test_without_a_database_the_answer_is_503_and_says_when_to_come_back():
    db = Database("host=/nowhere", name="users", patience=0.3)
    await db.open()
    world = World(db)
    for got in (
        await world.login(),
        await world.register(),
        await world.call("POST", "/auth/validate-token", {"token": "x"}),
    ):
        assert (got.status, got.slug, "retry-after" in got.headers) == (503, "unavailable", True)
    await db.close()


async def test_the_document_names_every_call_of_the_api(world: World):
    document = (await world.call("GET", "/internal/openapi.json")).json
    calls = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert calls == {
        "POST /api/v1/auth/register",
        "POST /api/v1/auth/login",
        "POST /api/v1/auth/validate-token",
        "POST /api/v1/auth/logout",
        "POST /api/v1/auth/refresh",
        "GET /api/v1/members",
        "GET /api/v1/members/me",
        "PATCH /api/v1/members/me",
        "DELETE /api/v1/members/me",
        "GET /api/v1/members/me/export",
        "GET /api/v1/members/{member_id}",
        "PATCH /api/v1/members/{member_id}",
        "DELETE /api/v1/members/{member_id}",
    }
    operations = [o for methods in document["paths"].values() for o in methods.values()]
    assert all(o["summary"] and o["tags"] for o in operations)
    assert len({o["operationId"] for o in operations}) == len(operations)


@pytest.mark.parametrize(
    ("failures", "account", "address"),
    [
        (0, 0, 0),
        (4, 0, 0),
        (5, 2, 0),
        (6, 4, 0),
        (13, 512, 0),
        (14, 900, 0),
        (20, 900, 2),
        (25, 900, 60),
        (10**9, 900, 60),
    ],
)
def test_the_wait_doubles_up_to_a_limit(failures: int, account: int, address: int):
    assert rules.wait_after(failures, rules.PATIENCE["account"]) == account
    assert rules.wait_after(failures, rules.PATIENCE["address"]) == address


def test_what_needs_the_password_and_what_may_take_power():
    now = datetime.now(UTC)
    ada = Member(id=UUID(int=1), email="ada@example.org", display_name="Ada", created_at=now, updated_at=now)
    assert not rules.needs_password(MemberChanges(email="ADA@example.org", about="x"), ada)
    assert rules.needs_password(MemberChanges(email="eve@example.org"), ada)
    assert rules.needs_password(MemberChanges(password="x" * 10), ada)
    assert not rules.may_take_power(ManagedChanges(roles=["manager"], status="active"))
    assert rules.may_take_power(ManagedChanges(roles=[]))
    assert rules.may_take_power(ManagedChanges(status="suspended"))
    assert rules.kept_roles(["manager", "manager"]) == ["member", "manager"]
