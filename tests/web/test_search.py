"""The first page: what is found, how it is told, and what is said when there is nothing."""

from datetime import UTC, datetime, timedelta

from tests.web.pages import Browser

PLACE = {"lat": 52.49, "lon": 13.42, "label": "Kreuzberg & <Berlin>"}


async def lists(person, title, **more):
    slug = (await person.get("/categories"))["data"][0]["slug"]
    body = {"title": title, "category": slug, "location": PLACE, "time_zone": "Europe/Berlin", **more}
    return await person.must("POST", "/items", body)


def in_days(number):
    return (datetime.now(UTC) + timedelta(days=number)).date().isoformat()


async def test_what_people_wrote_is_shown_and_never_markup(browse, people):
    await lists(await people("ada"), "Xylophone <script>alert(1)</script>")
    seen = await browse().opens("/?q=xylophone")
    assert "Xylophone <script>alert(1)</script>" in seen.words
    assert "Kreuzberg & <Berlin>" in seen.words
    assert "<script>alert" not in seen.page.text
    assert "Free" in seen.words


async def test_prices_are_in_words(browse, people):
    ada = await people("ada")
    await lists(ada, "Theremin one", price={"amount": 1250, "currency": "EUR", "per": "day"})
    await lists(ada, "Theremin two", price={"amount": 300, "currency": "EUR", "per": "hour"})
    seen = await browse().opens("/?q=theremin")
    assert "€12.50 a day" in seen.words
    assert "€3 an hour" in seen.words
    cheap = await browse().opens("/?q=theremin&max=20")
    assert "Theremin one" in cheap.words
    assert "Theremin two" not in cheap.words


async def test_with_dates_only_what_is_free_then(browse, people):
    ada, ben = await people("ada"), await people("ben")
    item = await lists(ada, "Bassoon of ours")
    asked = f"/?q=bassoon&from={in_days(20)}&to={in_days(21)}"
    seen = await browse().opens(asked)
    assert "Free for your dates" in seen.words
    assert f"/items/{item['id']}?from={in_days(20)}&to={in_days(21)}" in seen.page.links
    span = {"from": f"{in_days(19)}T00:00:00Z", "to": f"{in_days(23)}T00:00:00Z"}
    await ben.must("POST", "/bookings", {"item_id": item["id"], "payment_method": "pm_card_visa", **span})
    seen = await browse().opens(asked)
    assert "Nothing like that is free" in seen.words
    assert "1 on any dates" in seen.words
    later = next(link for link in seen.page.links if f"from={in_days(23)}" in link)
    assert f"to={in_days(24)}" in later, "as long as was asked for"
    assert "Free for your dates" in (await browse().opens(later)).words
    again = next(link for link in seen.page.links if link == "/?q=bassoon")
    assert "Bassoon of ours" in (await browse().opens(again)).words


async def test_an_empty_result_says_what_would_help(browse):
    seen = await browse().opens("/?q=%3Cb%3Eqqqqzzzz&max=1")
    assert seen.status == 200
    assert "Nothing like that is here yet" in seen.words
    assert "<b>qqqq" not in seen.page.text


async def test_a_place_is_found_by_its_name_and_an_unknown_one_is_said(browse, people):
    await lists(await people("ada"), "Ocarina nearby", location={"lat": 48.1, "lon": 11.5, "label": "Sendling"})
    browser: Browser = browse()
    seen = await browser.opens("/?q=ocarina&place=sendling")
    assert "Ocarina nearby" in seen.words
    seen = await browser.opens("/?q=ocarina&place=Atlantis")
    assert "We know no place called “Atlantis” here." in seen.words


async def test_list_and_map_show_the_same(browse, people):
    ada = await people("ada")
    for number in range(3):
        await lists(ada, f"Glockenspiel {number}")
    for view in ("list", "map", "calendar"):
        seen = await browse().opens(f"/?q=glockenspiel&view={view}")
        assert seen.status == 200
        for number in range(3):
            assert f"Glockenspiel {number}" in seen.words, view
    drawn = await browse().opens("/?q=glockenspiel&view=map")
    assert sum(tag == "circle" and "cx" in told for tag, told in drawn.page.tags) >= 3


async def test_the_calendar_view_shows_which_days_are_taken(browse, people):
    ada, ben = await people("ada"), await people("ben")
    item = await lists(ada, "Balalaika")
    span = {"from": f"{in_days(4)}T00:00:00Z", "to": f"{in_days(7)}T00:00:00Z"}
    await ben.must("POST", "/bookings", {"item_id": item["id"], "payment_method": "pm_card_visa", **span})
    seen = await browse().opens("/?q=balalaika&view=calendar")
    days = [told["class"] for tag, told in seen.page.tags if tag == "td"]
    assert len(days) == 14
    assert set(days[5:6]) == {"taken"}
    assert {"free"} == set(days[9:])


async def test_odd_questions_are_answered_in_words(browse):
    for query in (
        "from=2026-13-45&to=x", "from=2027-05-02&to=2027-05-01", "cursor=nonsense", "near=here",
        "radius_km=-1&near=1,1",
        "max=lots", "sort=sideways", "view=upside-down", "q=" + "x" * 500, "category=no-such", "from_time=25:61",
        "from=9999-12-31&to=9999-12-31", "max=inf", "max=1e400", "max=nan", "q=%00",
    ):  # fmt: skip
        seen = await browse().opens(f"/?{query}")
        assert seen.status in (200, 422), query
        assert "Something broke" not in seen.words, query


async def test_more_is_a_page_away(browse, people):
    ada = await people("ada")
    for number in range(26):
        await lists(ada, f"Kazoo {number:02}")
    seen = await browse().opens("/?q=kazoo")
    more = next(link for link in seen.page.links if "cursor=" in link)
    both = seen.words + (await browse().opens(more)).words
    assert all(f"Kazoo {number:02}" in both for number in range(26))
