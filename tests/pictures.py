"""Pictures to send, and a form to send them in."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from PIL import Image

BOUNDARY = "a-line-that-is-in-no-picture"
MULTIPART = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def picture(
    width: int = 900,
    height: int = 600,
    colour: Any = (200, 40, 40),
    *,
    kind: str = "JPEG",
    mode: str = "RGB",
    **more: Any,
) -> bytes:
    """A picture of one colour, with a darker corner above on the left, which tells how it is turned."""
    made = Image.new(mode, (width, height), colour)
    made.paste((0, 0, 0) if mode == "RGB" else 0, (0, 0, width // 4, height // 4))
    into = BytesIO()
    made.save(into, kind, **more)
    return into.getvalue()


def form(pictures: Sequence[bytes], alts: Sequence[str] = (), *, name: str = "photo", file: str = "IMG.jpg") -> bytes:
    """A multipart body."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n\r\n'.encode()
        + one
        + b"\r\n"
        for one in pictures
    ]
    parts += [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="alt"\r\n\r\n{alt}\r\n'.encode() for alt in alts]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
