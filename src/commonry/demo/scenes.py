"""The demo's pictures: a drawing of `pictures/` on a table before a wall, with its shadow.

The drawings are Microsoft's Fluent Emoji (MIT, `web/licences/fluent-emoji.txt`). They look like no photograph on
purpose: nobody is to believe in them.
"""

import colorsys
import hashlib
from importlib import resources
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw, ImageFilter

SIZE = (800, 600)
DRAWN = 390
"""Pixels an edge that the drawing has."""


def scene(name: str, key: str) -> bytes:
    """A thing's picture; things with the same drawing differ by their ground."""
    drawing = resources.files("commonry.demo").joinpath("pictures", f"{name}.webp").read_bytes()
    with Image.open(BytesIO(drawing)) as opened:
        drawn: Any = opened.convert("RGBA")
        thing = drawn.resize((DRAWN, DRAWN), Image.Resampling.LANCZOS)
    chance = hashlib.sha256(f"the scene of {key}".encode()).digest()
    made = _ground(chance[0] / 255)
    at = ((SIZE[0] - DRAWN) // 2 + (chance[1] - 128) // 8, (SIZE[1] - DRAWN) // 2 - 30)
    made.paste((0, 0, 0), (0, 0), _shadow(at))
    made.paste(thing, at, thing)
    into = BytesIO()
    made.save(into, "WEBP", quality=90, method=2)
    return into.getvalue()


def _ground(hue: float) -> Image.Image:
    """A wall in the light of a window, and a table before it."""
    small: Any = Image.new("RGB", (SIZE[0] // 8, SIZE[1] // 8))
    drawn = ImageDraw.Draw(small)
    for y in range(small.height):
        is_table = y > small.height * 0.72
        share = y / small.height
        drawn.line(
            [(0, y), (small.width, y)],
            fill=_colour(
                hue, 0.24 if is_table else 0.13, 0.80 - 0.25 * (share - 0.7) if is_table else 0.95 - 0.08 * share
            ),
        )
    return small.resize(SIZE, Image.Resampling.BICUBIC)


def _colour(hue: float, saturation: float, value: float) -> tuple[int, ...]:
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, value))


def _shadow(at: tuple[int, int]) -> Image.Image:
    mask: Any = Image.new("L", (SIZE[0] // 4, SIZE[1] // 4))
    left, below = at[0] // 4, (at[1] + DRAWN) // 4
    ImageDraw.Draw(mask).ellipse((left + 8, below - 9, left + DRAWN // 4 - 8, below + 5), fill=90)
    return mask.filter(ImageFilter.GaussianBlur(5)).resize(SIZE, Image.Resampling.BICUBIC)
