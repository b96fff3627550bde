"""What the two parties of a booking write to each other: who may, in which order, what is read, what is forgotten."""

from uuid import UUID

import pytest

from commonry.contracts.events import MemberErased
from commonry.kit.ids import new_id
from tests.town import Person, Town


async def booked(town: Town) -> tuple[Person, Person, str]:
    owner, borrower = await town.person(), await town.person()
    _, made = await borrower.books(await owner.lists(booking_mode="request"))
    return owner, borrower, made["id"]


async def says(person: Person, booking: str, text: str, **more: str) -> UUID:
    status, made = await person.call("POST", f"/bookings/{booking}/messages", {"text": text}, **more)
    assert status == 201, made
    return made["id"]


async def texts(person: Person, booking: str) -> list[str]:
    status, found = await person.call("GET", f"/bookings/{booking}/messages")
    assert status == 200, found
    return [one["text"] for one in found["data"]]


async def inbox(person: Person) -> list[tuple[str, int]]:
    _, found = await person.call("GET", "/bookings/conversations")
    return [(one["newest"]["text"], one["unread"]) for one in found["data"]]


async def test_each_reads_what_the_other_writes_newest_first(town: Town) -> None:
    owner, borrower, booking = await booked(town)
    assert await texts(owner, booking) == []
    for who, text in ((borrower, "Is the case with it?"), (owner, "It is.  "), (borrower, "<b>Good</b>")):
        await says(who, booking, text)
    assert (
        await texts(owner, booking)
        == await texts(borrower, booking)
        == ["<b>Good</b>", "It is.", "Is the case with it?"]
    )


async def test_nobody_else_reads_or_writes_them(town: Town) -> None:
    _, borrower, booking = await booked(town)
    await says(borrower, booking, "Between us")
    stranger, manager = await town.person(), await town.person(manages=True)
    for method, path in (("GET", "messages"), ("POST", "messages"), ("POST", "messages/read")):
        body = {"text": "I too"} if path == "messages" and method == "POST" else None
        assert (await stranger.call(method, f"/bookings/{booking}/{path}", body))[0] == 404
        assert (await manager.call(method, f"/bookings/{booking}/{path}", body))[0] == 403
        assert (await town.call(method, f"/bookings/{booking}/{path}", body))[0] == 401
    assert await inbox(manager) == []


@pytest.mark.parametrize("text", ["", "   ", "x" * 2001, "a\0b"])
async def test_what_is_no_message_is_refused(town: Town, text: str) -> None:
    _, borrower, booking = await booked(town)
    status, said = await borrower.call("POST", f"/bookings/{booking}/messages", {"text": text})
    assert status == 422, said
    assert await texts(borrower, booking) == []


async def test_the_same_key_is_the_same_message(town: Town) -> None:
    _, borrower, booking = await booked(town)
    first = await says(borrower, booking, "Once", idempotency_key="one")
    assert await says(borrower, booking, "Once", idempotency_key="one") == first
    assert await texts(borrower, booking) == ["Once"]


async def test_the_inbox_has_the_newest_first_and_counts_what_is_not_read(town: Town) -> None:
    owner, borrower, first = await booked(town)
    _, second = await borrower.books(await owner.lists(booking_mode="request"))
    assert await inbox(owner) == []
    await says(borrower, first, "One")
    await says(borrower, first, "Two")
    await says(borrower, second["id"], "Three")
    assert await inbox(owner) == [("Three", 1), ("Two", 2)]
    assert await inbox(borrower) == [("Three", 0), ("Two", 0)]
    assert (await owner.call("POST", f"/bookings/{first}/messages/read"))[0] == 204
    assert await inbox(owner) == [("Three", 1), ("Two", 0)]
    await says(owner, first, "Four")
    assert await inbox(owner) == [("Four", 0), ("Three", 1)]
    assert await inbox(borrower) == [("Four", 1), ("Three", 0)]


async def test_both_lists_come_in_pages(town: Town) -> None:
    owner, borrower, booking = await booked(town)
    for number in range(5):
        await says(borrower, booking, str(number))
    seen, cursor = list[str](), ""
    while cursor is not None:
        _, found = await owner.call("GET", f"/bookings/{booking}/messages?limit=2{cursor and '&cursor='}{cursor}")
        seen += [one["text"] for one in found["data"]]
        cursor = found["next_cursor"]
    assert seen == ["4", "3", "2", "1", "0"]
    assert (await owner.call("GET", "/bookings/conversations?cursor=nonsense"))[0] == 422


async def test_a_booking_that_came_to_nothing_has_nobody_to_write_to(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists(price={"amount": 500, "currency": "EUR", "per": "day"})
    _, failed = await borrower.books(item, payment_method="pm_card_visa_chargeDeclined")
    status, said = await borrower.call("POST", f"/bookings/{failed['booking_id']}/messages", {"text": "Hello?"})
    assert (status, said["type"]) == (409, "/problems/not-in-that-state")


async def test_who_is_erased_takes_their_words_along(town: Town) -> None:
    owner, borrower, booking = await booked(town)
    await says(borrower, booking, "My telephone number is 0123")
    await says(owner, booking, "Mine is 4567")
    _, mine = await borrower.call("GET", "/members/me/export")
    assert [one["text"] for one in mine["messages"]] == ["My telephone number is 0123"]
    await town.around.peers.bookings.tell("MemberErased", str(new_id()), MemberErased(member_id=borrower.id))
    assert await texts(owner, booking) == ["Mine is 4567", ""]
