"""The demo's words, read from `neighbourhood.json`: place, members, items, reviews, messages."""

from functools import cache
from importlib import resources
from typing import Any

import msgspec


class Corner(msgspec.Struct, frozen=True):
    """A spot of the neighbourhood."""

    label: str
    lat: float
    lon: float


class Place(msgspec.Struct):
    """Where the neighbourhood is."""

    label: str
    lat: float
    lon: float
    time_zone: str
    currency: str
    corners: list[Corner]


class Neighbour(msgspec.Struct):
    """A member of the demo. `demo` names the role of the three sign-ins that are shown, which have a `password`."""

    key: str
    email: str
    display_name: str
    about: str
    corner: str
    password: str | None = None
    demo: str | None = None
    suspended: bool = False


class Rated(msgspec.Struct):
    """A review's words."""

    rating: int
    text: str


class Reviews(msgspec.Struct):
    """What people say of things and of each other."""

    of_item: list[Rated]
    of_borrower: list[Rated]


class Thing(msgspec.Struct):
    """An item of the demo; `terms` is the rest of the body of POST /items."""

    key: str
    owner: str
    corner: str
    picture: str
    body: dict[str, Any]


class Talk(msgspec.Struct):
    """What a borrower writes about a booking, and what the owner answers."""

    borrower: str
    owner: str


class Neighbourhood(msgspec.Struct):
    """All of it."""

    place: Place
    members: list[Neighbour]
    items: list[dict[str, Any]]
    reviews: Reviews
    messages: list[str]
    talks: list[Talk]

    def who(self, demo: str) -> str:
        """The key of the member who plays this part: `neighbour`, `owner`, `manager`."""
        return next(m.key for m in self.members if m.demo == demo)

    def things(self) -> list[Thing]:
        """The items as they are sent to the platform."""
        return [_thing(dict(item), self.place) for item in self.items]


_OURS = ("key", "owner", "corner", "picture")


def _thing(item: dict[str, Any], place: Place) -> Thing:
    corner = next(c for c in place.corners if c.label == item["corner"])
    body = {name: value for name, value in item.items() if name not in _OURS}
    body["location"] = msgspec.to_builtins(corner)
    body["time_zone"] = place.time_zone
    if body["price"]:
        body["price"] = body["price"] | {"currency": place.currency}
    if body["deposit"]:
        body["deposit"] = {"amount": body["deposit"], "currency": place.currency}
    return Thing(item["key"], item["owner"], item["corner"], item["picture"], body)


@cache
def neighbourhood() -> Neighbourhood:
    """The demo's words, read once."""
    text = resources.files("commonry.demo").joinpath("neighbourhood.json").read_bytes()
    return msgspec.json.decode(text, type=Neighbourhood)


def sign_ins() -> list[tuple[str, str, str]]:
    """The three sign-ins to show: role, e-mail, password."""
    return [(m.demo, m.email, m.password) for m in neighbourhood().members if m.demo and m.password]
