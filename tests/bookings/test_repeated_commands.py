"""A command under an Idempotency-Key has its effect once: its repetition gets what came of it, not a refusal.

The gateway repeats whatever carries a key when a replica falls silent, so a key must mean this for every command.
"""

import asyncio

from tests.town import Town


async def test_each_command_twice_is_once(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    manager = await town.person(manages=True)
    item = await owner.lists(booking_mode="request", deposit={"amount": 5000, "currency": "EUR"})
    _, asked = await borrower.books(item, start=1)
    told = f"/bookings/{asked['id']}"
    steps = (
        (owner, "accept", None, "confirmed"),
        (borrower, "pickup", None, "in_use"),
        (borrower, "return", {"condition": "good"}, "returned"),
        (owner, "dispute", {"note": "A scratch"}, "returned"),
        (manager, "resolve", {"from_deposit": {"amount": 100, "currency": "EUR"}}, "completed"),
    )
    for person, command, body, state in steps:
        first = await person.call("POST", f"{told}/{command}", body, idempotency_key=f"{command} once")
        again = await person.call("POST", f"{told}/{command}", body, idempotency_key=f"{command} once")
        assert (first[0], first[1]["state"]) == (200, state), command
        assert again == first, command
        if command not in ("return", "dispute"):  # which may be said again in more words
            assert (await person.call("POST", f"{told}/{command}", body))[0] == 409, command
    assert await town.sql("payments", "SELECT captured FROM payments WHERE purpose = 'deposit'") == 100
    assert await town.ledger_balances()


async def test_declined_and_cancelled_twice(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists(booking_mode="request")
    for person, command, state in ((owner, "decline", "declined"), (borrower, "cancel", "cancelled")):
        _, asked = await borrower.books(item)
        path = f"/bookings/{asked['id']}/{command}"
        answers = [await person.call("POST", path, idempotency_key=f"{command} once") for _ in range(2)]
        assert [(status, said["state"]) for status, said in answers] == [(200, state)] * 2


async def test_both_at_once(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists(booking_mode="request")
    _, asked = await borrower.books(item)
    path = f"/bookings/{asked['id']}/accept"
    answers = await asyncio.gather(*(owner.call("POST", path, idempotency_key="the same") for _ in range(8)))
    assert [(status, said["state"]) for status, said in answers] == [(200, "confirmed")] * 8
    accepted = "SELECT count(*) FROM timeline WHERE booking_id = %(id)s AND event = 'accept'"
    assert await town.sql("bookings", accepted, id=asked["id"]) == 1


async def test_a_refused_command_leaves_its_key(town: Town) -> None:
    """Refused because it was too early; later, the same request under the same key is carried out."""
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists(booking_mode="request")
    _, asked = await borrower.books(item, start=1)
    path = f"/bookings/{asked['id']}/pickup"
    assert (await borrower.call("POST", path, idempotency_key="one"))[0] == 409
    assert (await owner.does("accept", asked))[0] == 200
    assert (await borrower.call("POST", path, idempotency_key="one"))[1]["state"] == "in_use"


async def test_a_key_is_of_one_command(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    _, asked = await borrower.books(await owner.lists(booking_mode="request"))
    assert (await owner.call("POST", f"/bookings/{asked['id']}/accept", idempotency_key="one"))[0] == 200
    status, problem = await owner.call("POST", f"/bookings/{asked['id']}/cancel", idempotency_key="one")
    assert (status, problem["type"]) == (422, "/problems/idempotency-key-reused")
