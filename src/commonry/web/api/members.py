"""A member as others see them: their things, and what others say of them."""

from uuid import UUID

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from commonry.contracts.bookings import Answers, Review
from commonry.contracts.inventory import Item
from commonry.contracts.users import PublicMember
from commonry.kit.pages import Page
from commonry.kit.problems import NotFound, Unavailable
from commonry.web.visit import Visit

SHOWN = 24


@get("/members/{member_id:uuid}", include_in_schema=False)
async def member_page(visit: Visit, member_id: UUID) -> Response[str]:
    member = (await visit.named(member_id)).get(member_id)
    if member is None:
        raise NotFound("There is no such member, or they have left.")
    query = {"owner": str(member_id), "sort": "newest", "limit": SHOWN}
    items = (await visit.ask("inventory", "GET", "/api/v1/items", Page[Item], query=query)).data
    reviews = await _about(visit, member)
    return await visit.page(
        "member.html",
        member=member,
        items=items,
        reviews=reviews,
        answers=await _answers(visit, member),
        stars=sum(r.rating for r in reviews) / len(reviews) if reviews else None,
        authors=await visit.named(*(r.author_id for r in reviews)),
    )


async def _answers(visit: Visit, member: PublicMember) -> Answers | None:
    try:
        return await visit.ask("bookings", "GET", f"/api/v1/members/{member.id}/answers", Answers)
    except Unavailable:
        return None


async def _about(visit: Visit, member: PublicMember) -> list[Review]:
    try:
        path = f"/api/v1/members/{member.id}/reviews"
        return (await visit.ask("bookings", "GET", path, Page[Review], query={"limit": 50})).data
    except Unavailable:
        return []


routes: list[HTTPRouteHandler] = [member_page]
