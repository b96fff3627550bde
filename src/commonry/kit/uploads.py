"""Pictures in a request: the files of a multipart form, and what is said beside them."""

from typing import Any

from litestar.datastructures import UploadFile
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema

from commonry.kit.pictures import MOST_BYTES
from commonry.kit.problems import Mistake, NotValid, TooLarge, WrongMediaType
from commonry.kit.refusals import Req

MOST_AT_ONCE = 12
LARGEST_BODY = 64 * 2**20
FIELD = "photo"


async def pictures_in(request: Req) -> list[tuple[bytes, str]]:
    """The files called `photo`, each with the `alt` of its place. Raises `WrongMediaType`, `TooLarge`, `NotValid`."""
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
    return list(zip(contents, said + [""] * len(contents), strict=False))


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
