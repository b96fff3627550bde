"""What people search for is counted by the hour, without who: what was asked, and what was not to be had."""

import pytest

from commonry.inventory.rules.search import Search, question
from commonry.inventory.searches import MOST, Searches
from commonry.kit.db import many
from tests.inventory.shed import Shed


async def counted(shed: Shed) -> dict[tuple[str, str, bool], tuple[int, int]]:
    async with shed.db.read() as tx:
        rows = await many(tx, dict, "SELECT words, category, dated, asked, unanswered FROM searches")
    return {(r["words"], r["category"], r["dated"]): (r["asked"], r["unanswered"]) for r in rows}


@pytest.fixture(autouse=True)
async def nothing_asked(shed: Shed) -> None:
    async with shed.db.tx() as tx:
        await tx.execute("TRUNCATE searches")


async def test_searches_are_counted_and_added_up(shed: Shed) -> None:
    for searches in (Searches(shed.db), Searches(shed.db)):  # as two processes
        searches.note(Search(q="  Cargo   BIKE "), answered=False)
        searches.note(Search(q="cargo bike"), answered=True)
        searches.note(Search(category="tools"), answered=True)
        await searches.write()
        await searches.write()
    assert await counted(shed) == {("cargo bike", "", False): (4, 2), ("", "tools", False): (2, 0)}


async def test_what_could_not_be_written_is_kept(shed: Shed, monkeypatch: pytest.MonkeyPatch) -> None:
    searches = Searches(shed.db)
    searches.note(Search(q="tent"), answered=False)

    async def away(_: object) -> None:
        searches.note(Search(q="tent"), answered=True)  # meanwhile
        raise OSError("away")

    with monkeypatch.context() as broken:
        broken.setattr(shed.db, "transact", away)
        with pytest.raises(OSError, match="away"):
            await searches.write()
    await searches.write()
    assert await counted(shed) == {("tent", "", False): (2, 1)}


async def test_invented_words_cannot_fill_the_database(shed: Shed) -> None:
    searches = Searches(shed.db)
    for n in range(MOST + 50):
        searches.note(Search(q=f"word{n}"), answered=False)
    searches.note(Search(q="word1"), answered=False)
    await searches.write()
    found = await counted(shed)
    assert len(found) == MOST
    assert found["word1", "", False] == (2, 2)


@pytest.mark.parametrize("words", ["ada@example.org", "0170 1234567", "call 030/123456"])
def test_what_may_name_somebody_is_not_counted(words: str) -> None:
    assert question(Search(q=words)) is None
    assert question(Search(q="drill 18 v")) is not None
