"""A room for servers, and one server that the tests of a module share."""

from collections.abc import Iterator

import pytest

from tests.ha.servers import Room, Server, room


@pytest.fixture(scope="module")
def place() -> Iterator[Room]:
    with room() as made:
        yield made


@pytest.fixture(scope="module")
def server(place: Room) -> Iterator[Server]:
    made = Server(place, "alone").make().start()
    yield made
    made.stop()
