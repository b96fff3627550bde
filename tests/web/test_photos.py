"""Photos of a thing: sent, seen, described, put in order and taken away by forms alone."""

import re

import pytest

from tests.pictures import picture
from tests.web.test_journey import booked_now
from tests.web.test_search import lists


def files(*contents):
    return [("photo", f"IMG_{n}.jpg", content, "image/jpeg") for n, content in enumerate(contents)]


def shown(seen):
    """Addresses of the photos on a page, in order."""
    return [told["src"] for tag, told in seen.page.tags if tag == "img" and "/photos/" in (told.get("src") or "")]


async def test_a_thing_is_listed_with_its_photos(people, signed_in):
    browser = await signed_in(await people("ada"))
    form = (await browser.opens("/lend")).page.form("/lend")
    assert form.kind == "multipart/form-data"
    seen = await browser.sends(
        form, files=files(picture(1200, 900), picture(50, 50)), title="Ladder", category="tools", place="Oranienplatz"
    )
    assert "Your item is listed." in seen.words
    assert len(shown(seen)) == 2
    got = await browser.opens(shown(seen)[0])
    assert (got.status, got.headers["content-type"]) == (200, "image/webp")
    assert any(tag == "meta" and told.get("property") == "og:image" for tag, told in seen.page.tags)
    results = await browser.opens("/?q=Ladder")
    assert len(shown(results)) == 1


async def test_a_photo_that_is_none_keeps_nobody_from_listing(people, signed_in):
    ada = await people("ada")
    browser = await signed_in(ada)
    form = (await browser.opens("/lend")).page.form("/lend")
    seen = await browser.sends(form, files=files(b"<svg onload=alert(1)>"), title="Saw", category="tools", place="Here")
    assert seen.status == 422
    assert "“IMG_0.jpg” is no picture that can be read" in seen.words
    assert [item["title"] for item in (await ada.get(f"/items?owner={ada.id}"))["data"]] == ["Saw"]


async def test_they_are_described_arranged_and_removed(people, signed_in):
    ada = await people("ada")
    item = await lists(ada, "Tent")
    browser, place = await signed_in(ada), f"/items/{item['id']}/photos"
    seen = await browser.opens(place)
    assert "No photos yet" in seen.words
    seen = await browser.sends(seen.page.form(place), files=files(*(picture(colour=(60 * n, 9, 9)) for n in range(3))))
    assert "The photos are saved." in seen.words
    one, two, three = shown(seen)
    ids = [re.search(r"/photos/([^/]+)/", photo)[1] for photo in (one, two, three)]
    seen = await browser.sends(seen.page.form(place), do=f"first {ids[2]}", **{f"alt-{ids[0]}": "<b>At night</b>"})
    assert shown(seen) == [three, one, two]
    assert seen.page.form(place).fields[f"alt-{ids[0]}"] == "<b>At night</b>"
    seen = await browser.sends(seen.page.form(place), do=f"up {ids[1]}")
    assert shown(seen) == [three, two, one]
    seen = await browser.sends(seen.page.form(place), do=f"remove {ids[2]}")
    assert shown(seen) == [two, one]
    assert (await browser.opens(three)).status == 404
    seen = await browser.sends(seen.page.form(place), do="remove elsewhere")
    assert shown(seen) == [two, one]


async def test_nothing_chosen_is_said_to_be_nothing(people, signed_in):
    ada = await people("ada")
    item = await lists(ada, "Kayak")
    browser, place = await signed_in(ada), f"/items/{item['id']}/photos"
    seen = await browser.sends((await browser.opens(place)).page.form(place), do="add")
    assert (seen.status, "Choose at least one picture." in seen.words) == (422, True)


@pytest.mark.parametrize("path", ["/photos", "/calendar", "/edit"])
async def test_somebody_elses_thing_stays_somebody_elses(people, signed_in, path):
    item = await lists(await people("ada"), "Drum")
    browser = await signed_in(await people("ben"))
    assert (await browser.opens(f"/items/{item['id']}{path}")).status == 403


async def test_a_handover_is_photographed_and_only_the_two_see_it(people, signed_in):
    ada, ben = await people("ada"), await people("ben")
    booking = await booked_now(ben, await lists(ada, "Cello"))
    his, hers, place = await signed_in(ben), await signed_in(ada), f"/bookings/{booking['id']}"
    form = (await his.opens(f"{place}/pickup")).page.form(f"{place}/pickup")
    assert form.kind == "multipart/form-data"
    refused = await his.sends(form, files=files(b"<svg>"), note="A <i>scratch</i>")
    assert (refused.status, "A photo is no picture" in refused.words) == (422, True)
    seen = await his.sends(form, files=files(picture(), picture(colour=(9, 99, 9))), note="A <i>scratch</i>")
    assert "Handed over." in seen.words
    for browser in (his, hers):
        seen = await browser.opens(place)
        assert "A <i>scratch</i>" in seen.words
        addresses = [
            told["src"] for tag, told in seen.page.tags if tag == "img" and "/photos/" in (told.get("src") or "")
        ]
        ours = [address for address in addresses if address.startswith("/bookings/")]
        assert len(ours) == 2
        got = await browser.opens(ours[0])
        assert (got.status, got.headers["content-type"]) == (200, "image/webp")
        assert got.headers["cache-control"].startswith("private")
    stranger = await signed_in(await people("eve"))
    assert (await stranger.opens(ours[0])).status == 404
