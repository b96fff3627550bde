"""The website's tutorial, step by step as it is written; its pictures are taken here."""

import os

import pytest

from commonry.demo.scenes import scene
from tests.browser.conftest import SHOTS
from tests.web.test_search import in_days

pytestmark = pytest.mark.parametrize("platform", ["near"], indirect=True)
SIZE, PHONE = {"width": 1100, "height": 720}, {"width": 390, "height": 780}


async def taken(page, name):
    """Keep a picture of what one sees."""
    await page.wait_for_load_state("networkidle")
    await page.evaluate("document.activeElement.blur()")
    await page.screenshot(path=SHOTS / f"tutorial-{name}.png")
    if os.environ.get("COMMONRY_TUTORIAL"):
        from PIL import Image

        with Image.open(SHOTS / f"tutorial-{name}.png") as shot:
            wide = shot.convert("RGB")
            wide.thumbnail((880, 880))
            wide.save(f"docs/pictures/tutorial-{name}.webp", quality=80, method=6)


async def test_lend_and_borrow_as_the_tutorial_says(window, people, tmp_path):
    ada, ben = await people("ada"), await people("ben")
    hers, his = await window(SIZE), await window(SIZE)
    await hers.signs_in(ada)
    await his.signs_in(ben)
    lends, borrows = hers.page, his.page

    photo = tmp_path / "tent.webp"
    photo.write_bytes(scene("tent", "tutorial"))
    await hers.goes("/lend")
    await lends.get_by_label("Name").fill("Two-person tent, 2.4 kg")
    await lends.get_by_label("Category").select_option("camping")
    await lends.get_by_label("Photos").set_input_files(photo)
    await lends.get_by_label("Place, for everyone").fill("Oranienplatz")
    await lends.get_by_label("Price").fill("6")
    await lends.get_by_label("Deposit").fill("40")
    await lends.evaluate("window.scrollTo(0, 0)")
    await taken(lends, "1-lend")
    await lends.get_by_role("button", name="List it").click()
    await lends.get_by_text("Your item is listed.").wait_for()

    await his.goes(f"/?q=tent&from={in_days(10)}&to={in_days(12)}")
    await borrows.get_by_role("link", name="Two-person tent").wait_for()
    await taken(borrows, "2-find")
    await borrows.get_by_role("link", name="Two-person tent").click()
    await borrows.get_by_role("link", name="Ask to borrow").wait_for()
    await taken(borrows, "3-price")
    await borrows.get_by_role("link", name="Ask to borrow").click()
    await borrows.get_by_label("A word to").fill("For a weekend at the lake")
    await taken(borrows, "4-ask")
    await borrows.locator("main form button").last.click()
    await borrows.get_by_text("The owner has been asked.").wait_for()

    await hers.goes("/lending")
    await taken(lends, "5-answer")
    await lends.get_by_role("link", name="Two-person tent").first.click()
    await lends.get_by_label("Write to").fill("Gladly! Six in the evening?")
    await lends.get_by_role("button", name="Send").click()
    await lends.get_by_text("Your message was sent.").wait_for()
    await lends.get_by_role("button", name="Say yes").click()
    await lends.get_by_text("You said yes.").wait_for()
    await taken(lends, "6-booked")

    await borrows.set_viewport_size(PHONE)
    await borrows.reload()
    await borrows.get_by_role("link", name="I have it now").click()
    await borrows.get_by_role("button", name="It has changed hands").wait_for()
    await taken(borrows, "7-hand-over")
