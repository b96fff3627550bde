"""A whole loan by two people who only click and fill in forms, without JavaScript."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from commonry.bookings.rules import policies
from commonry.web.words import CANCELLATIONS
from tests.web.test_search import in_days, lists

EUR = {"amount": 1000, "currency": "EUR", "per": "day"}
DEPOSIT = {"amount": 5000, "currency": "EUR"}


async def asks(browser, item, start=20, end=21, **more):
    """From the item's page over the checkout to whatever comes."""
    seen = await browser.opens(f"/items/{item['id']}?from={in_days(start)}&to={in_days(end)}")
    checkout = next(link for link in seen.page.links if link.startswith(f"/items/{item['id']}/borrow?"))
    form = (await browser.opens(checkout)).page.form(f"/items/{item['id']}/borrow")
    return await browser.sends(form, **more)


async def booked_now(ben, item):
    """A booking that has begun."""
    now = datetime.now(UTC)
    span = {"from": (now + timedelta(minutes=5)).isoformat(), "to": (now + timedelta(days=1)).isoformat()}
    return await ben.must("POST", "/bookings", {"item_id": item["id"], "payment_method": "pm_card_visa", **span})


async def test_from_a_result_to_a_confirmed_booking_in_three_screens(people, signed_in):
    ada, ben = await people("ada"), await people("ben")
    item = await lists(ada, "Marimba", price=EUR, deposit=DEPOSIT)
    browser = await signed_in(ben)
    seen = await browser.opens(f"/items/{item['id']}?from={in_days(20)}&to={in_days(21)}")
    assert "€10" in seen.words
    assert "€50" in seen.words
    seen = await asks(browser, item, message="For a concert")
    assert (seen.status, "It is booked." in seen.words) == (200, True)
    booking = seen.address.split("?")[0]
    assert "Booked" in seen.words
    assert "For a concert" in seen.words
    assert "Brought back" in seen.words  # what comes next
    assert (await ben.get("/bookings"))["data"][0]["state"] == "confirmed"
    assert booking in (await browser.opens("/borrowing")).page.links
    assert booking in (await (await signed_in(ada)).opens("/lending")).page.links


async def test_signed_out_one_is_asked_to_sign_in_and_led_back(browse, people):
    ada, ben = await people("ada"), await people("ben")
    item = await lists(ada, "Celesta")
    browser = browse()
    where = f"/items/{item['id']}/borrow?from={in_days(20)}&to={in_days(21)}"
    seen = await browser.opens(where)
    assert seen.address.startswith("/login?next=")
    seen = await browser.sends(seen.page.form("/login"), email=ben.email, password=ben.password)
    assert seen.address == where
    assert seen.page.form(f"/items/{item['id']}/borrow")


async def test_a_declined_card_is_said_beside_the_card_and_another_one_works(people, signed_in):
    ada, ben = await people("ada"), await people("ben")
    item = await lists(ada, "Vibraphone", price=EUR)
    browser = await signed_in(ben)
    seen = await asks(browser, item, payment_method="pm_card_visa_chargeDeclined", message="Please")
    assert seen.status == 422
    assert "This card was declined. Nothing was charged" in seen.words
    form = seen.page.form(f"/items/{item['id']}/borrow")
    assert form.fields["message"] == "Please"
    seen = await browser.sends(form, payment_method="pm_card_visa")
    assert "It is booked." in seen.words


async def test_sent_twice_it_is_booked_once(people, signed_in):
    ada, ben = await people("ada"), await people("ben")
    item = await lists(ada, "Tubular bells")
    browser = await signed_in(ben)
    form = (await browser.opens(f"/items/{item['id']}/borrow?from={in_days(20)}&to={in_days(21)}")).page.form(
        f"/items/{item['id']}/borrow"
    )
    one, two = await browser.sends(form), await browser.sends(form)
    assert one.address == two.address
    assert len((await ben.get("/bookings"))["data"]) == 1


async def test_who_was_slower_is_told_so(people, signed_in):
    ada, ben, cem = await people("ada"), await people("ben"), await people("cem")
    item = await lists(ada, "Hang drum")
    slow = await signed_in(cem)
    form = (await slow.opens(f"/items/{item['id']}/borrow?from={in_days(20)}&to={in_days(21)}")).page.form(
        f"/items/{item['id']}/borrow"
    )
    await asks(await signed_in(ben), item)
    seen = await slow.sends(form)
    assert seen.status == 422
    assert "Somebody was quicker" in seen.words


async def test_an_owner_says_no_and_another_time_yes(people, signed_in):
    ada, ben = await people("ada"), await people("ben")
    item = await lists(ada, "Didgeridoo", price=EUR, booking_mode="request")
    owner, borrower = await signed_in(ada), await signed_in(ben)
    seen = await asks(borrower, item)
    assert "The owner has been asked" in seen.words
    place = seen.address.split("?")[0]
    assert place in (await owner.opens("/lending")).page.links
    form = (await owner.opens(f"{place}/decline")).page.form(f"{place}/decline")
    assert "You said no" in (await owner.sends(form, note="Away")).words
    assert "Declined" in (await borrower.opens(place)).words
    place = (await asks(borrower, item)).address.split("?")[0]
    form = (await owner.opens(place)).page.form(f"{place}/accept")
    assert "You said yes" in (await owner.sends(form)).words
    assert "Booked" in (await borrower.opens(place)).words
    assert "Ada said no. Nothing was charged." in (await borrower.opens("/inbox/news")).words
    told = await owner.opens("/inbox/news")
    assert "Ben asked to borrow it." in told.words
    assert place in told.page.links


async def test_who_answers_soon_is_known_for_it(people, browse):
    ada, ben = await people("ada"), await people("ben")
    item = await lists(ada, "Psaltery", booking_mode="request")
    assert "Usually answers" not in (await browse().opens(f"/members/{ada.id}")).words
    for start in (20, 24, 28):
        span = {"from": f"{in_days(start)}T10:00:00Z", "to": f"{in_days(start + 1)}T10:00:00Z"}
        asked = await ben.must("POST", "/bookings", {"item_id": item["id"], **span})
        await ada.must("POST", f"/bookings/{asked['id']}/decline")
    assert "Usually answers within 1 minute" in (await browse().opens(f"/members/{ada.id}")).words


async def test_what_a_cancellation_gives_back_is_said_before(people, signed_in):
    ada, ben = await people("ada"), await people("ben")
    item = await lists(ada, "Zither", price=EUR, cancellation="flexible")
    borrower = await signed_in(ben)
    place = (await asks(borrower, item)).address.split("?")[0]
    seen = await borrower.opens(f"{place}/cancel")
    assert "€10 come back to you" in seen.words
    seen = await borrower.sends(seen.page.form(f"{place}/cancel"))
    assert "€10 given back" in seen.words
    assert (await borrower.opens(f"{place}/cancel")).status == 409


async def test_handed_over_brought_back_and_reviewed(people, signed_in):
    ada, ben = await people("ada"), await people("ben")
    item = await lists(ada, "Accordion", price=EUR, deposit=DEPOSIT)
    owner, borrower = await signed_in(ada), await signed_in(ben)
    place = f"/bookings/{(await booked_now(ben, item))['id']}"
    seen = await owner.opens(f"{place}/pickup")
    assert any(tag == "svg" and told.get("class") == "qr" for tag, told in seen.page.tags)
    seen = await owner.sends(seen.page.form(f"{place}/pickup"), condition="worn", note="A scratch on the left")
    assert "In use" in seen.words
    seen = await borrower.sends((await borrower.opens(f"{place}/return")).page.form(f"{place}/return"))
    assert "Returned" in seen.words
    seen = await owner.opens(place)
    seen = await owner.sends(seen.page.form(f"{place}/return"))
    assert "Done" in seen.words
    form = (await borrower.opens(f"{place}/review")).page.form(f"{place}/review")
    assert (await borrower.sends(form)).status == 422
    assert "Thank you for the review" in (await borrower.sends(form, rating="5", text="Sounds <b>great</b>")).words
    await owner.sends((await owner.opens(f"{place}/review")).page.form(f"{place}/review"), rating="4")
    seen = await owner.opens(place)
    assert "Sounds <b>great</b>" in seen.words
    assert "<b>great" not in seen.page.text
    while "What borrowers say" not in (seen := await owner.opens(f"/items/{item['id']}")).words:
        await asyncio.sleep(0.05)  # inventory hears of it a moment later
    assert "Sounds <b>great</b>" in seen.words


async def test_damage_is_reported_and_a_manager_settles_it(people, managing, signed_in):
    ada, ben, meg = await people("ada"), await people("ben"), await managing()
    item = await lists(ada, "Harp", price=EUR, deposit=DEPOSIT)
    owner, borrower, manager = await signed_in(ada), await signed_in(ben), await signed_in(meg)
    place = f"/bookings/{(await booked_now(ben, item))['id']}"
    await borrower.sends((await borrower.opens(f"{place}/pickup")).page.form(f"{place}/pickup"))
    await borrower.sends((await borrower.opens(f"{place}/return")).page.form(f"{place}/return"), condition="damaged")
    form = (await owner.opens(f"{place}/dispute")).page.form(f"{place}/dispute")
    assert (await owner.sends(form, note=" ")).status == 422
    assert "The damage is noted" in (await owner.sends(form, note="A string is gone")).words
    form = (await manager.opens(f"{place}/resolve")).page.form(f"{place}/resolve")
    assert (await manager.sends(form, amount="80")).status == 422
    assert (await manager.sends(form, amount="twenty")).status == 422
    seen = await manager.sends(form, amount="20,50")
    assert "It is settled." in seen.words
    told = (await ben.get("/bookings"))["data"][0]
    assert (told["state"], told["deposit_state"]) == ("completed", "captured")


@pytest.mark.parametrize("what", ["", "/pickup", "/cancel", "/events", "/review"])
async def test_others_do_not_even_learn_that_it_is_there(people, signed_in, what):
    ada, ben, eve = await people("ada"), await people("ben"), await people("eve")
    booking = await booked_now(ben, await lists(ada, "Lute"))
    assert (await (await signed_in(eve)).opens(f"/bookings/{booking['id']}{what}")).status == 404


async def test_a_page_is_told_when_its_booking_changes(people, signed_in):
    ada, ben = await people("ada"), await people("ben")
    booking = await booked_now(ben, await lists(ada, "Sitar"))
    browser = await signed_in(ben)
    async with browser._session.get(f"{browser.url}/bookings/{booking['id']}/events") as got:
        assert got.headers["content-type"].startswith("text/event-stream")
        await got.content.readuntil(b"\n\n")
        await ada.must("POST", f"/bookings/{booking['id']}/pickup")
        while not (line := await got.content.readline()).startswith(b"event: changed"):
            assert line, "it ended without a word"
        assert await got.content.readline() == b"data: in_use\n"


def test_the_policies_are_in_the_words_of_the_service_that_keeps_them():
    assert {name: policies.words(tiers) for name, tiers in policies.TIERS.items()} == CANCELLATIONS


@pytest.mark.parametrize("path", ["/borrowing", "/lending"])
async def test_nothing_yet_says_what_one_could_do(people, signed_in, path):
    seen = await (await signed_in(await people("new"))).opens(path)
    assert seen.status == 200
    assert "yet" in seen.words


async def test_the_two_write_to_each_other(people, signed_in):
    ada, ben = await people("ada"), await people("ben")
    booking = await booked_now(ben, await lists(ada, "Zither"))
    hers, his, place = await signed_in(ada), await signed_in(ben), f"/bookings/{booking['id']}"
    assert "No messages yet" in (await hers.opens("/inbox")).words
    form = (await his.opens(place)).page.form(f"{place}/messages")
    seen = await his.sends(form, text="Is <b>six</b> all right?\nOr seven?")
    assert "Your message was sent." in seen.words
    assert "Is <b>six</b> all right?" in seen.words
    await his.sends(form, text="Is <b>six</b> all right?\nOr seven?")  # the same form again is the same message
    listed = await hers.opens("/inbox")
    assert "1 not read" in listed.words
    assert f"{place}#messages" in listed.page.links
    seen = await hers.opens(place)
    assert seen.words.count("all right?") == 1
    assert "not read" not in (await hers.opens("/inbox")).words
    await hers.sends(seen.page.form(f"{place}/messages"), text="Seven.")
    assert "Seven." in (await his.opens(place)).words
    refused = await hers.sends(seen.page.form(f"{place}/messages"), text="  ")
    assert (refused.status, "Write something first." in refused.words) == (422, True)
    refused = await hers.sends(seen.page.form(f"{place}/messages"), text="x" * 2001)
    assert (refused.status, "at most 2,000 letters" in refused.words) == (422, True)
