"""People with browsers: `browse()` opens one on the platform, `signed_in(person)` as a member of it."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.inside import count
from tests.platform import Person, Platform
from tests.web.pages import Browser


@pytest.fixture
async def browse(platform: Platform) -> AsyncIterator[Callable[..., Browser]]:
    """Opens browsers that are closed at the end."""
    opened: list[Browser] = []

    def make(**headers: str) -> Browser:
        opened.append(Browser(platform.url, **headers))
        return opened[-1]

    yield make
    for browser in opened:
        await browser.close()


@pytest.fixture
def managing(platform: Platform, people: Callable[..., Awaitable[Person]]) -> Callable[[], Awaitable[Person]]:
    """A manager of the community."""

    async def make() -> Person:
        meg = await people("meg")
        count(
            platform, "users", f"UPDATE members SET roles = '{{member,manager}}' WHERE id = '{meg.id}' RETURNING 1 AS n"
        )
        return await meg.login()

    return make


@pytest.fixture
def signed_in(browse: Callable[..., Browser]) -> Callable[[Person], Awaitable[Browser]]:
    """A browser in which a person has signed in."""

    async def make(person: Person) -> Browser:
        browser = browse()
        await browser.signs_in(person.email, person.password)
        return browser

    return make
