"""Routes of analytics: each mart as JSON in pages, as CSV, or as Parquet, with the moment it is as of. For managers."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter
from msgspec import UNSET, Struct, UnsetType

from commonry.contracts.analytics import Plot, Plots
from commonry.contracts.surroundings import Surroundings
from commonry.kit import service
from commonry.kit.auth import Caller
from commonry.kit.pages import Cursor, Limit, decode, encode
from commonry.kit.problems import NotAllowed, NotFound
from commonry.kit.service import Service
from commonry.warehouse import jobs, serving
from commonry.warehouse.folder import Folder
from commonry.warehouse.insights.figures import figures

SIGNED_IN: list[dict[str, list[str]]] = [{"bearer": []}]
AT_A_TIME = 2
"""Questions: each opens the database anew, and takes its memory."""
FILES = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}
Form = Annotated[
    Literal["json", "csv", "parquet"],
    Parameter(query="format", description="`json` in pages; `csv` and `parquet` are all of it, as a file."),
]


class Numbers(Struct):
    """Some rows of a mart. All that was committed before `as_of` is in them."""

    as_of: datetime
    data: list[dict[str, Any]]
    next_cursor: str | None = None
    totals: dict[str, Any] | UnsetType = UNSET
    """With the overview: all of it in one row."""


class Analytics:
    """Answers from the current build, a few questions at a time."""

    def __init__(self, folder: Folder) -> None:
        self._folder, self._turns = folder, asyncio.Semaphore(AT_A_TIME)

    async def page(self, mart: str, limit: int, cursor: str | None) -> Numbers:
        """Raises `NotFound` before the first build, `NotValid`."""
        name = f"mart-{mart}"
        (first,) = decode(name, cursor, tuple[int]) or (0,)
        found = await self._asked(serving.rows, mart, first, limit + 1)
        shown = found.rows[:limit]
        following = encode(name, (first + limit,)) if len(found.rows) > limit else None
        totals = (await self._asked(serving.rows, "totals", 0, 1)).rows[0] if mart == "overview" else UNSET
        return Numbers(found.as_of, shown, following, totals)

    async def file(self, mart: str, form: serving.Form) -> bytes:
        """All of it. Raises `NotFound` before the first build."""
        return await self._asked(serving.whole, mart, form)

    async def plots(self) -> Plots:
        """Every insight of the last twelve months. Raises `NotFound` before the first build."""
        marts, as_of = await self._asked(serving.everything)
        shown = figures(marts, as_of.date().replace(day=1))
        return Plots(as_of=as_of, data=[Plot(**f._asdict()) for f in shown])

    async def _asked(self, question: Any, *about: Any) -> Any:
        async with self._turns:
            try:
                return await asyncio.to_thread(question, self._folder, *about)
            except serving.NoBuild as e:
                raise NotFound("There are no numbers yet: the warehouse has not been built.") from e
            except ModuleNotFoundError as e:
                raise NotFound("This platform was installed without its warehouse.") from e


@get(
    "/api/v1/analytics/plots",
    summary="Plots of all of it (managers)",
    description="Each insight as an SVG drawing with its table, of the last twelve months.",
    operation_id="analytics_plots",
    tags=["analytics"],
    security=SIGNED_IN,
)
async def plots(caller: Caller, analytics: Analytics) -> Plots:
    if not caller.manages:
        raise NotAllowed
    return await analytics.plots()


def _route(mart: str) -> HTTPRouteHandler:
    words = serving.MARTS[mart].words.partition(". ")[0].rstrip(".")

    @get(
        f"/api/v1/analytics/{mart}",
        summary=f"{mart.capitalize()} (managers)",
        description=words,
        operation_id=f"analytics_{mart}",
        tags=["analytics"],
        security=SIGNED_IN,
    )
    async def read(
        caller: Caller, analytics: Analytics, limit: Limit = 20, cursor: Cursor = None, form: Form = "json"
    ) -> Response[Numbers]:
        if not caller.manages:
            raise NotAllowed
        if form == "json":
            return Response(await analytics.page(mart, limit, cursor))
        named = {"content-disposition": f'attachment; filename="{mart}.{form}"'}
        content: Any = await analytics.file(mart, form)
        return Response(content, media_type=FILES[form], headers=named)

    return read


ROUTES = [plots, *(_route(mart) for mart in serving.MARTS)]


def build(around: Surroundings) -> Service:
    """The service in these surroundings. It has no PostgreSQL: what it answers from is in the data folder."""
    folder = Folder(Path(around.settings.data))
    offers = {"analytics": Analytics(folder)}
    made = service.build("analytics", ROUTES, door=around.door, offers=offers, loops=jobs.loops(around.settings))
    return made._replace(watch=jobs.watch(folder))
