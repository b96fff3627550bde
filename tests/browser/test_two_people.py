"""Two people in two windows: found, asked for, answered, handed over. On a phone, by keyboard, without JavaScript."""

import pytest
from PIL import Image

from tests.browser.conftest import DESKTOP, PHONE
from tests.pictures import picture
from tests.web.test_search import in_days, lists

pytestmark = pytest.mark.parametrize("platform", ["near"], indirect=True)
TAKEN_OVER = """new Promise((done) => {
    const workers = navigator.serviceWorker;
    if (workers.controller) done(true); else workers.addEventListener("controllerchange", () => done(true));
})"""
PRICED = {"price": {"amount": 1000, "currency": "EUR", "per": "day"}, "deposit": {"amount": 3000, "currency": "EUR"}}


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "plain"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desk"])
async def test_from_the_search_to_the_owners_yes(window, people, size, scripts):
    ada, ben = await people("ada"), await people("ben")
    title = f"Telescope {size['width']} {scripts}"
    await lists(ada, title, booking_mode="request", **PRICED)
    owner, borrower = await window(size, scripts=scripts), await window(size, scripts=scripts)
    await owner.signs_in(ada)
    await borrower.signs_in(ben)
    page = borrower.page
    await borrower.goes("/")
    await page.get_by_label("What", exact=True).fill(title)
    await page.get_by_label("From", exact=True).fill(in_days(20))
    await page.get_by_label("To", exact=True).fill(in_days(21))
    await page.locator("main").get_by_role("button", name="Search").click()
    await page.wait_for_url(lambda url: f"to={in_days(21)}" in url)  # before, there are results for half of it
    await page.get_by_role("link", name=title).click()
    await page.get_by_role("link", name="Ask to borrow").click()
    await page.get_by_label("A word to").fill("For the eclipse")
    await page.get_by_role("button", name="Ask Ada").click()
    await page.get_by_text("The owner has been asked.", exact=False).first.wait_for()
    await owner.goes("/lending")
    if scripts:
        await owner.page.locator("[data-count=requests]:visible").get_by_text("1", exact=True).wait_for()
    await owner.page.get_by_role("link", name=title).first.click()
    await owner.page.get_by_text("For the eclipse").wait_for()
    await owner.page.get_by_role("button", name="Say yes").click()
    await owner.page.get_by_text("You said yes.").wait_for()
    if not scripts:
        await page.reload()
    await page.get_by_text("It is yours for these days.").wait_for()  # with scripts, by itself


async def test_by_keyboard_alone(window, people):
    ada, ben = await people("ada"), await people("ben")
    item = await lists(ada, "Astrolabe", **PRICED)
    shown = await window()
    await shown.goes(f"/items/{item['id']}/borrow?from={in_days(20)}&to={in_days(21)}")
    keys = shown.page.keyboard

    async def reach(name):
        for _ in range(80):
            await keys.press("Tab")
            if name in await shown.page.evaluate(
                "(document.activeElement.labels?.[0] ?? document.activeElement).innerText"
            ):
                return
        raise AssertionError(f"{name} is not reached")

    await reach("E-mail address")
    await keys.type(ben.email)
    await reach("Password")
    await keys.type(ben.password)
    await keys.press("Enter")
    await shown.page.wait_for_url("**/borrow?**")
    await reach("Pay €10 and book")
    assert await shown.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    await keys.press("Enter")
    await shown.page.get_by_text("It is booked.").wait_for()


async def test_a_handover_survives_a_lost_connection(window, people):
    from tests.web.test_journey import booked_now

    ada, ben = await people("ada"), await people("ben")
    booking = await booked_now(ben, await lists(ada, "Theodolite"))
    shown = await window(PHONE)
    await shown.signs_in(ben)
    await shown.goes(f"/bookings/{booking['id']}/pickup")
    taken = {"name": "IMG_1.jpg", "mimeType": "image/jpeg", "buffer": picture()}
    await shown.page.get_by_label("Photos").set_input_files([taken])
    await shown.page.locator("[data-seen] img").wait_for()
    await shown.context.set_offline(True)
    await shown.page.get_by_role("button", name="It has changed hands").click()
    await shown.page.get_by_text("It is kept here and sent by itself").wait_for()
    assert (await ben.get(f"/bookings/{booking['id']}"))["state"] == "confirmed"
    await shown.context.set_offline(False)
    await shown.page.get_by_text("You have it. Bring it back in time.").wait_for()
    assert (await ben.get(f"/bookings/{booking['id']}"))["state"] == "in_use"
    (written,) = (await ben.get(f"/bookings/{booking['id']}/handovers"))["data"]
    assert len(written["photos"]) == 1


async def test_without_a_connection_the_site_says_so(window, people):
    shown = await window(PHONE)
    await shown.goes("/")
    await shown.page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    await shown.page.evaluate(TAKEN_OVER)
    await shown.context.set_offline(True)
    await shown.page.goto(shown.url + "/status")
    await shown.page.get_by_text("There is no connection").wait_for()


async def test_the_status_page_tells_what_the_gateway_knows(window):
    shown = await window()
    await shown.goes("/status")
    await shown.page.get_by_text("1 of 1 process well, breaker closed").first.wait_for()
    await shown.page.get_by_text("was answered from memory").wait_for()


async def test_the_price_follows_the_dates_without_loading_the_page(window, people):
    item = await lists(await people("ada"), "Sundial", **PRICED)
    shown = await window()
    await shown.goes(f"/items/{item['id']}")
    await shown.page.evaluate("window.still = 'here'")
    await shown.page.get_by_label("First day").fill(in_days(10))
    await shown.page.get_by_label("Last day").fill(in_days(12))
    await shown.page.get_by_label("Last day").blur()
    await shown.page.get_by_role("link", name="Borrow", exact=True).wait_for()
    assert await shown.page.evaluate("window.still") == "here"


async def test_a_photo_is_seen_and_made_smaller_before_it_is_sent(window, people, tmp_path):
    ada = await people("ada")
    shown = await window(DESKTOP)
    await shown.signs_in(ada)
    page = shown.page
    large = tmp_path / "large.jpg"
    Image.effect_noise((3000, 2000), 90).convert("RGB").save(large, quality=95)
    await shown.goes("/lend")
    await page.get_by_label("Name").fill("A noisy thing")
    await page.get_by_label("Photos").set_input_files(large)
    await page.locator("[data-seen] img").wait_for()
    assert await page.locator("[data-card] [data-title]").inner_text() == "A noisy thing"
    assert await page.locator("[data-card] .pic img").count() == 1
    sent = await page.get_by_label("Photos").evaluate("input => input.files[0].size")
    assert sent < large.stat().st_size / 1.5
    await page.get_by_label("Category").select_option("tools")
    await page.get_by_label("Place, for everyone").fill("Kreuzberg")
    await page.get_by_role("button", name="List it").click()
    seen = page.locator(".gallery img").first
    await seen.wait_for()
    assert await seen.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1600


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desk"])
async def test_days_are_kept_by_drawing_over_them(window, people, size):
    ada = await people("ada")
    item = await lists(ada, "Projector")
    shown = await window(size)
    await shown.signs_in(ada)
    page = shown.page
    await shown.goes(f"/items/{item['id']}/calendar?month={in_days(40)[:7]}")
    days = page.locator("td[data-day]:not(.out)")
    last, first = await days.nth(12).bounding_box(), await days.nth(9).bounding_box()
    await page.mouse.move(last["x"] + 9, last["y"] + 9)
    await page.mouse.down()
    await page.mouse.move(first["x"] + 9, first["y"] + 9, steps=6)
    await page.mouse.up()
    await page.mouse.move(2, 2)
    kept = [f"{in_days(40)[:7]}-{day:02}" for day in (10, 13)]
    assert [await page.get_by_label(name).input_value() for name in ("First day", "Last day")] == kept
    assert await page.locator("td.picked").count() == 4
    await page.get_by_role("button", name="Block these days").click()
    await page.get_by_text("Those days are blocked.").wait_for()
    (closed,) = (await ada.get(f"/items/{item['id']}/blackouts"))["data"]
    assert closed["to"] > closed["from"]
