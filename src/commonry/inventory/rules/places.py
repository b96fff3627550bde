"""Places on the globe: what `near=52.49,13.42` means, and which box holds everything within a radius of it."""

import math
from typing import NamedTuple

from commonry.contracts.problems import Mistake

KM_PER_DEGREE = 6371.0088 * math.pi / 180


class Place(NamedTuple):
    """Degrees north and east."""

    lat: float
    lon: float


class Box(NamedTuple):
    """From south-west to north-east, in degrees."""

    south: float
    west: float
    north: float
    east: float


def place(text: str) -> Place | Mistake:
    """`lat,lon` in degrees."""
    try:
        lat, lon = map(float, text.split(","))
    except ValueError:
        return Mistake("query.near", "must be two numbers, `lat,lon`, such as 52.49,13.42")
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):
        return Mistake("query.near", "must be a latitude from -90 to 90 and a longitude from -180 to 180")
    return Place(lat, lon)


def boxes(middle: Place, radius_km: float) -> list[Box]:
    """One box around the circle, two where it crosses the date line; around a pole, the whole cap."""
    reach = radius_km / KM_PER_DEGREE + 0.001  # places are rounded to 0.001 degrees
    south, north = max(-90.0, middle.lat - reach), min(90.0, middle.lat + reach)
    if south <= -90 or north >= 90:
        return [Box(south, -180, north, 180)]
    # Not at the middle's own parallel but a little nearer to the pole a circle is widest, in degrees.
    sideways = (
        math.degrees(math.asin(min(1, math.sin(math.radians(reach)) / math.cos(math.radians(middle.lat))))) + 0.001
    )
    west, east = middle.lon - sideways, middle.lon + sideways
    if west < -180:
        return [Box(south, west + 360, north, 180), Box(south, -180, north, east)]
    if east > 180:
        return [Box(south, west, north, 180), Box(south, -180, north, east - 360)]
    return [Box(south, west, north, east)]
