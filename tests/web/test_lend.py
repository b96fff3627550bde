"""Listing a thing, changing it, keeping days for oneself; members, settings: by forms alone."""

import pytest

from tests.web.test_journey import booked_now
from tests.web.test_search import in_days, lists

NASTY = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"><svg onload=alert(1)>", "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}", "javascript:alert(1)", "</textarea><script>alert(1)</script>", "<!-- --><b>x</b>",
    "&lt;script&gt;", "\u202eevil\u202c", "${7*7}", "<style>*{display:none}</style>",
]  # fmt: skip


def no_markup_of(seen):
    """Nothing that somebody wrote has become a tag or an attribute that runs."""
    tags = [tag for tag, _ in seen.page.tags]
    assert all(told.get("src", "").startswith("/static/") for tag, told in seen.page.tags if tag == "script")
    assert "style" not in tags
    assert not [n for _, told in seen.page.tags for n in told if n.startswith("on")]


async def test_a_thing_is_listed_with_a_name_a_category_and_a_place(people, signed_in):
    ada = await people("ada")
    browser = await signed_in(ada)
    form = (await browser.opens("/lend")).page.form("/lend")
    seen = await browser.sends(form, title="  ", category="", place="")
    assert seen.status == 422
    assert {"title", "category", "place"} <= seen.page.mistakes().keys()
    seen = await browser.sends(
        form, title="Ladder, 4 m", category="tools", place="Oranienplatz", price="4,50", deposit="20"
    )
    assert (seen.status, "Your item is listed." in seen.words) == (200, True)
    assert "€4.50 a day" in seen.words
    assert "€20 deposit" in seen.words
    made = (await ada.get(f"/items?owner={ada.id}"))["data"][0]
    assert made["price"] == {"amount": 450, "currency": "EUR", "per": "day"}
    assert seen.page.links.count(f"/items/{made['id']}/edit") == 1


async def test_what_was_typed_stays_and_every_mistake_has_its_place(people, signed_in):
    browser = await signed_in(await people("ada"))
    form = (await browser.opens("/lend")).page.form("/lend")
    seen = await browser.sends(form, title="Saw", category="tools", place="Here", price="a lot", min_days="many")
    assert seen.status == 422
    assert {"price", "min_days"} <= seen.page.mistakes().keys()
    kept = seen.page.form("/lend").fields
    assert (kept["title"], kept["price"], kept["category"]) == ("Saw", "a lot", "tools")
    seen = await browser.sends(form, title="Saw", category="tools", place="Here", quantity="0")
    assert seen.status == 422
    assert "quantity" in seen.page.mistakes()


async def test_it_is_changed_hidden_and_removed(people, signed_in):
    ada = await people("ada")
    item = await lists(ada, "Wheelbarrow", price={"amount": 300, "currency": "EUR", "per": "day"})
    browser, place = await signed_in(ada), f"/items/{item['id']}"
    form = (await browser.opens(f"{place}/edit")).page.form(f"{place}/edit")
    assert (form.fields["title"], form.fields["price"]) == ("Wheelbarrow", "3")
    assert "Your changes are saved." in (await browser.sends(form, title="Red wheelbarrow")).words
    seen = await browser.sends(form, title="Blue wheelbarrow")  # the form of before
    assert seen.status == 422
    assert "It was changed meanwhile" in seen.words
    assert (await ada.get(f"/items/{item['id']}"))["title"] == "Red wheelbarrow"
    await browser.sends((await browser.opens(f"{place}/edit")).page.form(f"{place}/unlist"))
    assert (await ada.get(f"/items/{item['id']}"))["status"] == "unlisted"
    assert (
        "It is gone."
        in (await browser.sends((await browser.opens(f"{place}/edit")).page.form(f"{place}/remove"))).words
    )
    assert (await browser.opens(place)).status == 404


async def test_what_is_booked_cannot_be_removed_and_it_is_said_why(people, signed_in):
    ada, ben = await people("ada"), await people("ben")
    item = await lists(ada, "Anvil")
    await booked_now(ben, item)
    browser, place = await signed_in(ada), f"/items/{item['id']}"
    seen = await browser.sends((await browser.opens(f"{place}/edit")).page.form(f"{place}/remove"))
    assert seen.status == 409
    assert "Live bookings forbid this change" in seen.words


@pytest.mark.parametrize("what", ["edit", "calendar"])
async def test_nobody_changes_what_is_somebody_elses(people, signed_in, what):
    item = await lists(await people("ada"), "Vise")
    browser = await signed_in(await people("eve"))
    assert (await browser.opens(f"/items/{item['id']}/{what}")).status == 403


async def test_days_are_kept_and_opened_again(people, signed_in, browse):
    ada = await people("ada")
    item = await lists(ada, "Trailer")
    browser, here = await signed_in(ada), f"/items/{item['id']}/calendar"
    form = (await browser.opens(here)).page.form(here)
    for first, last in ((in_days(9), in_days(8)), ("9999-12-31", ""), ("0001-01-01", in_days(3)), ("soon", "later")):
        assert (await browser.sends(form, **{"from": first, "to": last})).status == 422
    assert (await browser.sends(form, open="nothing", **{"from": ""})).status == 422
    seen = await browser.sends(form, **{"from": in_days(8), "to": in_days(9)}, note="Ours")
    assert "Those days are blocked." in seen.words
    assert "Ours" in seen.words
    asked = f"/?q=trailer&from={in_days(8)}&to={in_days(8)}"
    assert "Nothing like that is free" in (await browse().opens(asked)).words
    opening = next(f for f in seen.page.forms if f.fields.get("open"))
    assert "Those days are open again." in (await browser.sends(opening)).words
    assert "Free for your dates" in (await browse().opens(asked)).words


async def test_nothing_that_is_written_becomes_markup(people, signed_in, browse):
    ada = await people("ada")
    browser = await signed_in(ada)
    form = (await browser.opens("/lend")).page.form("/lend")
    profile = (await browser.opens("/me")).page.form("/me/profile")
    for text in NASTY:
        written = {"title": f"T {text}", "description": text, "place": text, "address": text}
        seen = await browser.sends(form, category="tools", **written)
        assert seen.status == 200, seen.words
        no_markup_of(seen)
        assert " ".join(f"T {text}".split()) in seen.words
        no_markup_of(await browser.sends(profile, display_name=text, about=text))
        no_markup_of(await browse().opens(f"/members/{ada.id}"))
        bad = await browser.sends(form, **written | {"category": text})
        no_markup_of(bad)
    no_markup_of(await browse().opens("/"))


async def test_a_member_as_others_see_them(people, signed_in, browse):
    ada = await people("ada")
    await lists(ada, "Plane")
    seen = await browse().opens(f"/members/{ada.id}")
    assert "Plane" in seen.words
    assert ada.email not in seen.page.text
    assert (await browse().opens("/members/00000000-0000-7000-8000-000000000000")).status == 404


async def test_name_and_password_are_changed_and_one_leaves(people, signed_in, browse):
    ada = await people("ada")
    browser = await signed_in(ada)
    seen = await browser.opens("/me")
    assert (await browser.sends(seen.page.form("/me/profile"), display_name=" ")).status == 422
    assert (
        "Ada the Great" in (await browser.sends(seen.page.form("/me/profile"), display_name="Ada the Great")).page.text
    )
    form = seen.page.form("/me/access")
    wrong = await browser.sends(form, password="a-new-one-entirely", current_password="not-it-at-all")
    assert (wrong.status, "That is not your password." in wrong.words) == (422, True)
    done = await browser.sends(form, password="a-new-one-entirely", current_password=ada.password)
    assert "Your changes are saved." in done.words
    other = browse()
    await other.signs_in(ada.email, "a-new-one-entirely")
    told = await other.opens("/me/export")
    assert ada.email in told.page.text
    form = (await other.opens("/me")).page.form("/me/leave")
    assert (await other.sends(form)).status == 422
    assert "Your account is erased" in (await other.sends(form, sure="yes")).words
    assert "Ada" not in (await browse().opens(f"/members/{ada.id}")).words


async def test_everybody_sees_how_things_are_and_who_made_them(browse):
    assert "All is well" in (await browse().opens("/status")).words
    assert "SIL Open Font License" in (await browse().opens("/about")).words


async def test_what_browsers_and_search_engines_ask_for(browse, people):
    item = await lists(await people("ada"), "Sextant & <compass>")
    for path, word in (
        ("/robots.txt", "Disallow: /me"), ("/sitemap.xml", f"/items/{item['id']}</loc>"), ("/sw.js", "/offline"),
        ("/manifest.webmanifest", '"start_url":"/"'), ("/offline", "There is no connection"),
    ):  # fmt: skip
        seen = await browse().opens(path)
        assert (seen.status, word in seen.page.text) == (200, True), path
    for path, address in (
        ("/?q=sextant&view=map", "/?q=sextant"), (f"/items/{item['id']}?month=2027-01", f"/items/{item['id']}"),
        (f"/members/{item['owner_id']}", f"/members/{item['owner_id']}"),
    ):  # fmt: skip
        tags = (await browse().opens(path)).page.tags
        (told,) = [told["href"] for tag, told in tags if tag == "link" and told.get("rel") == "canonical"]
        assert told.partition("://")[2].partition("/")[2] == address[1:]
    assert (await browse().opens("/favicon.ico")).headers["content-type"] == "image/svg+xml"
