"""A town for the bookings' tests."""

from collections.abc import AsyncIterator

import pytest

from commonry.kit import failpoints
from commonry.kit.postgres import EmbeddedPostgres
from tests.town import Town, new_town


@pytest.fixture
async def town(postgres: EmbeddedPostgres) -> AsyncIterator[Town]:
    """A platform of its own, with quick providers and no failpoint armed."""
    async with new_town(postgres, provider_seconds=0.3) as made:
        yield made
    failpoints.arm("")
