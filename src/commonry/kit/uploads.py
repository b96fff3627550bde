"""Pictures in a request: the files of a multipart form, and what is said beside them."""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from litestar.datastructures import UploadFile
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema

from commonry.kit.pictures import MOST_BYTES, Album, NotAPicture, Picture, Sent
from commonry.kit.problems import Mistake, NotValid, TooLarge, WrongMediaType
from commonry.kit.refusals import Req

MOST_AT_ONCE = 12
LARGEST_BODY = 64 * 2**20
FIELD = "photo"


async def pictures_in(request: Req, *about: UUID) -> list[Sent]:
    """The files called `photo`, each with the `alt` of its place. Raises `WrongMediaType`, `TooLarge`, `NotValid`.

    A picture's name is made, with a key, of its bytes and of what it is `about`: not to be guessed, and the same again
    for the same picture.
    """
    if request.content_type[0] != "multipart/form-data":
        raise WrongMediaType("Send pictures as multipart/form-data, each as a file called photo.")
    sent: Any = await request.form()
    files = [value for value in sent.getall(FIELD, []) if isinstance(value, UploadFile)]
    if not 1 <= len(files) <= MOST_AT_ONCE:
        raise NotValid(Mistake(f"body.{FIELD}", f"must be 1 to {MOST_AT_ONCE} files; there are {len(files)}"))
    said = [str(value).replace("\0", "").strip()[:300] for value in sent.getall("alt", [])]
    contents = [await file.read() for file in files]
    if max(map(len, contents)) > MOST_BYTES:
        raise TooLarge(f"A picture may have at most {MOST_BYTES // 2**20} MiB: make it smaller.")
    words = said + [""] * len(contents)
    return [Sent(_named(request, content, about), content, words[n]) for n, content in enumerate(contents)]


def _named(request: Req, content: bytes, about: tuple[UUID, ...]) -> UUID:
    secret = request.app.state.door.secret_for("photos")
    whole = b"".join(one.bytes for one in about) + hashlib.sha256(content).digest()
    return UUID(bytes=hmac.digest(secret, whole, "sha256")[:16], version=4)


async def kept(album: Album, sent: Sequence[Sent]) -> list[Picture]:
    """All of them in the album. Raises `NotValid`, which names each that is no picture, and `Unavailable`."""
    made: list[Picture] = []
    mistakes: list[Mistake] = []
    for number, picture in enumerate(sent):
        try:
            made.append(await album.keep(str(picture.name), picture.content))
        except NotAPicture as e:
            mistakes.append(Mistake(f"{FIELD}.{number}", str(e)))
    if mistakes:
        raise NotValid(*mistakes)
    return made


_FORM = Schema(
    type=OpenAPIType.OBJECT,
    properties={
        FIELD: Schema(
            type=OpenAPIType.STRING,
            content_media_type="image/*",
            description=f"JPEG, PNG or WebP; up to {MOST_AT_ONCE} of them.",
        ),
        "alt": Schema(
            type=OpenAPIType.STRING,
            max_length=300,
            description="What each of them shows, in the same order.",
        ),
    },
    required=[FIELD],
)


class TakesPictures(Operation):
    """Documents the body, which the framework cannot see: the handler reads it itself."""

    def __post_init__(self) -> None:
        content: Any = {"multipart/form-data": OpenAPIMediaType(_FORM)}
        self.request_body = RequestBody(content, required=True)
