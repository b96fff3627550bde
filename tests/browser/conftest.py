"""The website in a real browser: Debian's Chromium, driven by Playwright, with axe looking over each page.

`window()` opens one for a person. Whatever a page writes to its console as an error, every request that fails and each
breach of the page's own policy is noted; a test that leaves any fails.
"""

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.needs import need
from tests.platform import Person, Platform

PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1440, "height": 900}
SHOTS = Path(os.environ.get("COMMONRY_SCREENSHOTS") or "build/screenshots")
"""Where pictures of pages are put, for people to look at."""
SHOTS.mkdir(parents=True, exist_ok=True)
AXE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
EXPECTED = re.compile(r"the server responded with a status of (4\d\d|503)")
"""A refusal is an answer, and tests ask for some."""


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    """A browser without windows."""
    binary = need("chromium", "the website as a browser shows it")
    async with async_playwright() as playing:
        browser = await playing.chromium.launch(executable_path=str(binary), args=["--no-sandbox", "--disable-gpu"])
        yield browser
        await browser.close()


class Window:
    """A person's window, and what went wrong in it."""

    def __init__(self, context: BrowserContext, page: Page, platform: Platform) -> None:
        self.context, self.page, self.url = context, page, platform.url
        self.troubles: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.troubles.append(f"{page.url}: {error}"))

    def _said(self, message: Any) -> None:
        if message.type == "error" and not EXPECTED.search(message.text):
            self.troubles.append(f"{self.page.url}: {message.text}")

    async def goes(self, path: str) -> None:
        """Open an address of the site."""
        await self.page.goto(self.url + path, wait_until="load")

    async def signs_in(self, person: Person) -> None:
        """Through the form."""
        await self.goes("/login")
        await self.page.get_by_label("E-mail address").fill(person.email)
        await self.page.get_by_label("Password").fill(person.password)
        await self.page.get_by_role("button", name="Sign in").click()
        await self.page.wait_for_url(lambda url: "/login" not in url)

    async def shuts_nobody_out(self) -> None:
        """axe finds nothing on this page as it is now."""
        found = await Axe().run(self.page, options=AXE)
        told = [
            f"{one['id']} ({one['impact']}): {one['help']}: {node['html'][:200]}"
            for one in found.response["violations"]
            for node in one["nodes"][:3]
        ]
        assert told == [], (self.page.url, told)

    async def fits(self) -> None:
        """Nothing sticks out to the side."""
        wide = await self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{self.page.url} is {wide} px too wide"

    async def pictured(self, name: str) -> None:
        """Keep a picture of the whole page."""
        await self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


@pytest.fixture
async def window(chromium: Browser, platform: Platform) -> AsyncIterator[Callable[..., Awaitable[Window]]]:
    """Opens windows; at the end nothing may have gone wrong in any."""
    opened: list[Window] = []

    async def make(size: Any = None, *, scripts: bool = True, dark: bool = False, slower: int = 1) -> Window:
        context = await chromium.new_context(
            viewport=size or DESKTOP,
            java_script_enabled=scripts,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            locale="en-GB",
            is_mobile=size == PHONE,
            has_touch=size == PHONE,
        )
        context.set_default_timeout(15_000)
        page = await context.new_page()
        if slower > 1:
            session = await context.new_cdp_session(page)
            await session.send("Emulation.setCPUThrottlingRate", {"rate": slower})
        opened.append(Window(context, page, platform))
        return opened[-1]

    yield make
    for one in opened:
        await one.context.close()
    assert [trouble for one in opened for trouble in one.troubles] == []
