"""The first page, which is also the search: what is shared here, found by words, place, dates and price.

Its address says all that was asked for, so it can be sent to somebody else.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from commonry.contracts.inventory import Availability, Category, Item
from commonry.contracts.money import EXPONENTS
from commonry.contracts.words import Period
from commonry.kit import clock
from commonry.kit.pages import Page
from commonry.kit.problems import NotValid, Problem, Unavailable
from commonry.web import words
from commonry.web.places import Place, Places
from commonry.web.rules import dates, maps, months
from commonry.web.rules.dates import Chosen
from commonry.web.visit import Visit, query_of

SHOWN = 24
DAYS, BEFORE = 14, timedelta(days=3)
"""How many days the calendar view shows, and from how long before those that were chosen."""
ON_MAP = 100
NEAREST = (1, -1, 2, -2, 3, -3, 4, 7, 14)
"""Where nothing is free: by how many days others are tried, the most welcome first."""
SORTS = {"": "Best match", "distance": "Nearest", "price": "Cheapest", "newest": "Newest"}
DISTANCES = {"2": "2 km", "5": "5 km", "10": "10 km", "25": "25 km", "100": "100 km"}
VIEWS = {"list": ("List", "layout-grid"), "calendar": ("Calendar", "calendar-days"), "map": ("Map", "map")}
SAID = ("q", "category", "place", "near", "radius_km", "from", "to", "from_time", "to_time", "max", "sort", "view")


class Asked(NamedTuple):
    """What the address says: fields as they were typed, and as inventory is asked."""

    said: dict[str, str]
    chosen: Chosen
    period: Period | None
    place: Place | None
    trouble: str

    def query(self, **more: Any) -> dict[str, Any]:
        """For `GET /items`."""
        said, middle = self.said, self.place
        near = said.get("near") or (f"{middle.lat},{middle.lon}" if middle else None)
        return {
            "q": said.get("q") or None,
            "category": said.get("category") or None,
            "near": near,
            "radius_km": said.get("radius_km") or ("25" if near else None),
            "from": self.period.from_.isoformat() if self.period else None,
            "to": self.period.to.isoformat() if self.period else None,
            "max_price": more.pop("most", None),
            "sort": said.get("sort") or None,
            **more,
        }

    def __bool__(self) -> bool:
        return any(self.said.get(k) for k in SAID if k not in ("view", "sort"))


@get(["/"], include_in_schema=False)
async def home(visit: Visit, places: Places) -> Response[str]:
    params = dict(visit.request.query_params)
    asked = await _asked(visit, places, params)
    view = asked.said["view"] if asked.said.get("view") in VIEWS else "list"
    told: dict[str, Any] = {
        "here": "search", "asked": asked, "said": asked.said, "view": view, "views": VIEWS, "sorts": SORTS,
        "distances": DISTANCES, "places": [], "categories": [], "items": [], "more": None, "trouble": asked.trouble,
        "away": False, "instead": [], "drawn": None, "credit": visit.settings.tiles_credit, "strips": [],
        "item_query": query_of(dates.query(asked.chosen)),
    }  # fmt: skip
    try:
        told["categories"] = (await visit.ask("inventory", "GET", "/api/v1/categories", Page[Category])).data
        told["places"] = await places.all()
        found = await _found(visit, asked, params.get("cursor"), ON_MAP if view == "map" else SHOWN)
    except NotValid as e:
        told["trouble"] = told["trouble"] or _plainly(e)
        return await visit.page("search.html", status=422, **told)
    except Unavailable:
        told["away"] = True
        return await visit.page("search.html", status=503, **told)
    told["items"] = found.data
    told["more"] = visit.with_query(cursor=found.next_cursor) if found.next_cursor else None
    if not found.data and asked:
        told["instead"] = await _instead(visit, asked)
    told |= await _drawn(visit, asked, view, found.data)
    return await visit.page("search.html", **told)


async def _drawn(visit: Visit, asked: Asked, view: str, items: Sequence[Item]) -> dict[str, Any]:
    """What this view of the results needs besides them."""
    if view == "map":
        places = [(i.location.lat, i.location.lon) for i in items]
        return {"drawn": maps.drawn(places, visit.settings.tiles_url)}
    return {"strips": await _strips(visit, asked, items)} if view == "calendar" else {}


async def _strips(visit: Visit, asked: Asked, items: Sequence[Item]) -> list[list[months.Day]]:
    """The next days of each result, around those that were chosen; an empty one where the calendar does not answer."""
    now = clock.now()
    today = now.astimezone(ZoneInfo(visit.settings.time_zone)).date()
    first = max(today, asked.chosen.since - BEFORE) if asked.chosen.since else today

    async def strip(item: Item) -> list[months.Day]:
        since = max(now, datetime.combine(first, time(0), ZoneInfo(item.time_zone)))
        query = {"from": since.isoformat(), "to": (since + timedelta(days=DAYS + 1)).isoformat()}
        try:
            path = f"/api/v1/items/{item.id}/availability"
            found = await visit.ask("inventory", "GET", path, Availability, query=query)
        except Problem:
            return []
        return months.strip(first, DAYS, today, item.time_zone, found.free)

    return await asyncio.gather(*(strip(item) for item in items))


async def _asked(visit: Visit, places: Places, params: Mapping[str, str]) -> Asked:
    said = {k: params[k].strip()[:200] for k in SAID if params.get(k, "").strip()}
    chosen, trouble, period, place = dates.chosen(said), "", None, None
    if chosen.since or chosen.until:
        made = dates.period(chosen, visit.settings.time_zone)
        period, trouble = (made, "") if isinstance(made, Period) else (None, made)
    if (name := said.get("place")) and not said.get("near"):
        place = await places.called(name)
        if place is None:
            trouble = f"We know no place called “{name}” here."
    return Asked(said, chosen, period, place, trouble)


async def _found(visit: Visit, asked: Asked, cursor: str | None, limit: int, **more: Any) -> Page[Item]:
    most = None
    if price := asked.said.get("max"):
        try:
            most = int(float(price.replace(",", ".")) * 10 ** EXPONENTS[visit.settings.currency])
        except (ValueError, OverflowError):
            most = None
    query = asked.query(limit=limit, cursor=cursor, most=most, **more)
    return await visit.ask("inventory", "GET", "/api/v1/items", Page[Item], query=query)


async def _instead(visit: Visit, asked: Asked) -> list[tuple[str, str, int]]:
    """What would find something: (words, address, how many, at most ten) for each thing one could let go of."""
    relaxed = {
        "max": "at any price",
        "radius_km": "further away",
        "category": "in any category",
        "from": "on any dates",
        "place": "anywhere",
        "near": "anywhere",
        "q": "whatever it is called",
    }
    found = await _on_other_days(visit, asked)
    for field, said_as in relaxed.items():
        if field not in asked.said:
            continue
        gone = {"from", "to", "from_time", "to_time"} if field == "from" else {field}
        gone |= {"radius_km", "place", "near"} if field in ("place", "near") else set()
        said = {k: v for k, v in asked.said.items() if k not in gone}
        if field == "radius_km":
            said["radius_km"] = "100"
        freer = asked._replace(
            said=said,
            period=None if "from" in gone else asked.period,
            place=None if "place" in gone else asked.place,
        )
        if number := await _number(visit, freer):
            found.append((said_as, f"/?{query_of(said)}", number))
    return found


async def _on_other_days(visit: Visit, asked: Asked) -> list[tuple[str, str, int]]:
    """The nearest days on which there is something, in the same form; none without dates."""
    today = clock.now().astimezone(ZoneInfo(visit.settings.time_zone)).date()
    if asked.period is None or asked.chosen.since is None:
        return []
    others = [dates.shifted(asked.chosen, days) for days in NEAREST]
    others = [one for one in others if one.since and one.since > today]
    freer = [asked._replace(chosen=one, period=_instants(one, visit)) for one in others]
    numbers = await asyncio.gather(*(_number(visit, one) for one in freer))
    for one, number in zip(others, numbers, strict=True):
        if number:
            return [(f"on {_said(one)}", f"/?{query_of({**asked.said, **dates.query(one)})}", number)]
    return []


def _said(chosen: Chosen) -> str:
    """`Sat 5 Dec – Mon 7 Dec`, or one day."""
    return " – ".join(dict.fromkeys(words.day(at) for at in (chosen.since, chosen.until) if at))


def _instants(chosen: Chosen, visit: Visit) -> Period | None:
    made = dates.period(chosen, visit.settings.time_zone)
    return made if isinstance(made, Period) else None


async def _number(visit: Visit, asked: Asked) -> int:
    """How many it would find, at most ten. Nobody asked for it: it does not count as a search."""
    return len((await _found(visit, asked, None, 10, counted="false")).data)


def _plainly(refused: NotValid) -> str:
    return f"That search could not be understood: {refused.detail}"


routes: list[HTTPRouteHandler] = [home]
