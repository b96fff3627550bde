"""The website's addresses, by what people do there, and the service itself, put together.

`search` (the first page), `item`, `checkout`, `booking` (its page, and all that is done to it), `handovers`, `messages`
(and the inbox), `mine` (borrowing, lending), `lend`, `photos`, `calendar` (an item's own pages for its owner),
`account` (join, sign in, settings), `members`, `desk` and `insights` (for managers), `about` (status, licences, the
style guide), `files` (what pages are made with).
"""

from commonry.contracts.surroundings import Surroundings
from commonry.kit import service
from commonry.kit.service import Service
from commonry.web.api import (
    about,
    account,
    booking,
    calendar,
    checkout,
    desk,
    files,
    handovers,
    insights,
    item,
    lend,
    members,
    messages,
    mine,
    photos,
    search,
    settings,
)
from commonry.web.places import Places
from commonry.web.refusing import refused
from commonry.web.visit import arriving

LARGEST_BODY = 64 * 2**20
"""Bytes: of a form with photos."""
PAGES = (
    search,
    item,
    checkout,
    booking,
    handovers,
    messages,
    mine,
    lend,
    photos,
    calendar,
    account,
    settings,
    members,
    desk,
    insights,
    about,
    files,
)


def build(around: Surroundings) -> Service:
    """The website in these surroundings."""
    return service.build(
        "web",
        [route for pages in PAGES for route in pages.routes],
        door=around.door,
        offers={"around": around, "places": Places(around)},
        asked={"visit": arriving(around)},
        refused=refused,
        max_body=LARGEST_BODY,
    )
