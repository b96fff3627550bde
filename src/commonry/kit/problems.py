"""Errors that keep their meaning across the wire: RFC 9457 problem documents, both ways.

A problem is raised beside the SQL that found it, becomes a document at the service's edge, and is raised again, as
the same class, by the typed client two services away. Its slug is its identity; its docstring is its documentation.
"""

import re
from typing import Any, ClassVar

import msgspec

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "/problems/"


class Mistake(msgspec.Struct, frozen=True):
    """One thing wrong with a request: where it is (`price.amount`, `query.limit`) and what to do about it."""

    at: str
    message: str


class Problem(Exception):
    """Anything a caller is told went wrong. Subclasses state `status` and say in one docstring what happened."""

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "problem"
    known: ClassVar[dict[str, type["Problem"]]] = {}

    def __init_subclass__(cls) -> None:
        cls.slug = re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()
        cls.known[cls.slug] = cls

    def __init__(self, detail: str | None = None, *, retry_after: int | None = None, **extra: Any) -> None:
        self.detail = detail or (self.__doc__ or "").split("\n")[0]
        self.retry_after = retry_after
        self.extra = extra
        super().__init__(self.detail)

    @property
    def title(self) -> str:
        """The slug in words: `not-found` → `Not found`."""
        return self.slug.replace("-", " ").capitalize()

    def document(self) -> dict[str, Any]:
        """The fields of RFC 9457, then whatever the raiser added."""
        fixed = {"type": TYPE_PREFIX + self.slug, "title": self.title, "status": self.status, "detail": self.detail}
        return fixed | ({"retry_after": self.retry_after} if self.retry_after is not None else {}) | self.extra

    def headers(self) -> dict[str, str]:
        """`Retry-After` where the caller may try again, and the challenge that HTTP asks of a 401."""
        wait = {"retry-after": str(self.retry_after)} if self.retry_after is not None else {}
        return wait | ({"www-authenticate": "Bearer"} if self.status == 401 else {})


class NotValid(Problem):
    """The request has mistakes; `errors` lists all of them."""

    status = 422

    def __init__(self, *mistakes: Mistake, detail: str | None = None, **extra: Any) -> None:
        self.mistakes = mistakes
        listed: list[Any] = extra.pop("errors", []) if not mistakes else [msgspec.to_builtins(m) for m in mistakes]
        super().__init__(detail or _summary(listed), errors=listed, **extra)


def _summary(listed: list[Any]) -> str:
    first = f"{listed[0]['at']}: {listed[0]['message']}" if listed else "The request is not valid."
    return first if len(listed) < 2 else f"{first} (and {len(listed) - 1} more)"


class BadRequest(Problem):
    """This is not HTTP as it has to be: nothing of it was looked at."""

    status = 400


class NotSignedIn(Problem):
    """Sign in first: send `Authorization: Bearer …` with a token from `/auth/login`."""

    status = 401


class NotAllowed(Problem):
    """You are signed in, but this is not yours to do."""

    status = 403


class NotFound(Problem):
    """There is nothing here, or nothing that you may know of."""

    status = 404


class MethodNotAllowed(Problem):
    """This address exists, but not for that method."""

    status = 405


class Conflict(Problem):
    """The present state of things forbids it."""

    status = 409


class Changed(Problem):
    """Someone changed it since you read it: read it again, then repeat your change."""

    status = 412


class TooLarge(Problem):
    """The body is larger than this address takes."""

    status = 413


class WrongMediaType(Problem):
    """The body's Content-Type is not one that this address understands."""

    status = 415


class IdempotencyKeyReused(Problem):
    """This Idempotency-Key was used before with another body: take a new key for another request."""

    status = 422


class TooManyRequests(Problem):
    """Slow down: try again after the seconds in `Retry-After`."""

    status = 429


class HeadersTooLarge(Problem):
    """The request has more header fields, or longer ones, than we read."""

    status = 431


class TooSlow(Problem):
    """The request did not arrive in time."""

    status = 408


class InternalError(Problem):
    """Something broke on our side. It is logged under the request's id."""

    status = 500


class Unavailable(Problem):
    """A part of the platform does not answer right now: try again after the seconds in `Retry-After`."""

    status = 503

    def __init__(self, detail: str | None = None, *, retry_after: int | None = 2, **extra: Any) -> None:
        super().__init__(detail, retry_after=retry_after, **extra)


class NotCached(Problem):
    """Only an answer from the cache was wanted, and there is none."""

    status = 504


class Overloaded(Unavailable):
    """Too much is being asked right now: try again after the seconds in `Retry-After`."""

    def __init__(self, detail: str | None = None, *, retry_after: int | None = 1, **extra: Any) -> None:
        super().__init__(detail, retry_after=retry_after, **extra)


class _Document(msgspec.Struct):
    type: str = ""
    status: int = 500
    detail: str = ""
    retry_after: int | None = None


def from_answer(status: int, body: bytes) -> Problem:
    """The problem in another service's answer, as its own class; an unknown one becomes the nearest general class."""
    try:
        return from_document(msgspec.json.decode(body, type=dict[str, Any]))
    except (msgspec.DecodeError, msgspec.ValidationError):
        return _nearest(status)(f"The service answered {status}.")


def from_document(document: dict[str, Any]) -> Problem:
    """The problem that `document()` made this of. Raises `msgspec.ValidationError` for something else."""
    said = msgspec.convert(document, _Document)
    made = Problem.known.get(said.type.rsplit("/", 1)[-1], _nearest(said.status))
    kept = {k: v for k, v in document.items() if k not in {"type", "title", "status", "detail", "retry_after"}}
    if made is NotValid:
        return NotValid(detail=said.detail, **kept)
    return made(said.detail, retry_after=said.retry_after, **kept)


def _nearest(status: int) -> type[Problem]:
    general = {c.status: c for c in (NotSignedIn, NotAllowed, NotFound, Conflict, Changed, TooLarge, WrongMediaType)}
    return general.get(status, Unavailable if status >= 500 else Conflict)
