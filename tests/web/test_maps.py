"""Positions on a map, and the tiles that a server may have below them."""

import math

import pytest

from commonry.contracts.settings import Settings
from commonry.kit.settings import WrongSettings, load
from commonry.web import paper
from commonry.web.rules.maps import HEIGHT, WIDTH, drawn

SERVER = "https://tiles.example.org/{z}/{x}/{y}.png"
TOWNS = [(52.52, 13.405), (52.49, 13.36), (52.45, 13.5)]


def number(lat: float, lon: float, depth: int) -> tuple[int, int]:
    """The tile in which a position lies, as tile servers count them."""
    angle = math.radians(lat)
    x = (lon + 180) / 360 * 2**depth
    y = (1 - math.log(math.tan(angle) + 1 / math.cos(angle)) / math.pi) / 2 * 2**depth
    return int(x), int(y)


@pytest.mark.parametrize("places", [TOWNS, TOWNS[:1], [(-33.9, 18.4), (-34.2, 18.9)], [(64.1, -21.9), (65.7, -18.1)]])
def test_a_position_lies_on_the_tile_of_its_number(places: list[tuple[float, float]]) -> None:
    made = drawn(places, SERVER)
    assert made is not None
    at = {tile.url: tile for tile in made.tiles}
    depth = int(made.tiles[0].url.split("/")[3])
    for place, (x, y) in zip(places, made.points, strict=True):
        column, row = number(*place, depth)
        tile = at[f"https://tiles.example.org/{depth}/{column}/{row}.png"]
        assert tile.x - 1 <= x <= tile.x + tile.size + 1
        assert tile.y - 1 <= y <= tile.y + tile.size + 1


def test_tiles_cover_the_map_and_are_about_their_own_size() -> None:
    made = drawn(TOWNS, SERVER)
    assert made is not None
    assert min(t.x for t in made.tiles) <= 0
    assert min(t.y for t in made.tiles) <= 0
    assert max(t.x + t.size for t in made.tiles) >= WIDTH
    assert max(t.y + t.size for t in made.tiles) >= HEIGHT
    assert 180 < made.tiles[0].size < 363
    assert len(made.tiles) <= 40


def test_the_scale_is_as_long_as_it_says() -> None:
    made = drawn([(52.5, 13.40), (52.5, 13.45)])
    assert made is not None
    apart = made.points[1][0] - made.points[0][0]
    km = 6378.137 * math.radians(0.05) * math.cos(math.radians(52.5))
    assert made.scale_words == "1 km"
    assert made.scale / apart == pytest.approx(1 / km, rel=0.01)


def test_what_is_at_one_place_can_be_told_apart_and_nothing_is_nothing() -> None:
    made = drawn([TOWNS[0]] * 5)
    assert made is not None
    assert len(set(made.points)) == 5
    assert made.tiles == []
    assert drawn([], SERVER) is None


def test_only_the_server_of_the_setting_is_let_into_a_page() -> None:
    assert "img-src 'self' https://tiles.example.org data: blob:;" in paper.policy(SERVER)
    assert paper.policy("") == paper.POLICY


@pytest.mark.parametrize(
    "bad", ["https://x.org/{z}/{x}.png", "javascript:{z}{x}{y}", "https://x.org;/{z}/{x}/{y}", "https://x'/{z}{x}{y}"]
)
def test_what_is_no_server_of_tiles_is_refused(bad: str) -> None:
    with pytest.raises(WrongSettings, match="TILES_URL"):
        load(Settings, {"COMMONRY_TILES_URL": bad})
