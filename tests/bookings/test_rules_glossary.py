"""The glossary says what the code says: every state is in it, and the policies give what it promises."""

import re
from pathlib import Path
from typing import get_args

from commonry.bookings.rules import policies
from commonry.bookings.rules.periods import in_words
from commonry.contracts.bookings import BookingState
from commonry.contracts.inventory import BookingMode, Cancellation, Handover, ReservationState

GLOSSARY = (Path(__file__).parents[2] / "docs/reference/glossary.md").read_text("utf-8")


def test_every_state_and_choice_is_explained():
    words = [
        w for kind in (BookingState, ReservationState, BookingMode, Handover, Cancellation) for w in get_args(kind)
    ]
    in_code = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]+)`", GLOSSARY))))
    assert set(words) <= in_code


def test_the_policies_are_those_of_the_code():
    for name, tiers in policies.TIERS.items():
        (row,) = re.findall(rf"^\| `{name}` \| (.*) \| (.*) \| nothing \|$", GLOSSARY, re.MULTILINE)
        assert [percent for _, percent in tiers] == [100, 50]
        for cell, (hours, _) in zip(row, tiers, strict=True):
            assert cell.startswith(in_words(hours) if hours else "the start")
