"""Pictures that people send: what is kept of them, and what is refused."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from commonry.kit.files import Files
from commonry.kit.pictures import EDGES, Album, NotAPicture, remade
from tests.pictures import picture

PLACE = 0x8825
"""EXIF's tag of the GPS data."""


def seen(made: bytes) -> Image.Image:
    opened = Image.open(BytesIO(made))
    opened.load()
    return opened


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_three_sizes_as_webp(kind: str) -> None:
    made = remade(picture(3000, 2000, kind=kind))
    assert (made.width, made.height) == (1600, 1067)
    sizes = {edge: seen(made.sizes[edge]) for edge in EDGES}
    assert {edge: one.size for edge, one in sizes.items()} == {400: (400, 267), 800: (800, 534), 1600: (1600, 1067)}
    assert {one.format for one in sizes.values()} == {"WEBP"}


def test_a_small_one_is_not_enlarged() -> None:
    made = remade(picture(300, 500))
    assert {seen(one).size for edge, one in made.sizes.items() if edge > 400} == {(300, 500)}
    assert seen(made.sizes[400]).size == (240, 400)


def test_where_and_when_it_was_taken_is_gone() -> None:
    exif = Image.Exif()
    exif[0x010F] = "A telling camera"
    exif.get_ifd(PLACE)[2] = (52.0, 30.0, 0.0)
    sent = picture(kind="JPEG", exif=exif, comment=b"by Ada, at home")
    assert b"telling camera" in sent
    for one in remade(sent).sizes.values():
        assert not seen(one).getexif()
        assert not {"exif", "xmp", "icc_profile", "comment"} & seen(one).info.keys()
        assert b"telling" not in one
        assert b"Ada" not in one


@pytest.mark.parametrize(("turned", "dark"), [(1, (0, 0)), (3, (1, 1)), (6, (1, 0)), (8, (0, 1))])
def test_it_stands_upright(turned: int, dark: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    made = seen(remade(picture(800, 600, exif=exif)).sizes[800])
    assert made.size == ((800, 600) if turned < 5 else (600, 800))
    x, y = (corner * (side - 40) + 20 for corner, side in zip(dark, made.size, strict=True))
    assert sum(made.getpixel((x, y))) < 100
    others = [(20, 20), (made.width - 20, 20), (20, made.height - 20), (made.width - 20, made.height - 20)]
    assert sum(sum(made.getpixel(at)) < 100 for at in others) == 1


def test_one_sees_white_where_one_could_see_through() -> None:
    made = seen(remade(picture(mode="RGBA", colour=(0, 0, 0, 0), kind="PNG")).sizes[800])
    assert made.mode == "RGB"
    assert min(made.getpixel((600, 400))) > 250


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "LA", "I;16"])
def test_whatever_its_pixels_are(mode: str) -> None:
    into = BytesIO()
    Image.new("RGB", (50, 50), (250, 250, 250)).convert("L" if mode == "I;16" else mode).convert(mode).save(
        into, "JPEG" if mode == "CMYK" else "PNG"
    )
    assert seen(remade(into.getvalue()).sizes[400]).mode == "RGB"


def test_colours_are_those_that_were_meant() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()  # of no use for RGB: left as it stands
    assert seen(remade(picture(icc_profile=profile)).sizes[400]).getpixel((300, 200))[0] == pytest.approx(200, abs=4)
    assert seen(remade(picture(icc_profile=b"nonsense")).sizes[400]).getpixel((300, 200))[0] == pytest.approx(
        200, abs=4
    )


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is that large."""

    def chunk(kind: bytes, told: bytes) -> bytes:
        return struct.pack(">I", len(told)) + kind + told + struct.pack(">I", zlib.crc32(kind + told))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


HOSTILE = {
    "nothing": b"",
    "words": b"I am a picture, believe me.",
    "a page": b"<!DOCTYPE html><script>alert(1)</script>",
    "a drawing": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "an animation": b"GIF89a" + b"\1\0\1\0\0\0\0;",
    "a PDF": b"%PDF-1.7\n1 0 obj\n",
    "a PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n",
    "a head only": picture()[:200],
    "a page behind a head": b"\xff\xd8\xff\xe0<script>alert(1)</script>",
    "cut in half": picture(kind="PNG", colour=(1, 2, 3))[:400],
}


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE)
def test_what_is_none_is_refused(sent: bytes) -> None:
    with pytest.raises(NotAPicture, match="is no picture that can be read"):
        remade(sent)


@pytest.mark.parametrize("edges", [(20_000, 4_000), (60_000, 60_000)])
def test_what_would_fill_the_memory_is_refused_before_it_does(edges: tuple[int, int]) -> None:
    with pytest.raises(NotAPicture, match="million pixels"):
        remade(bomb(*edges))


def test_a_page_that_is_also_a_picture_is_only_a_picture_afterwards() -> None:
    sent = picture(comment=b"<script>alert(1)</script>") + b"<script>alert(2)</script>"
    for one in remade(sent).sizes.values():
        assert b"script" not in one


async def test_an_album_keeps_reads_lists_and_removes(tmp_path: Path) -> None:
    album = Album(Files(f"file://{tmp_path}/some where"), "items")
    await album.keep("one", picture())
    assert {name async for name, _ in album.all()} == {"one"}
    for edge in EDGES:
        assert seen(await album.read("one", edge) or b"").format == "WEBP"
    assert await album.read("one", 1234) is None
    assert await album.read("two", 400) is None
    await album.remove("one")
    await album.remove("one")
    assert await album.read("one", 400) is None
    assert [name async for name, _ in album.all()] == []
