"""The first page: what is shared here, with a search box, and where to go from here."""

from typing import Any
from urllib.parse import parse_qs, urlencode

import msgspec

from commonry.contracts.inventory import Item
from commonry.contracts.money import Money, shown
from commonry.gateway.pages.paper import page_reply
from commonry.kit.asgi import Reply, Scope
from commonry.kit.peers import Peer
from commonry.kit.problems import Unavailable, from_answer
from commonry.kit.traces import outgoing

SHOWN = 24


class _Items(msgspec.Struct):
    data: list[Item]
    next_cursor: str | None = None


class Home:
    """`/`: items from inventory, asked for as anyone would."""

    def __init__(self, inventory: Peer) -> None:
        self._inventory = inventory

    async def __call__(self, scope: Scope) -> Reply:
        """The page; 503 with a word of explanation when inventory does not answer."""
        said = {k: v[-1] for k, v in parse_qs(scope["query_string"].decode("latin-1")).items() if k in ("q", "cursor")}
        words = said.get("q", "").strip()[:200]
        try:
            found = await self._ask({"q": words or None, "cursor": said.get("cursor"), "limit": SHOWN})
        except Unavailable:
            return page_reply("home.html", status=503, words=words, away=True, cards=[], more=None)
        more = found.next_cursor and "/?" + urlencode({"q": words, "cursor": found.next_cursor})
        return page_reply("home.html", words=words, away=False, cards=[_card(i) for i in found.data], more=more)

    async def _ask(self, query: dict[str, Any]) -> _Items:
        asked = urlencode({k: v for k, v in query.items() if v is not None})
        ids = outgoing()
        got = await self._inventory.call("GET", "/api/v1/items", query=asked, body=b"", headers=ids, timeout=3.0)
        if got.status >= 500:
            raise Unavailable
        if got.status >= 400:
            raise from_answer(got.status, got.body)
        return msgspec.json.decode(got.body, type=_Items)


def _card(item: Item) -> dict[str, Any]:
    per = {"hour": "an hour"}.get(item.price.per, f"a {item.price.per}") if item.price else ""
    price = f"{shown(Money(item.price.amount, item.price.currency))} {per}" if item.price else None
    rating = f"{item.rating.average:.1f}" if item.rating.average else None
    about = item.description.strip().split("\n")[0]
    return {
        "id": item.id,
        "title": item.title,
        "about": about,
        "price": price,
        "place": item.location.label,
        "rating": rating,
    }
