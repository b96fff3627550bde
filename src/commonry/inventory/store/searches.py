"""What people search for, counted by the hour and without who: for the warehouse, which asks what was not to be had."""

from typing import NamedTuple

from commonry.inventory.rules.search import Question
from commonry.kit.db import Tx, run


class Count(NamedTuple):
    """How often something was asked for, and how often there was nothing."""

    asked: int
    unanswered: int


async def add(tx: Tx, counts: dict[Question, Count]) -> None:
    """Add to this hour's counts. In order, so that two processes never wait for each other in a circle."""
    rows = sorted(counts.items())
    columns = {
        "words": [question.words for question, _ in rows],
        "categories": [question.category for question, _ in rows],
        "dated": [question.dated for question, _ in rows],
        "asked": [count.asked for _, count in rows],
        "unanswered": [count.unanswered for _, count in rows],
    }
    await run(tx, _ADD, columns)


_ADD = """
    INSERT INTO searches (hour, words, category, dated, asked, unanswered)
    SELECT date_trunc('hour', app_now()), new.words, new.category, new.dated, new.asked, new.unanswered
    FROM unnest(%(words)s::text[], %(categories)s::text[], %(dated)s::boolean[], %(asked)s::integer[],
        %(unanswered)s::integer[]) AS new (words, category, dated, asked, unanswered)
    ON CONFLICT (hour, words, category, dated) DO UPDATE SET
        asked = searches.asked + excluded.asked, unanswered = searches.unanswered + excluded.unanswered"""
