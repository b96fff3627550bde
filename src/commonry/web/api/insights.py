"""What sharing achieves, for managers: plots from the warehouse, each with its table."""

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from markupsafe import Markup

from commonry.contracts.analytics import Plot, Plots
from commonry.kit.problems import NotFound, Unavailable
from commonry.web import paper
from commonry.web.visit import Visit


@get("/insights", include_in_schema=False)
async def insights(visit: Visit) -> Response[str]:
    visit.managing()
    found, trouble = None, ""
    try:
        if visit.around.peers.analytics is None:
            raise NotFound("This platform has no warehouse.")
        found = await visit.ask("analytics", "GET", "/api/v1/analytics/plots", Plots, timeout=15)
    except (NotFound, Unavailable) as e:
        trouble = e.detail
    plots = [(p, drawn(p)) for p in found.data if p.rows] if found else []
    return await visit.page("insights.html", here="desk", tab="insights", plots=plots, found=found, trouble=trouble)


@get("/insights/{name:str}", include_in_schema=False)
async def table(visit: Visit, name: str) -> Response[bytes]:
    """All that an insight is made of, `name` being the mart's and `.csv`."""
    visit.managing()
    mart, _, ending = name.rpartition(".")
    if ending != "csv" or not mart.isalpha() or visit.around.peers.analytics is None:
        raise NotFound
    body = await visit.ask("analytics", "GET", f"/api/v1/analytics/{mart}", bytes, query={"format": "csv"}, timeout=15)
    return paper.table(body, name)


def drawn(plot: Plot) -> Markup:
    """The drawing, to stand in a page. The analytics service has escaped all that is in it."""
    return Markup(plot.svg)  # noqa: S704 why: made by our own service, of nothing but shapes and escaped words


routes: list[HTTPRouteHandler] = [insights, table]
