"""What bookings say of a member: how soon they answer requests, what waits for them, and what happened."""

from commonry.bookings.rules.transitions import NEWS
from commonry.web.words import HAPPENED
from tests.town import Person, Town

ANSWERED_LATER = """
    UPDATE timeline SET at = at - %(hours)s * interval '1 hour' WHERE booking_id = %(id)s AND state = 'requested'
    RETURNING id"""


async def answers(town: Town, owner: Person) -> tuple[int, int | None]:
    status, found = await town.call("GET", f"/members/{owner.id}/answers")
    assert status == 200, found
    return found["answered"], found["usual_minutes"]


async def waits(person: Person) -> tuple[int, int]:
    status, found = await person.call("GET", "/bookings/waiting")
    assert status == 200, found
    return found["requests"], found["messages"]


async def test_half_of_the_requests_are_answered_within(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    item = await owner.lists(booking_mode="request")
    found = []
    for number, (hours, answer) in enumerate([(30, "accept"), (1, "decline"), (2, "accept")]):
        _, asked = await borrower.books(item, start=48 + 48 * number)
        status, _ = await owner.does(answer, asked)
        assert status == 200
        assert await town.sql("bookings", ANSWERED_LATER, id=asked["id"], hours=hours)
        found.append(await answers(town, owner))
    assert found[:2] == [(1, None), (2, None)], "too few to call anything usual"
    count, minutes = found[2]
    assert count == 3
    assert 120 < (minutes or 0) <= 122


async def test_what_was_booked_at_once_or_is_not_answered_yet_says_nothing(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    await borrower.books(await owner.lists())
    await borrower.books(await owner.lists(booking_mode="request"))
    assert await answers(town, owner) == (0, None)


async def test_requests_wait_until_they_are_answered_and_messages_until_they_are_read(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    assert await waits(owner) == (0, 0)
    _, asked = await borrower.books(await owner.lists(booking_mode="request"))
    for _ in range(2):
        await borrower.call("POST", f"/bookings/{asked['id']}/messages", {"text": "Is it still there?"})
    assert (await waits(owner), await waits(borrower)) == ((1, 2), (0, 0))
    await owner.call("POST", f"/bookings/{asked['id']}/messages/read")
    await owner.does("accept", asked)
    await owner.call("POST", f"/bookings/{asked['id']}/messages", {"text": "It is."})
    assert (await waits(owner), await waits(borrower)) == ((0, 0), (0, 1))
    assert (await town.call("GET", "/bookings/waiting"))[0] == 401


async def news(person: Person) -> list[tuple[str, str]]:
    """Events and one's own side, newest first, over all pages."""
    found, cursor = list[tuple[str, str]](), ""
    while True:
        status, some = await person.call("GET", f"/bookings/news?limit=2{cursor}")
        assert status == 200, some
        found += [(one["event"], one["side"]) for one in some["data"]]
        if not some["next_cursor"]:
            return found
        cursor = f"&cursor={some['next_cursor']}"


async def test_each_hears_what_the_other_and_the_platform_did(town: Town) -> None:
    owner, borrower, stranger = await town.person(), await town.person(), await town.person()
    item = await owner.lists(booking_mode="request")
    _, refused = await borrower.books(item)
    await owner.does("decline", refused)
    _, asked = await borrower.books(item, start=1)
    await owner.does("accept", asked)
    await owner.does("pickup", asked)
    await borrower.does("return", asked)
    hers = ("completed", "return", "confirmed", "requested", "requested")
    assert await news(owner) == [(event, "owner") for event in hers]
    assert await news(borrower) == [(event, "borrower") for event in ("completed", "pickup", "confirmed", "decline")]
    assert await news(stranger) == []
    assert (await town.call("GET", "/bookings/news"))[0] == 401


def test_there_are_words_for_whatever_is_news() -> None:
    assert set(HAPPENED) == {*NEWS, "requested"}
