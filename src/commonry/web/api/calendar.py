"""An item's calendar for its owner: when it is lent, and days they keep for themselves."""

from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from commonry.contracts.inventory import Blackout, Item, NewBlackout
from commonry.kit.pages import Page
from commonry.kit.problems import NotValid
from commonry.web.api.item import month_of
from commonry.web.forms import Form, filled_in
from commonry.web.owning import own
from commonry.web.visit import Visit


@get("/items/{item_id:uuid}/calendar", include_in_schema=False)
async def calendar_page(visit: Visit, item_id: UUID) -> Response[str]:
    return await _calendar(visit, await own(visit, item_id), None)


async def _calendar(visit: Visit, item: Item, form: Form | None, status: int = 200) -> Response[str]:
    closed = await visit.ask(
        "inventory", "GET", f"/api/v1/items/{item.id}/blackouts", Page[Blackout], query={"limit": 100}
    )
    return await visit.page(
        "calendar.html",
        status=status,
        here="lending",
        item=item,
        calendar=await month_of(visit, item, visit.request.query_params.get("month", "")),
        closed=closed.data,
        form=form,
    )


@post("/items/{item_id:uuid}/calendar", include_in_schema=False, status_code=303)
async def block(visit: Visit, item_id: UUID) -> Response[str] | Response[None]:
    form = await filled_in(visit)
    item = await own(visit, item_id)
    here = f"/items/{item_id}/calendar"
    if opened := form.id("open"):
        await visit.ask("inventory", "DELETE", f"/api/v1/items/{item_id}/blackouts/{opened}", type(None))
        return visit.go(here, "unblocked")
    first, last = form.day("from"), form.day("to")
    if first is None:
        form.wrong("from", "Choose the first day.")
    elif (last or first) < first:
        form.wrong("to", "The last day comes after the first.")
    else:
        asked = _whole_days(first, last or first, item.time_zone, form.text("note")[:200])
        try:
            await visit.ask("inventory", "POST", f"/api/v1/items/{item_id}/blackouts", Blackout, asked)
        except NotValid as e:
            form.wrong("", e.detail)
        else:
            return visit.go(here, "blocked")
    return await _calendar(visit, item, form, 422)


def _whole_days(first: date, last: date, zone: str, note: str) -> NewBlackout:
    place = ZoneInfo(zone)
    until = datetime.combine(last + timedelta(days=1), time(0), place)
    return NewBlackout(from_=datetime.combine(first, time(0), place), to=until, note=note)


routes: list[HTTPRouteHandler] = [calendar_page, block]
