"""A map of what was found: positions as Mercator has them, a scale, and a server's tiles below if there is one."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

WIDTH, HEIGHT, MARGIN = 1000.0, 620.0, 60.0
EQUATOR_KM = 40_075.0
LEAST_KM = 0.4
"""What a map shows at least, from side to side: all may be in one place."""
TILE, DEEPEST = 256.0, 18
LENGTHS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 500, 1000)


class Tile(NamedTuple):
    """A square picture of a part of the world, and where it lies."""

    url: str
    x: float
    y: float
    size: float


class Drawn(NamedTuple):
    """Points in a box of `WIDTH` × `HEIGHT`, in the order they came; the scale's length and what it stands for."""

    points: list[tuple[float, float]]
    scale: float
    scale_words: str
    tiles: list[Tile]


def drawn(positions: Sequence[tuple[float, float]], tiles_url: str = "") -> Drawn | None:
    """Positions (latitude, longitude) on a map; None without any. `tiles_url` has `{z}`, `{x}` and `{y}` in it."""
    if not positions:
        return None
    places = [_of_the_world(lat, lon) for lat, lon in positions]
    xs, ys = [x for x, _ in places], [y for _, y in places]
    middle = ((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2)
    around_km = EQUATOR_KM * math.cos(math.radians(sum(lat for lat, _ in positions) / len(positions)))
    least = LEAST_KM / around_km
    world = min(
        (WIDTH - 2 * MARGIN) / max(max(xs) - min(xs), least), (HEIGHT - 2 * MARGIN) / max(max(ys) - min(ys), least)
    )
    points = [
        (round(WIDTH / 2 + (x - middle[0]) * world, 1), round(HEIGHT / 2 + (y - middle[1]) * world, 1))
        for x, y in places
    ]
    a_km = world / around_km
    length = max((one for one in LENGTHS if one * a_km <= 260), default=LENGTHS[0])
    words = f"{length:g} km" if length >= 1 else f"{length * 1000:g} m"
    return Drawn(_apart(points), round(length * a_km, 1), words, list(_tiles(tiles_url, middle, world)))


def _of_the_world(lat: float, lon: float) -> tuple[float, float]:
    """Where Mercator has a position: 0 to 1 eastwards and southwards."""
    angle = math.radians(max(-85.0, min(85.0, lat)))
    return (lon + 180) / 360, (1 - math.asinh(math.tan(angle)) / math.pi) / 2


def _tiles(url: str, middle: tuple[float, float], world: float) -> Iterator[Tile]:
    """Those that cover the box, at the depth at which they are nearest to their own size."""
    if not url:
        return
    depth = max(0, min(DEEPEST, round(math.log2(world / TILE))))
    across = 2**depth
    size = world / across
    left, top = middle[0] * world - WIDTH / 2, middle[1] * world - HEIGHT / 2
    for column in range(math.floor(left / size), math.ceil((left + WIDTH) / size)):
        for row in range(max(0, math.floor(top / size)), min(across, math.ceil((top + HEIGHT) / size))):
            filled = url.replace("{z}", str(depth)).replace("{x}", str(column % across)).replace("{y}", str(row))
            yield Tile(filled, round(column * size - left, 1), round(row * size - top, 1), round(size, 1))


def _apart(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points at one place are laid in a spiral around it, so that each can be chosen."""
    seen: dict[tuple[int, int], int] = {}
    laid: list[tuple[float, float]] = []
    for x, y in points:
        cell = (round(x / 14), round(y / 14))
        number = seen.get(cell, 0)
        seen[cell] = number + 1
        turn, far = number * 2.4, 15 * math.sqrt(number)
        laid.append((round(x + far * math.cos(turn), 1), round(y + far * math.sin(turn), 1)))
    return laid
