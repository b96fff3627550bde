"""A page for each problem type, so that the `type` of every problem document is an address that says what it means."""

import importlib

from commonry.gateway.pages import page_reply
from commonry.kit.asgi import Reply, Scope
from commonry.kit.problems import NotFound, Problem

importlib.import_module("commonry.contracts.problems")  # a problem is known once its class is made


async def catalogue(_: Scope) -> Reply:
    """All problem types, by status."""
    return page_reply("problems.html", problems=[_told(p) for p in sorted(_public(), key=lambda p: (p.status, p.slug))])


async def page(scope: Scope) -> Reply:
    """One problem type."""
    slug = scope["path"].removeprefix("/problems/")
    if (kind := Problem.known.get(slug)) is None:
        raise NotFound
    return page_reply("problem.html", problem=_told(kind))


def _public() -> list[type[Problem]]:
    return list(Problem.known.values())


def _told(kind: type[Problem]) -> dict[str, str | int]:
    words = " ".join((kind.__doc__ or "").split())
    title = kind.slug.replace("-", " ").capitalize()
    return {"slug": kind.slug, "title": title, "status": kind.status, "words": words}
