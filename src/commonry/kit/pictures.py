"""Pictures that people send: found out from their bytes, written anew in three sizes, and kept as files.

Nothing of what was sent is kept: not its name, not where and when it was taken (EXIF), not what else may hide in it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any, NamedTuple
from uuid import UUID

from PIL import Image, ImageCms, ImageOps

from commonry.kit.files import Files

FORMATS = ("JPEG", "PNG", "WEBP")
EDGES = (400, 800, 1600)
"""Pixels of the longer edge, of each size; a smaller picture is not enlarged."""
MOST_PIXELS = 60_000_000
MOST_BYTES = 20 * 2**20
QUALITY = 80
AT_ONCE = 2
"""How many are written anew at a time: each takes a core for a third of a second, and some 200 MB."""
YOUNG, TOGETHER = timedelta(days=1), 500
"""How long a file may wait for somebody to know it; and how many are asked for at once."""
NOT_ONE = "is no picture that can be read: send JPEG, PNG or WebP"
TOO_MANY_PIXELS = f"has more than {MOST_PIXELS // 10**6} million pixels: make it smaller"


class Sent(NamedTuple):
    """A picture that was sent, the words beside it, and the name that it is kept under."""

    name: UUID
    content: bytes
    words: str


class NotAPicture(Exception):
    """What is wrong with it, in words that follow its name."""


class Picture(NamedTuple):
    """Width and height of the largest size, and each size as WebP: edge → bytes."""

    width: int
    height: int
    sizes: dict[int, bytes]


def remade(content: bytes) -> Picture:
    """A picture in its three sizes, upright, in sRGB, on white where one could see through. Raises `NotAPicture`."""
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise NotAPicture(TOO_MANY_PIXELS)
            opened.draft("RGB", (EDGES[-1], EDGES[-1]))  # a large JPEG is decoded smaller at once
            picture = _upright(opened)
    except NotAPicture:
        raise
    except Image.DecompressionBombError as e:
        raise NotAPicture(TOO_MANY_PIXELS) from e
    except Exception as e:  # why: decoders raise whatever they like over bytes that are made to hurt
        raise NotAPicture(NOT_ONE) from e
    picture.thumbnail((EDGES[-1], EDGES[-1]), Image.Resampling.LANCZOS)
    largest, sizes = picture.size, {EDGES[-1]: _webp(picture)}
    for before, edge in zip(EDGES[::-1], EDGES[-2::-1], strict=False):
        is_smaller = max(picture.size) > edge
        picture.thumbnail((edge, edge), Image.Resampling.LANCZOS)
        sizes[edge] = _webp(picture) if is_smaller else sizes[before]
    return Picture(*largest, sizes)


def _upright(opened: Any) -> Image.Image:
    """Without anything but its pixels."""
    profile = opened.info.get("icc_profile")
    turned = ImageOps.exif_transpose(opened)
    if turned.has_transparency_data:
        seen = turned.convert("RGBA")
        turned = Image.new("RGB", seen.size, "white")
        turned.paste(seen, mask=seen.getchannel("A"))
    elif profile and turned.mode == "RGB":
        turned = _in_srgb(turned, profile)
    plain = turned.convert("RGB")
    plain.info = {}
    return plain


def _in_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """As its colours were meant; as they stand where the profile cannot be read."""
    try:
        theirs = ImageCms.ImageCmsProfile(BytesIO(profile))
        made = ImageCms.profileToProfile(picture, theirs, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return picture
    return made or picture


_SRGB: Any = vars(ImageCms)["createProfile"]("sRGB")  # its type is half unknown


def _webp(picture: Image.Image) -> bytes:
    made = BytesIO()
    picture.save(made, "WEBP", quality=QUALITY, method=4)
    return made.getvalue()


class Album:
    """Pictures kept as files in one folder of `files`, each under a name of ours."""

    def __init__(self, files: Files, folder: str) -> None:
        self.files, self.folder = files, folder
        self._room = asyncio.Semaphore(AT_ONCE)

    async def keep(self, name: str, content: bytes) -> Picture:
        """Write a picture anew, and keep all its sizes. Raises `NotAPicture`, `Unavailable`."""
        async with self._room:
            picture = await asyncio.to_thread(remade, content)
        for edge, made in picture.sizes.items():
            await self.files.put(self._file(name, edge), made)
        return picture

    async def read(self, name: str, edge: int) -> bytes | None:
        """One of its sizes, None if it is not there. Raises `Unavailable`."""
        return await self.files.get(self._file(name, edge)) if edge in EDGES else None

    async def remove(self, name: str) -> None:
        """All its sizes. Raises `Unavailable`."""
        await self.files.remove(self._file(name, edge) for edge in EDGES)

    async def all(self) -> AsyncIterator[tuple[str, datetime]]:
        """Every picture there is, once for each of its sizes, and since when. Raises `Unavailable`."""
        async for kept in self.files.all(self.folder):
            yield kept.name.split("/")[-2], kept.at

    async def remove_strays(self, known: Callable[[Sequence[UUID]], Awaitable[set[UUID]]]) -> None:
        """Remove what nobody knows and was not put there just now. `known`: which of these are somebody's."""
        some: set[UUID] = set()
        async for name, at in self.all():
            if datetime.now(UTC) - at > YOUNG:
                some.add(UUID(name))
            if len(some) >= TOGETHER:
                await self._remove_but(await known(list(some)), some)
                some = set()
        await self._remove_but(await known(list(some)), some)

    async def _remove_but(self, known: set[UUID], some: set[UUID]) -> None:
        for stray in some - known:
            await self.remove(str(stray))

    def _file(self, name: str, edge: int) -> str:
        return f"{self.folder}/{name}/{edge}.webp"
