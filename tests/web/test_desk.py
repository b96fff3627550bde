"""The community desk, by forms alone: the day, items, members, tables in and out, insights."""

import pytest

from tests.inside import bring_up_to_date
from tests.web.test_journey import booked_now
from tests.web.test_search import lists

DESK = [f"/desk{page}" for page in ("", "/bookings", "/items", "/items.csv", "/members", "/money", "/import")]


@pytest.mark.parametrize("path", [*DESK, "/insights"])
async def test_the_desk_is_for_managers(people, managing, signed_in, browse, path):
    assert (await browse().opens(path)).address.startswith("/login?next=")
    seen = await (await signed_in(await people("ada"))).opens(path)
    assert (seen.status, "for the managers" in seen.words) == (403, True)
    desk = await signed_in(await managing())
    assert (await desk.opens(path)).status == 200
    assert "/desk" in (await desk.opens("/me")).page.links, "on a phone there is no other way to it"


async def test_a_manager_sees_the_day_and_looks_after_members(people, managing, signed_in, browse):
    ada, ben = await people("ada"), await people("ben")
    booking = await booked_now(ben, await lists(ada, "Crane", price={"amount": 900, "currency": "EUR", "per": "day"}))
    desk = await signed_in(await managing())
    assert f"/bookings/{booking['id']}" in (await desk.opens("/desk")).page.links
    assert f"/bookings/{booking['id']}" in (await desk.opens("/desk/bookings?status=confirmed")).page.links
    assert f"/bookings/{booking['id']}" in (await desk.opens("/desk/money")).page.links
    seen = await desk.opens(f"/desk/members?q={ben.email}")
    form = seen.page.form(f"/desk/members/{ben.id}")
    assert "Your changes are saved." in (await desk.sends(form, do="suspend")).words
    assert (await ben.call("GET", "/members/me"))[0] == 401
    await desk.sends(
        (await desk.opens(f"/desk/members?q={ben.email}")).page.form(f"/desk/members/{ben.id}"), do="reinstate"
    )
    await ben.login()


async def test_a_manager_takes_a_thing_off_the_list_and_puts_it_back(people, managing, signed_in, browse):
    item = await lists(await people("ada"), "Questionable quiver")
    desk, there = await signed_in(await managing()), f"/items/{item['id']}"
    for button, status in (("unlist", 404), ("list", 200)):
        seen = await desk.opens("/desk/items?q=quiver")
        assert there in seen.page.links
        seen = await desk.sends(seen.page.form(f"/desk/items/{item['id']}"), do=button)
        assert "Your changes are saved." in seen.words
        assert "q=quiver" in seen.address
        assert ("Not listed" in seen.words) == (button == "unlist")
        assert (await browse().opens(there)).status == status
    assert "Nothing of that name" in (await desk.opens("/desk/items?q=zzzqqq")).words


async def test_items_go_out_as_a_table_ones_own_or_all(people, managing, signed_in):
    ada, ben = await people("ada"), await people("ben")
    await lists(ada, "Xylophone of Ada")
    await lists(ben, "Theremin of Ben")
    mine = await (await signed_in(ada)).opens("/lending/items.csv")
    assert mine.headers["content-type"] == "text/csv; charset=utf-8"
    assert "Xylophone of Ada" in mine.page.text
    assert "Theremin of Ben" not in mine.page.text
    everything = (await (await signed_in(await managing())).opens("/desk/items.csv")).page.text
    assert "Xylophone of Ada" in everything
    assert "Theremin of Ben" in everything


async def test_a_table_is_looked_at_first_and_then_brought_in(managing, signed_in):
    meg = await managing()
    desk = await signed_in(meg)
    form = (await desk.opens("/desk/import")).page.form("/desk/import")
    assert (await desk.sends(form)).status == 422
    table = "title,category,price\nOne jack,tools,5\nTwo jacks,tools,6\n"
    seen = await desk.sends(form, files=[("file", "t.csv", table.encode(), "text/csv")])
    assert "2 new" in seen.words
    assert (await meg.get(f"/items?owner={meg.id}"))["data"] == []
    really = next(f for f in seen.page.forms if f.fields.get("really"))
    assert "The import is done." in (await desk.sends(really)).words
    assert len((await meg.get(f"/items?owner={meg.id}"))["data"]) == 2
    bad = await desk.sends(form, table="title,category\nx,nothing-like-it\n")
    assert "something to mend first" in bad.words


@pytest.mark.parametrize("platform", ["near"], indirect=True)
async def test_what_sharing_achieves_is_drawn_with_its_numbers_and_as_a_table(platform, people, managing, signed_in):
    ada, ben = await people("ada"), await people("ben")
    booking = await booked_now(ben, await lists(ada, "Nail gun", category="tools"))
    await ada.must("POST", f"/bookings/{booking['id']}/pickup")
    bring_up_to_date(platform)
    desk = await signed_in(await managing())
    seen = await desk.opens("/insights")
    assert sum(tag == "svg" and told.get("role") == "img" for tag, told in seen.page.tags) >= 2
    tables = {link for link in seen.page.links if link.startswith("/insights/")}
    assert "/insights/overview.csv" in tables
    for link in tables:
        got = await desk.opens(link)
        assert (got.status, got.headers["content-type"]) == (200, "text/csv; charset=utf-8"), link
        assert "," in got.page.text.splitlines()[0]
    for wrong in ("overview.parquet", "nothing.csv", "..%2Fplots.csv", "overview"):
        assert (await desk.opens(f"/insights/{wrong}")).status == 404, wrong
    assert (await (await signed_in(ben)).opens("/insights/overview.csv")).status == 403
