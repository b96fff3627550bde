"""A page for each thing that can go wrong: what happened, in words that help, and where to go from here.

Signing in is asked for in place of a refusal, and leads back to where somebody was going.
"""

from typing import Any
from urllib.parse import urlencode

from litestar import Response

from commonry.kit.problems import Problem
from commonry.kit.refusals import Req
from commonry.web import paper
from commonry.web.visit import inside

HEADINGS = {
    400: "That did not arrive as it should",
    403: "This is not yours to see",
    404: "There is nothing here",
    405: "That is not possible here",
    409: "That is not possible now",
    413: "That is too large",
    415: "That is a kind of file we cannot take",
    422: "Something in that was not right",
    429: "That was a little fast",
    500: "Something broke on our side",
    503: "A part of Commonry is away",
}


def refused(request: Req, problem: Problem) -> Response[Any]:
    """The page for a problem; to who is signed out and must not be, the way to the sign-in page."""
    if problem.status == 401:
        address = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
        back = address if request.method == "GET" else inside(_referring(request))
        headers = {"location": f"/login?{urlencode({'next': back})}", "cache-control": "no-store"}
        return Response(None, status_code=303, headers=headers)
    told = {
        "visit": None,
        "me": None,
        "notice": None,
        "heading": HEADINGS.get(problem.status, "That did not work"),
        "detail": problem.detail,
        "status": problem.status,
        "again": problem.status in (429, 500, 503) and request.method == "GET",
    }
    made: Response[Any] = paper.page("problem.html", told, problem.status)
    made.headers.update(problem.headers())
    return made


def _referring(request: Req) -> str | None:
    said = request.headers.get("referer", "")
    _, _, rest = said.partition("://")
    host, slash, path = rest.partition("/")
    return slash + path if host == request.headers.get("host") else None
