"""A map without tiles: positions on a plane, near enough for a town, with a grid and a scale."""

import math
from collections.abc import Sequence
from typing import NamedTuple

WIDTH, HEIGHT, MARGIN = 1000.0, 620.0, 60.0
KM_A_DEGREE = 111.32


class Drawn(NamedTuple):
    """Points in a box of `WIDTH` × `HEIGHT`, in the order they came; the scale's length and what it stands for."""

    points: list[tuple[float, float]]
    scale: float
    scale_words: str


def drawn(positions: Sequence[tuple[float, float]]) -> Drawn | None:
    """Positions (latitude, longitude) on a flat map; None without any."""
    if not positions:
        return None
    lats, lons = [p[0] for p in positions], [p[1] for p in positions]
    middle_lat, middle_lon = (min(lats) + max(lats)) / 2, (min(lons) + max(lons)) / 2
    squeeze = math.cos(math.radians(middle_lat))
    across = max((max(lons) - min(lons)) * squeeze * KM_A_DEGREE, 0.4)
    along = max((max(lats) - min(lats)) * KM_A_DEGREE, 0.4)
    a_km = min((WIDTH - 2 * MARGIN) / across, (HEIGHT - 2 * MARGIN) / along)
    points = [
        (
            round(WIDTH / 2 + (lon - middle_lon) * squeeze * KM_A_DEGREE * a_km, 1),
            round(HEIGHT / 2 - (lat - middle_lat) * KM_A_DEGREE * a_km, 1),
        )
        for lat, lon in positions
    ]
    length = max((s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 500, 1000) if s * a_km <= 260), default=0.1)
    words = f"{length:g} km" if length >= 1 else f"{length * 1000:g} m"
    return Drawn(_apart(points), round(length * a_km, 1), words)


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
