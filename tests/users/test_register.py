"""Becoming a member."""

import asyncio
from collections import Counter

from tests.users.world import PASSWORD, World


async def test_registering_answers_the_member_and_where_they_are(world: World):
    made = await world.register("ada")
    assert made.status == 201
    assert made.headers["location"] == f"/api/v1/members/{made.json['id']}"
    assert made.json["created_at"].endswith("Z")
    assert {k: made.json[k] for k in ("email", "display_name", "about", "roles", "status")} == {
        "email": "ada@example.org",
        "display_name": "Ada",
        "about": "",
        "roles": ["member"],
        "status": "active",
    }
    assert "password" not in str(made.json)
    assert (await world.call("GET", made.headers["location"])).status == 200


async def test_an_address_belongs_to_one_member_whatever_its_case(world: World):
    assert (await world.register(email="Ada.Straße@Example.org")).json["email"] == "ada.straße@example.org"
    again = await world.register(email="ADA.straße@example.ORG")
    assert (again.status, again.slug) == (409, "email-taken")


async def test_all_mistakes_are_told_at_once(world: World):
    body = {"email": "nobody", "password": "short", "display_name": "  ", "role": "manager"}
    got = await world.call("POST", "/auth/register", body)
    assert (got.status, got.mistakes) == (422, {"email", "password", "display_name", "role"})
    assert (await world.call("POST", "/auth/register", {})).mistakes == {"email", "password", "display_name"}
    for raw in (b"", b"{", b"[]", b'"x"', b"\xff", b"null", b"[" * 50_000):
        assert (await world.call("POST", "/auth/register", raw=raw)).status == 422, raw[:9]


async def test_a_nul_or_half_a_character_is_a_mistake_and_not_a_fault(world: World):
    nul = await world.register(display_name="a\0b")
    assert (nul.status, nul.mistakes) == (422, {"display_name"})
    half = b'{"email": "a@b.org", "password": "correct horse \\ud800", "display_name": "A"}'
    assert (await world.call("POST", "/auth/register", raw=half)).status == 422


async def test_rule_24_nobody_registers_as_a_manager(world: World):
    for field, value in (
        ("roles", ["manager"]),
        ("role", "manager"),
        ("status", "active"),
        ("id", "x"),
        ("verified", True),
    ):
        got = await world.register("eve", **{field: value})
        assert (got.status, got.mistakes) == (422, {field})
    assert await world.rows("SELECT id FROM members") == []


async def test_a_name_is_kept_on_one_line(world: World):
    assert (await world.register(display_name=" Ada\r\nBcc:  all ")).json["display_name"] == "Ada Bcc: all"


async def test_of_many_who_want_one_address_one_gets_it(world: World):
    got = await asyncio.gather(*(world.register("ada") for _ in range(20)))
    assert Counter(r.status for r in got) == {201: 1, 409: 19}
    assert len(await world.rows("SELECT id FROM members")) == 1


async def test_rule_23_one_key_makes_one_member_however_often(world: World):
    body = {"email": "ada@example.org", "password": PASSWORD, "display_name": "Ada"}
    calls = (world.call("POST", "/auth/register", body, idempotency_key="k") for _ in range(50))
    got = await asyncio.gather(*calls)
    assert Counter(r.status for r in got) == {201: 50}
    assert len({(r.json["id"], r.headers["location"]) for r in got}) == 1
    assert sum("idempotency-replayed" not in r.headers for r in got) == 1
    assert len(await world.rows("SELECT id FROM members")) == 1
    other = await world.call("POST", "/auth/register", body | {"display_name": "Eve"}, idempotency_key="k")
    assert (other.status, other.slug) == (422, "idempotency-key-reused")


async def test_what_is_kept_for_a_repeated_request_holds_no_secret(world: World):
    import hashlib

    import msgspec

    body = {"email": "ada@example.org", "password": PASSWORD, "display_name": "Ada"}
    await world.call("POST", "/auth/register", body, idempotency_key="k")
    ((fingerprint, headers, answer),) = await world.rows("SELECT fingerprint, headers, answer FROM idempotency_keys")
    assert PASSWORD.encode() not in answer
    assert b"hash" not in answer
    assert list(headers) == ["location"]
    said = b"POST\0/api/v1/auth/register\0" + msgspec.json.encode(body)
    guess = hashlib.blake2b(said, digest_size=16).digest()
    assert fingerprint != guess, "whoever reads the table could try passwords at the speed of a plain hash"


async def test_passwords_are_kept_as_argon2id_of_the_promised_cost(world: World):
    await world.register("ada")
    ((kept,),) = await world.rows("SELECT password_hash FROM members")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
